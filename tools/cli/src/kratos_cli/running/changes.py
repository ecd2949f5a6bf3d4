"""Changes of the sources of a project."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import cancel_and_wait
from kratos.watch.directory import DirectoryWatch, DirectoryWatches

__all__ = ["SETTLE", "Changes"]

SETTLE: Final = 0.2  # seconds; editors write several files, and some a file in several steps
_SUFFIXES: Final = (".py", ".proto")
_CONFIGS: Final = "configs"  # the folder of projects that all else in it configures
_CONFIG_SUFFIXES: Final = (".env", ".ini", ".json", ".toml", ".yaml", ".yml")
_SKIPPED: Final = frozenset(("__pycache__", "build", "dist", "node_modules", "site-packages"))

_Stamp = tuple[int, int]


class Changes:
    """Waits until sources, or files in a folder ``configs``, were changed, added or removed.

    Use it as a context manager; folders that are made meanwhile are looked into, too.

    Args:
        folder: Of the project; searched to any depth, except for hidden folders and virtual
            environments.
        clock: For the time that writers are given to finish.
        watches: Hears of changes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        watches: DirectoryWatches | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._watches = watches or DirectoryWatches(clock=clock)
        self._open: dict[str, DirectoryWatch] = {}
        self._stamps: Mapping[Path, _Stamp] = {}

    def __enter__(self) -> Self:
        self._stamps = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        for watch in self._open.values():
            watch.close()
        self._open.clear()

    def forget_code(self) -> frozenset[Path]:
        """Take code as it is now for known, but not definitions: one may just have been changed.

        Returns:
            The code that is other than it was.
        """
        known = self._stamps
        definitions = {path: it for path, it in known.items() if path.suffix == ".proto"}
        before = {path: it for path, it in known.items() if path.suffix != ".proto"}
        code = {path: it for path, it in self._look().items() if path.suffix != ".proto"}
        self._stamps = definitions | code
        return _different(before, code)

    async def next(self) -> frozenset[Path]:
        """Return what was changed, added or removed since the last return; waits for it.

        Cancellation: safe; nothing is missed.
        """
        while True:
            stamps = self._look()
            changed = _different(self._stamps, stamps)
            if changed:
                # Once more when writers are done: what they wrote is one change.
                await self._clock.sleep(SETTLE)
                stamps = self._look()
                changed = _different(self._stamps, stamps)
                self._stamps = stamps
                if changed:
                    return changed
                continue
            await self._hear()

    async def _hear(self) -> None:
        waits = [asyncio.ensure_future(watch.wait()) for watch in self._open.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)

    def _look(self) -> Mapping[Path, _Stamp]:
        """Return the stamps of all sources, and watch the folders that they are in."""
        stamps: dict[Path, _Stamp] = {}
        seen = {str(self._folder)}
        self._watch(str(self._folder))
        for here, folders, files in os.walk(self._folder):
            folders[:] = [name for name in folders if not _is_skipped(here, name)]
            for inner in (os.path.join(here, name) for name in folders):  # noqa: PTH118  as walk does
                self._watch(inner)  # before its entries are listed, so that none is missed
                seen.add(inner)
            inside = Path(here).relative_to(self._folder).parts
            suffixes = _SUFFIXES + _CONFIG_SUFFIXES if _CONFIGS in inside else _SUFFIXES
            for name in files:
                if name.endswith(suffixes):
                    path = Path(here, name)
                    try:
                        found = path.stat()
                    except OSError:
                        continue  # it went while it was looked at, or is a link to itself
                    stamps[path] = (found.st_mtime_ns, found.st_size)
        for gone in self._open.keys() - seen:
            self._open.pop(gone).close()
        return stamps

    def _watch(self, folder: str) -> None:
        watch = self._open.get(folder)
        if watch is None or not watch.alive:
            try:
                self._open[folder] = self._watches.open(folder)
            except (FileNotFoundError, NotADirectoryError):
                self._open.pop(folder, None)  # it went while it was looked at


def _is_skipped(parent: str, name: str) -> bool:
    if name.startswith(".") or name in _SKIPPED:
        return True
    return Path(parent, name, "pyvenv.cfg").is_file()


def _different(before: Mapping[Path, _Stamp], after: Mapping[Path, _Stamp]) -> frozenset[Path]:
    return frozenset(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
