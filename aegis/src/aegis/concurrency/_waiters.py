"""What waits for a slot: a coroutine, or a thread."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Protocol

__all__ = ["Waiter", "WaitingCoroutine", "WaitingThread"]


class Waiter(Protocol):
    """One that waits. Whoever frees a slot sets ``granted``, then calls ``wake``."""

    granted: bool

    def wake(self) -> bool:
        """Let it go on; return whether it can."""
        ...


class WaitingCoroutine:
    """A coroutine that waits for ``future``.

    Args:
        loop: The loop that it runs in.
        threadsafe: Whether other threads wake it.
    """

    __slots__ = ("_loop", "_threadsafe", "future", "granted")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, threadsafe: bool) -> None:
        self._loop = loop
        self._threadsafe = threadsafe
        self.future: asyncio.Future[None] = loop.create_future()
        self.granted = False

    def wake(self) -> bool:
        """Let it go on; False if its loop was closed while it waited."""
        try:
            if self._threadsafe:
                self._loop.call_soon_threadsafe(self.go_on)
            else:
                self.go_on()
        except RuntimeError:
            return False
        return True

    def go_on(self) -> None:
        """Let it go on, whether it was granted a slot or its time is up; called in its loop."""
        if not self.future.done():
            self.future.set_result(None)


class WaitingThread:
    """A thread that waits."""

    __slots__ = ("_woken", "granted")

    def __init__(self) -> None:
        self._woken = Event()
        self.granted = False

    def wait(self, timeout: float | None) -> None:
        """Return when woken, or after ``timeout`` seconds."""
        self._woken.wait(timeout)

    def wake(self) -> bool:
        """Let it go on."""
        self._woken.set()
        return True
