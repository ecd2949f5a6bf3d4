"""Files as a source (Go: ``config/file``)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config._interface import KeyValue, Source
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.watch import Versioned, Watcher
from kratos.watch.directory import DirectoryWatch, DirectoryWatches

__all__ = ["FileSource"]

_Files: TypeAlias = Sequence[KeyValue]

_SETTLE: Final = 0.02  # seconds; an editor saves in several steps
_LARGEST: Final = 16 * 1024 * 1024


class FileSource:
    """A file, or the files of a directory in the order of their names.

    The ending of a name is its format: json, yaml or yml, toml, xml, properties, env. A file whose
    name has no ending is one value, under its name. Of a directory, files whose names begin with
    a dot and directories are left out. Changes are heard of at once on Linux, also where a name
    leads elsewhere or is put in place as a whole, as Kubernetes does; other systems look every
    ``poll`` seconds.

    Args:
        path: The file or directory.
        format: In place of the ending of the names; ``.env`` itself has the format ``env``.
        poll: Seconds between two looks where the system does not tell; if given, it is not asked,
            for file systems that do not tell, such as network shares.
        clock: Time for both.

    Raises:
        ValueError: ``poll`` is not positive.
    """

    __slots__ = ("_clock", "_format", "_path", "_watches")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "",  # noqa: A002 - the word of KeyValue
        poll: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._path = Path(path)
        self._format = format
        self._clock = clock
        self._watches = DirectoryWatches(
            clock=clock, poll=1.0 if poll is None else poll, always_poll=poll is not None
        )

    def __str__(self) -> str:
        return str(self._path)

    async def watch(self) -> Watcher[_Files]:
        """Open a watcher of the files.

        Raises:
            ConfigError: There is no such file or directory.
        """
        return _Watcher(self._path, self._format, self._watches, self._clock)


class _Watcher:
    def __init__(self, path: Path, forced: str, watches: DirectoryWatches, clock: Clock) -> None:
        self._path = path
        self._format = forced
        self._clock = clock
        try:
            # Before the first look, so that no change falls between the two.
            self._directories = [watches.open(str(each)) for each in _directories(path)]
        except OSError as error:
            raise _unreadable(path, error) from error

    async def read(self) -> Versioned[_Files]:
        files = [_entry(path, self._format) for path in _files(self._path)]
        return Versioned(value=files, token=files)

    async def changed(self, since: object, /) -> Versioned[_Files] | None:
        while all(directory.alive for directory in self._directories):
            await _any(self._directories)
            await self._clock.sleep(_SETTLE)
            state = await self.read()
            if state.token != since:
                return state
        # A new watcher finds the directory that is there now, or says that there is none.
        raise ConfigError(f"{self._path}: its directory was moved or removed")

    async def aclose(self) -> None:
        for directory in self._directories:
            directory.close()


def _directories(path: Path) -> list[Path]:
    """Return the directories whose entries decide what is at ``path``."""
    if path.is_dir():
        return [path]
    path.stat()
    target = path.resolve().parent
    return [path.parent] if path.parent.resolve() == target else [path.parent, target]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise _unreadable(path, error) from error
    return [each for each in found if not each.is_dir()]


def _entry(path: Path, forced: str) -> KeyValue:
    try:
        with path.open("rb") as file:
            value = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(value) > _LARGEST:
        raise ConfigError(f"{path}: it has more than {_LARGEST} bytes, which is no configuration")
    ending = path.name.rpartition(".")[2] if "." in path.name else ""
    return KeyValue(key=path.name, value=value, format=forced or ending)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: it cannot be read: {error.strerror}")


async def _any(directories: Sequence[DirectoryWatch]) -> None:
    """Return when one of them has changed."""
    if len(directories) == 1:
        await directories[0].wait()
        return
    waits = [asyncio.ensure_future(directory.wait()) for directory in directories]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            await cancel_and_wait(wait)


if TYPE_CHECKING:
    _source: type[Source] = FileSource
