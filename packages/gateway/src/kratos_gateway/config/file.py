"""Texts in files (Go: ``config.FileLoader``)."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.watch.directory import DirectoryWatch, DirectoryWatches
from kratos_gateway.config.documents import Document, Documents, Reader

__all__ = ["FileReader"]

_log = logging.getLogger("kratos.gateway")

_POLL: Final = 5.0  # seconds; who follows looks as often by itself
_SETTLE: Final = 0.05  # seconds; a release is several files
_LARGEST: Final = 64 * 1024 * 1024  # bytes of one file
_SUFFIX: Final = ".yaml"


class FileReader:
    """Reads the main file, and the ``*.yaml`` files of a folder.

    On Linux it hears of files that are put in place, written and closed, or removed; elsewhere,
    and on file systems that do not tell, only a look finds them changed.

    Args:
        path: The main file.
        priorities: Folder of priority configurations, made if there is none; ``None`` for no such
            configurations.
        clock: Time for what comes in several steps.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        priorities: str | os.PathLike[str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._path = Path(path)
        self._priorities = None if priorities is None else Path(priorities)
        self._clock = clock
        self._watches = DirectoryWatches(clock=clock, poll=_POLL)
        self._open: dict[Path, DirectoryWatch] = {}

    def __str__(self) -> str:
        return str(self._path)

    async def read(self) -> Documents:
        """Return what the files hold; see ``Reader``."""
        self._renew()  # before it looks, so that no change falls between the two
        return await asyncio.to_thread(self._read)

    async def changed(self) -> None:
        """Return when something happened in their folders; see ``Reader``."""
        self._renew()
        waits = [asyncio.ensure_future(each.wait()) for each in self._open.values()]
        waits.append(asyncio.ensure_future(self._clock.sleep(_POLL)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)
        await self._clock.sleep(_SETTLE)

    async def aclose(self) -> None:
        """Listen no more; see ``Reader``."""
        for each in self._open.values():
            each.close()
        self._open.clear()

    def _renew(self) -> None:
        """Listen where the files are now: a name may lead elsewhere, or its folder be new."""
        folders = {self._path.absolute().parent, self._path.resolve().parent}
        if self._priorities is not None:
            folders.add(self._priorities.absolute())
        for known in [each for each in self._open if each not in folders]:
            self._open.pop(known).close()
        for folder in folders:
            before = self._open.get(folder)
            if before is not None and before.alive:
                continue
            try:
                self._open[folder] = self._watches.open(str(folder))
            except OSError as error:
                _log.debug("%s is not listened to: %s", folder, error)  # but it is looked at

    def _read(self) -> Documents:
        main = _document(self._path)
        if self._priorities is None:
            return Documents(main=main)
        try:
            self._priorities.mkdir(mode=0o755, parents=True, exist_ok=True)
            paths = sorted(each for each in self._priorities.iterdir() if _is_priority(each))
        except OSError as error:
            raise _unreadable(self._priorities, error) from error
        return Documents(main=main, priorities=tuple(_document(path) for path in paths))


def _is_priority(path: Path) -> bool:
    return path.suffix == _SUFFIX and path.is_file()


def _document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > _LARGEST:
        raise ConfigError(f"{path}: it has more than {_LARGEST} bytes, which is no configuration")
    return Document(name=path.name, content=content)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: it cannot be read: {error.strerror}")


if TYPE_CHECKING:
    _reader: type[Reader] = FileReader
