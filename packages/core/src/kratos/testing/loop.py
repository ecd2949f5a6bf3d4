"""An event loop whose time stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["StillLoop", "advance", "run_still"]

T = TypeVar("T")


class StillLoop(asyncio.SelectorEventLoop):
    """Deadlines and timers follow ``advance`` alone, so that a busy machine uses up none of them.

    Sockets work as ever. What waits for time to pass waits until somebody moves it.

    Args:
        start: First value of ``time()``, in seconds: no two machines agree on it.
    """

    def __init__(self, *, start: float = 1000.0) -> None:
        super().__init__()
        self._now = start

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return self._now

    def advance(self, seconds: float, /) -> None:
        """Let time pass; what becomes due runs when the caller next waits."""
        self._now += seconds


def run_still(main: Coroutine[Any, Any, T], *, start: float = 1000.0) -> T:
    """Run a coroutine on such a loop, and close the loop."""
    with asyncio.Runner(loop_factory=lambda: StillLoop(start=start)) as runner:
        return runner.run(main)


def advance(seconds: float) -> None:
    """Let time pass on the running loop.

    Raises:
        TypeError: It is another kind of loop.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, StillLoop):
        raise TypeError(f"{type(loop).__name__} has a time of its own: use run_still")
    loop.advance(seconds)
