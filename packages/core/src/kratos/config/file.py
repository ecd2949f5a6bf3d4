"""Files as a source (Go: ``config/file``)."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config._interface import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait
from kratos.url import Options, Url
from kratos.watch import Versioned, Watcher
from kratos.watch.directory import DirectoryWatch, DirectoryWatches

__all__ = ["FileSource", "from_url"]

_Files: TypeAlias = Sequence[KeyValue]
_Identity: TypeAlias = tuple[int, int]  # device and number of a directory

_SETTLE: Final = 0.02  # seconds; an editor saves in several steps
_POLL: Final = 0.1  # seconds; some files are read in a hundredth of it
_ABSENCE: Final = 10.0  # seconds; a deployment removes files and makes them again
_LARGEST: Final = 16 * 1024 * 1024  # bytes of all files
_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)  # no waiting for whoever writes to a pipe


class FileSource:
    """A file, or the files of a directory in the order of their names.

    The ending of a name is its format: json, yaml or yml, toml, xml, properties, env. A file whose
    name has no ending is one value, under its name. Of a directory, files whose names begin with
    a dot and directories are left out. Files are regular ones, of at most 16 MiB together.

    Changes are heard of at once on Linux, also where a name leads elsewhere or is put in place as
    a whole, as Kubernetes does; other systems look every ``poll`` seconds. What goes away has ten
    seconds to come back before it counts as a source that cannot be reached; what it said stays.

    Args:
        path: The file or directory.
        format: In place of the ending of the names; ``.env`` itself has the format ``env``.
        optional: Whether there may be nothing: that says nothing then, and is heard of when it
            comes.
        poll: Seconds between two looks where the system does not tell, by default 0.1; if given,
            it is not asked, for file systems that do not tell, such as network shares.
        clock: Time for all waits.

    Raises:
        ValueError: ``poll`` is not positive.
    """

    __slots__ = ("_clock", "_format", "_optional", "_path", "_watches")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "",  # noqa: A002 - the word of KeyValue
        optional: bool = False,
        poll: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._path = Path(path)
        self._format = format
        self._optional = optional
        self._clock = clock
        self._watches = DirectoryWatches(
            clock=clock, poll=_POLL if poll is None else poll, always_poll=poll is not None
        )

    def __str__(self) -> str:
        return str(self._path)

    async def watch(self) -> Watcher[_Files]:
        """Open a watcher of the files.

        Raises:
            ConfigError: There is no such file or directory, and it is not optional.
        """
        if not self._optional:
            try:
                self._path.stat()
            except OSError as error:
                raise _unreadable(self._path, error) from error
        # Before the first look, so that no change falls between the two.
        places = _Places(self._path, self._watches)
        return _Watcher(self._path, self._format, places, self._clock, optional=self._optional)


def from_url(url: Url) -> FileSource:
    """Make the source of a URL: ``file:///path[?format=yaml][&optional=true][&poll=1s]``.

    Raises:
        ConfigError: An option is unknown or wrong, there is a host, or no path.
    """
    options = Options(url)
    form = options.text("format", default="")
    optional = options.flag("optional", default=False)
    poll = options.duration("poll", default=0.0)
    options.finish()
    if url.hosts or url.username is not None or not url.path:
        raise ConfigError(f"{url}: write file:///path, with three slashes and no host")
    return FileSource(url.path, format=form, optional=optional, poll=poll or None)


class _Watcher:
    def __init__(
        self, path: Path, forced: str, places: _Places, clock: Clock, *, optional: bool
    ) -> None:
        self._path = path
        self._format = forced
        self._places = places
        self._clock = clock
        self._optional = optional

    async def read(self) -> Versioned[_Files]:
        files = () if self._optional and not _is_there(self._path) else self._files()
        return Versioned(value=files, token=files)

    async def changed(self, since: object, /) -> Versioned[_Files] | None:
        while True:
            await self._stir()
            if not self._optional:
                await self._come_back()
            state = await self.read()  # which says what is missing
            if state.token != since:
                return state

    async def aclose(self) -> None:
        self._places.close()

    async def _stir(self) -> None:
        """Wait for a change of any kind."""
        await self._places.wait()
        await self._clock.sleep(_SETTLE)
        self._places.renew()

    async def _come_back(self) -> None:
        """Give what is away time to come back; an error would be followed by growing delays."""
        if _is_there(self._path):
            return
        limit = Limit(self._clock, _ABSENCE)
        try:
            async with limit:
                while not _is_there(self._path):
                    await self._stir()
        except TimeoutError:
            if not limit.expired:
                raise

    def _files(self) -> _Files:
        entries: list[KeyValue] = []
        left = _LARGEST
        for path in _paths(self._path):
            value = _content(path, left)
            left -= len(value)
            form = self._format or format_of(path.name)
            entries.append(KeyValue(key=path.name, value=value, format=form))
        return tuple(entries)


class _Places:
    """The directories whose entries decide what is at a path; they may be others later on."""

    def __init__(self, path: Path, watches: DirectoryWatches) -> None:
        self._path = path
        self._watches = watches
        self._open: dict[_Identity, DirectoryWatch] = {}
        self._closed = False
        self.renew()

    async def wait(self) -> None:
        """Return when one of them has changed.

        Raises:
            ConfigError: They are closed.
        """
        waits = [asyncio.ensure_future(each.wait()) for each in self._open.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)
        if self._closed:
            raise ConfigError(f"{self._path}: the watcher is closed")

    def renew(self) -> None:
        """Watch those that matter now.

        Raises:
            ConfigError: One of them cannot be watched.
        """
        while True:
            wanted = _directories(self._path)
            for known in [each for each in self._open if self._is_done_with(each, wanted)]:
                self._open.pop(known).close()
            try:
                for identity, directory in wanted.items():
                    if identity not in self._open:
                        self._open[identity] = self._watches.open(str(directory))
            except FileNotFoundError:
                continue  # it went away in between
            except OSError as error:
                self.close()
                raise _unreadable(self._path, error) from error
            if _directories(self._path) == wanted:
                return

    def close(self) -> None:
        self._closed = True
        for each in self._open.values():
            each.close()  # and keeps it, for whoever waits

    def _is_done_with(self, known: _Identity, wanted: Mapping[_Identity, Path]) -> bool:
        return known not in wanted or not self._open[known].alive


def _directories(path: Path) -> Mapping[_Identity, Path]:
    """Return the directories to watch; of a path that is not there, the nearest one above it."""
    if not _is_there(path):
        found = [next(each for each in path.absolute().parents if each.is_dir())]
    elif path.is_dir():
        links = [each for each in _paths(path) if each.is_symlink()]
        found = [path, *(each.resolve().parent for each in links)]
        if path.is_symlink():
            found.append(path.parent)
    else:
        found = [path.parent, path.resolve().parent]
    directories: dict[_Identity, Path] = {}
    for each in found:
        try:
            directories.setdefault(_identity(each), each)
        except FileNotFoundError:
            continue  # it went away in between, which is news itself
    return directories or _directories(path.absolute().parent)


def _identity(path: Path) -> _Identity:
    """Return what tells directories apart: a name may lead to another one."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _paths(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise _unreadable(path, error) from error
    return [each for each in found if not each.is_dir()]


def _content(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb", opener=_opened) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: it is no regular file, and not read")
            value = file.read(most + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(value) > most:
        raise ConfigError(
            f"{path}: with it there are more than {_LARGEST} bytes, which is no configuration"
        )
    return value


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | _NONBLOCK)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: it cannot be read: {error.strerror}")


if TYPE_CHECKING:
    _source: type[Source] = FileSource
