"""Hearing of changes in a directory: by the system where it tells, else by looking again."""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import Limit
from kratos.watch._inotify import Inotify

__all__ = ["DirectoryWatch", "DirectoryWatches"]


class DirectoryWatch(Protocol):
    """Changes of the entries of one directory."""

    @property
    def alive(self) -> bool:
        """Whether changes are still heard; false once the directory itself is gone."""
        ...

    async def wait(self) -> None:
        """Return when something may have changed since the last return, or since the start.

        So look at the directory after each return and miss nothing. Returns at once when the
        watch is closed or dead.
        """
        ...

    def close(self) -> None:
        """Stop watching and wake who waits; idempotent."""
        ...


class DirectoryWatches:
    """Opens directory watches; all of them share one system resource.

    Linux tells by inotify of files that are renamed into the directory, written and closed,
    or removed, and of links and directories that are made; not of changed times. Elsewhere, and
    where the system has no watches left, a watch merely returns every ``poll`` seconds.

    Args:
        clock: Time for polling.
        poll: Seconds between two looks where nothing tells; ``always_poll`` for file systems
            that do not tell, such as network shares.
        always_poll: Never ask the system.
    """

    __slots__ = ("_clock", "_inotify", "_poll")

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, poll: float = 1.0, always_poll: bool = False
    ) -> None:
        if not poll > 0:
            raise ValueError(f"poll must be positive, got {poll}")
        self._clock = clock
        self._poll = poll
        has_inotify = sys.platform == "linux" and not always_poll
        self._inotify = Inotify() if has_inotify else None

    def open(self, path: str) -> DirectoryWatch:
        """Watch a directory.

        Raises:
            FileNotFoundError: It does not exist.
            NotADirectoryError: It is no directory.
        """
        if self._inotify is not None:
            try:
                return self._inotify.watch(path)
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError:
                # Limits of the user or of the sandbox; looking again always works.
                return _Polling(self._clock, self._poll)
        return _Polling(self._clock, self._poll)


class _Polling:
    __slots__ = ("_clock", "_closed", "_poll")

    def __init__(self, clock: Clock, poll: float) -> None:
        self._clock = clock
        self._poll = poll
        self._closed = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self._closed.is_set()

    async def wait(self) -> None:
        if not self._closed.is_set():
            try:
                async with Limit(self._clock, self._poll):
                    await self._closed.wait()
            except TimeoutError:
                return

    def close(self) -> None:
        self._closed.set()
