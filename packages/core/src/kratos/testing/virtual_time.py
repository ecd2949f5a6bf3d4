"""An event loop with a time of its own: it jumps while everybody waits, or stands until moved."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, ParamSpec, TypeVar, TypeVarTuple, Unpack

from kratos.clock import SYSTEM_CLOCK

__all__ = [
    "LoopClock",
    "VirtualTimeLoop",
    "advance",
    "in_virtual_time",
    "run_in_virtual_time",
    "run_still",
]

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_EPOCH: Final = 1_700_000_000.0  # seconds since the epoch
_LOOK: Final = 0.05  # seconds between looks at what happens outside of the loop
_SETTLE: Final = 0.001  # seconds in which the system carries bytes from one socket to another


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on which an hour of waiting takes no time, and things happen in the order of time.

    When no task can run, time jumps to the next timer: a sleep, a time limit, the deadline of
    a call. What runs in the loop's executor (``asyncio.to_thread``) has the time it needs: the
    loop's own stands still meanwhile. So it does for what passes between sockets of this loop.
    What other threads and other processes do is not waited for: for them there is ``still``.

    While it runs, ``kratos.clock.SYSTEM_CLOCK`` follows it: what was given no clock waits and
    measures in virtual time, too.

    Source of the idea: the test schedulers of ReactiveX.

    Args:
        start: First value of ``time()``, in seconds: no two machines agree on it.
        still: Time never jumps, but stands until somebody calls ``advance``, so that a busy
            machine uses up no deadline. Sockets work as ever.
    """

    def __init__(self, *, start: float = 1000.0, still: bool = False) -> None:
        self._now = start
        self._still = still
        self._outside = 0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def wall(self) -> float:
        """Return the virtual time as seconds since the epoch."""
        return self._now + _EPOCH

    def advance(self, seconds: float, /) -> None:
        """Let time pass; what becomes due runs when the caller next waits."""
        self._now += seconds

    def run_forever(self) -> None:
        """Run, with the machine's clock following."""
        with SYSTEM_CLOCK.following(self.time, self.wall):
            super().run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run blocking code, while time stands still."""
        running = super().run_in_executor(executor, func, *args)
        self._outside += 1
        running.add_done_callback(self._came_back)
        return running

    async def shutdown_default_executor(self, *limit: Any, **named: Any) -> None:
        """Wait for the threads of the executor, while time stands still.

        Args:
            limit: Seconds, from Python 3.12 on.
            named: The same by its name, ``timeout``.
        """
        self._outside += 1
        try:
            await super().shutdown_default_executor(*limit, **named)
        finally:
            self._outside -= 1

    def _came_back(self, _future: asyncio.Future[Any]) -> None:
        self._outside -= 1

    def _jump(self, seconds: float) -> float:
        """Let time pass, and return the seconds to wait in earnest."""
        if self._still:
            return seconds
        if self._outside:
            return _LOOK
        self._now += seconds
        return 0.0


class LoopClock:
    """The time of the running loop, for whatever takes a ``clock``; virtual in a virtual loop.

    Made in the loop.

    Args:
        epoch: First value of ``wall()``, in seconds since the epoch.
    """

    def __init__(self, *, epoch: float = _EPOCH) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = epoch - self._loop.time()

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return self._loop.time()

    def wall(self) -> float:
        """Return seconds since the epoch, as the loop's time passes."""
        return self._loop.time() + self._offset

    async def sleep(self, seconds: float, /) -> None:
        """Wait on the loop."""
        await asyncio.sleep(seconds)


def run_in_virtual_time(main: Coroutine[Any, Any, T], /) -> T:
    """Run a program as ``asyncio.run`` does, on a ``VirtualTimeLoop``.

    Raises:
        Exception: What the program raises.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, T]:
    """Make a plain function of an ``async`` test, which runs it in virtual time.

    It takes the same fixtures; asynchronous ones would run in another loop.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_in_virtual_time(test(*args, **kwargs))

    return run


def run_still(main: Coroutine[Any, Any, T], /, *, start: float = 1000.0) -> T:
    """Run a program on a ``VirtualTimeLoop`` whose time stands until ``advance`` moves it.

    Args:
        main: The program.
        start: First value of the loop's time, in seconds.

    Raises:
        Exception: What the program raises.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start=start, still=True)) as runner:
        return runner.run(main)


def advance(seconds: float, /) -> None:
    """Let time pass on the running loop.

    Raises:
        TypeError: It is another kind of loop.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        raise TypeError(
            f"{type(loop).__name__} has the machine's time: use run_in_virtual_time or run_still"
        )
    loop.advance(seconds)


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing that only time brings."""

    def __init__(self, jump: Callable[[float], float]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; else let time pass."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # One descriptor is the loop's own, by which threads wake it.
        first = _SETTLE if len(self.get_map()) > 1 else 0
        return super().select(first) or super().select(self._jump(timeout))
