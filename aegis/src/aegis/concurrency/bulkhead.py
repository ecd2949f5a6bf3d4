"""A fixed number of slots with a bounded queue in front."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast

from aegis import _check
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency._waiters import Waiter, WaitingCoroutine, WaitingThread
from aegis.guard import Admission, Guarded, guarded, is_awaited
from aegis.outcome import Classify, Outcome, outcome_of
from aegis.refusal import Overloaded
from aegis.stats import SUM

__all__ = ["Bulkhead", "BulkheadStats", "Entrance", "Order"]

F = TypeVar("F", bound=Callable[..., Any])

Order: TypeAlias = Literal["fifo", "adaptive"]

_SUCCESS: Final = Outcome.SUCCESS
_STANDING: Final = NANOSECONDS // 10  # a queue that is older than this is no burst


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadStats:
    """What the bulkhead is about.

    Attributes:
        size: Slots.
        inflight: Slots taken.
        waiting: Calls that wait for a slot.
        admitted: Calls that got a slot since the start.
        refused: Calls refused at once since the start, for want of a slot or of room to wait.
        expired: Calls that waited too long since the start.
    """

    size: int
    inflight: int
    waiting: int
    admitted: int = field(metadata=SUM)
    refused: int = field(metadata=SUM)
    expired: int = field(metadata=SUM)


class Bulkhead(Lockable, Guarded):
    """Lets at most ``size`` calls run at a time; some more may wait for their turn.

    It keeps a slow dependency from taking all the capacity of its caller. By Little's law ``size``
    should be the peak rate of calls times their 99th percentile of latency.

    ``allow`` and ``done`` never wait. To wait, coroutines use ``acquire`` or ``async with
    bulkhead.enter()``, threads ``acquire_blocking`` or ``with bulkhead.enter()``. A freed slot is
    handed to a waiter, so nobody overtakes the queue. One that is cancelled or gives up while it
    waits leaves nothing behind, and passes a slot on that it has just been handed.

    With ``order="adaptive"`` the queue is first in, first out as long as it is emptied now and
    then; if it has not been empty for 0.1 s, the newest is served first, as the others most likely
    have given up by the time it is their turn. Source: Maurer, "Fail at Scale", ACM Queue 2015.

    Args:
        size: Calls at a time, at least 1.
        queue: Calls that may wait, 0 or more.
        max_wait: Seconds that one waits at most; ``None`` is without end.
        order: Who is served next, see above.
        clock: Monotonic nanoseconds.
        threadsafe: Hold a lock in each method, and let threads wait too; without, the object
            belongs to one loop, and only coroutines wait.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_adaptive",
        "_admitted",
        "_clock",
        "_expired",
        "_inflight",
        "_max_wait",
        "_queue",
        "_refused",
        "_since",
        "_size",
        "_threadsafe",
        "_waiters",
    )

    LOCKED: ClassVar[tuple[str, ...]] = ("_join", "_leave", "allow", "done", "stats")

    def __init__(
        self,
        size: int,
        *,
        queue: int = 0,
        max_wait: float | None = None,
        order: Order = "fifo",
        clock: Clock = SYSTEM_CLOCK,
        threadsafe: bool = False,
    ) -> None:
        _check.at_least("size", size, 1)
        _check.at_least("queue", queue, 0)
        if max_wait is not None:
            _check.at_least("max_wait", max_wait, 0)
        if order not in ("fifo", "adaptive"):
            msg = f"order must be fifo or adaptive, got {order!r}"
            raise ValueError(msg)
        self._size = size
        self._queue = queue
        self._max_wait = max_wait
        self._adaptive = order == "adaptive"
        self._clock = clock
        self._threadsafe = threadsafe
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._since = 0  # when the queue was empty last
        self._inflight = self._admitted = self._refused = self._expired = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight."""
        return self._size

    def allow(self) -> int | None:
        """Return 0, or ``None`` if there is no slot; never waits."""
        if self._inflight >= self._size:
            self._refused += 1
            return None
        self._inflight += 1
        self._admitted += 1
        return 0

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Free the slot, or hand it to one that waits."""
        self._release()

    async def acquire(self, timeout: float | None = None) -> int:
        """Wait for a slot and return the token for ``done``; for coroutines.

        Cancellation while waiting leaves nothing to be done.

        Args:
            timeout: Seconds to wait at most, if that is less than ``max_wait``.

        Raises:
            Overloaded: The queue is full, or the time is up.
        """
        loop = asyncio.get_running_loop()
        waiter = WaitingCoroutine(loop, threadsafe=self._threadsafe)
        if self._join(waiter):
            return 0
        wait = self._bound(timeout)
        timer = None if wait is None else loop.call_later(wait, waiter.go_on)
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._leave(waiter, expired=False, keep=False)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return self._settled(waiter)

    def acquire_blocking(self, timeout: float | None = None) -> int:
        """Wait for a slot and return the token for ``done``; for threads.

        Args:
            timeout: Seconds to wait at most, if that is less than ``max_wait``.

        Raises:
            Overloaded: The queue is full, or the time is up.
            RuntimeError: The bulkhead is not ``threadsafe``.
        """
        if not self._threadsafe:
            msg = "threads wait for a bulkhead that was made with threadsafe=True only"
            raise RuntimeError(msg)
        waiter = WaitingThread()
        if self._join(waiter):
            return 0
        try:
            waiter.wait(self._bound(timeout))
        except BaseException:  # such as KeyboardInterrupt
            self._leave(waiter, expired=False, keep=False)
            raise
        return self._settled(waiter)

    def enter(self, timeout: float | None = None, *, classify: Classify = outcome_of) -> Entrance:
        """Return a context manager that waits for a slot: ``async with``, or ``with`` in threads.

        Args:
            timeout: Seconds to wait at most, if that is less than ``max_wait``.
            classify: As for ``guard``.
        """
        return Entrance(self, timeout, classify)

    def refusal(self) -> Overloaded:
        """Return the exception that tells a caller of the refusal."""
        return Overloaded(
            f"all {self._size} slots are taken and {len(self._waiters)} of {self._queue} may wait"
        )

    def stats(self) -> BulkheadStats:
        """Return the slots and the counts."""
        return BulkheadStats(
            size=self._size,
            inflight=self._inflight,
            waiting=len(self._waiters),
            admitted=self._admitted,
            refused=self._refused,
            expired=self._expired,
        )

    def _bound(self, timeout: float | None) -> float | None:
        bounds = [bound for bound in (timeout, self._max_wait) if bound is not None]
        return max(min(bounds), 0.0) if bounds else None

    def _settled(self, waiter: Waiter) -> int:
        if not self._leave(waiter, expired=True, keep=True):
            msg = f"no slot of {self._size} became free in time"
            raise Overloaded(msg)
        return 0

    def _join(self, waiter: Waiter) -> bool:
        """Take a slot and return True, or queue up and return False; raise if neither goes."""
        if self._inflight < self._size:
            self._inflight += 1
            self._admitted += 1
            return True
        if len(self._waiters) >= self._queue:
            self._refused += 1
            raise self.refusal()
        if self._adaptive and not self._waiters:
            self._since = self._clock()
        self._waiters[waiter] = None
        return False

    def _leave(self, waiter: Waiter, *, expired: bool, keep: bool) -> bool:
        """Leave the queue; return whether the waiter has a slot, which it keeps or passes on."""
        if waiter.granted:
            if not keep:
                self._admitted -= 1
                self._release()
            return keep
        del self._waiters[waiter]
        self._expired += expired
        return False

    def _release(self) -> None:
        while self._waiters:
            newest = self._adaptive and self._clock() - self._since > _STANDING
            waiter, _ = self._waiters.popitem(last=newest)
            waiter.granted = True
            if waiter.wake():
                self._admitted += 1
                return
        self._inflight -= 1


class Entrance(Admission):
    """One wait for a slot and its use; see ``Bulkhead.enter``. May be used again, but not nested.

    As a decorator of a coroutine function it waits in the coroutine, of a function in the thread.
    """

    __slots__ = ("_bulkhead", "_timeout")

    def __init__(self, bulkhead: Bulkhead, timeout: float | None, classify: Classify) -> None:
        super().__init__(bulkhead, classify)
        self._bulkhead = bulkhead
        self._timeout = timeout

    def __enter__(self) -> None:
        self._check()
        self._token = self._bulkhead.acquire_blocking(self._timeout)

    async def __aenter__(self) -> None:
        self._check()
        self._token = await self._bulkhead.acquire(self._timeout)

    def __call__(self, function: F, /) -> F:
        """Decorate a function or a coroutine function; each call waits for a slot by itself."""

        def again() -> Entrance:
            return Entrance(self._bulkhead, self._timeout, self._classify)

        if not is_awaited(function):
            return guarded(again, function)

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            async with again():
                return await function(*args, **kwargs)

        return cast("F", awaited)

    def _check(self) -> None:
        if self._token is not None:
            msg = "this entrance is in use: ask the bulkhead for another"
            raise RuntimeError(msg)
