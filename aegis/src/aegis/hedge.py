"""A second copy of a call that is slow, and the first answer of the two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from aegis._check import at_least, between
from aegis.budget import Budget
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.quantile import LatencyQuantile

__all__ = ["MAX_ATTEMPTS", "HedgePolicy", "hedged"]

T = TypeVar("T")

MAX_ATTEMPTS: Final = 5  # copies of one call

_LOG: Final = logging.getLogger("aegis.hedge")


def _never(_error: Exception) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgePolicy:
    """When to send another copy of a call that has no answer yet. Only for idempotent calls.

    Source: J. Dean and L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013; gRPC proposal A6,
    whose policy has the same limits.

    Args:
        attempts: Most copies per call, the first among them; from 1 to 5.
        delay: Seconds from one copy to the next, at least 0; or a quantile of latency, which
            ``hedged`` then feeds: at 0.95 about one call in 20 gets a second copy.
        budget: What the copies of all calls have in common; ``None`` for no such limit. Not the
            budget of a ``retry`` around ``hedged``: each answer would be paid in twice.
        non_fatal: Whether to go on after an error, always an ``Exception``, of one copy: the next
            copy is sent at once, and the others may still answer. By default any error ends the
            call.

    Raises:
        ValueError: A value is out of its range.
    """

    attempts: int = 2
    delay: float | LatencyQuantile
    budget: Budget | None = None
    non_fatal: Callable[[Exception], bool] = _never

    def __post_init__(self) -> None:
        between("attempts", self.attempts, 1, MAX_ATTEMPTS)
        if not isinstance(self.delay, LatencyQuantile):
            at_least("delay", self.delay, 0)

    def next_delay(self, sent: int) -> float | None:
        """Return the seconds to wait for an answer before another copy is sent.

        Args:
            sent: How many copies have been sent, at least 1.

        Returns:
            ``None`` if no other copy is to be sent. Does not ask the budget.
        """
        if sent >= self.attempts:
            return None
        return self.delay.value if isinstance(self.delay, LatencyQuantile) else self.delay


def _logged(error: BaseException) -> None:
    _LOG.info("a copy of a call failed beside another: %r", error)


async def hedged(
    policy: HedgePolicy,
    call: Callable[[], Coroutine[Any, Any, T]],
    *,
    on_lost: Callable[[BaseException], object] = _logged,
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """Run ``call()``, and more copies of it as the policy says; return the first answer.

    Copies run as tasks. When this returns or raises, all have ended: those that are not needed any
    more are cancelled and awaited.

    Args:
        policy: How many copies, and when.
        call: Makes one copy.
        on_lost: Hears of each error that is not raised because another copy answered or failed.
            By default it is logged, and so is what ``on_lost`` raises.
        clock: Gives monotonic nanoseconds, for the latency that a quantile is fed with.

    Raises:
        Exception: That of the first copy that failed for good, or of the last one if all failed.

    Cancellation: cancels and awaits all copies.
    """
    race = _Race(policy, call, on_lost)
    started = clock()
    try:
        answer = await race.run()
    finally:
        await race.end()
    if isinstance(policy.delay, LatencyQuantile):
        # From the start of the call, whichever copy answered. Before the delay only the first
        # could, so the share of calls beyond it is the one without hedging: no drift.
        policy.delay.observe((clock() - started) / NANOSECONDS)
    if policy.budget is not None:
        policy.budget.deposit()
    return answer


class _Race(Generic[T]):
    """The copies of one call."""

    __slots__ = ("_call", "_lost", "_policy", "_running", "_sent", "_spent")

    def __init__(
        self,
        policy: HedgePolicy,
        call: Callable[[], Coroutine[Any, Any, T]],
        lost: Callable[[BaseException], object],
    ) -> None:
        self._policy = policy
        self._call = call
        self._lost = lost
        self._running: list[asyncio.Task[T]] = []  # in the order in which they were sent
        self._sent = 0
        self._spent = False

    async def run(self) -> T:
        """Return the first answer or raise the error that ends the call."""
        self._send()
        while True:
            done, _ = await asyncio.wait(
                self._running, timeout=self._delay(), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._hedge()
                continue
            for task in [task for task in self._running if task in done]:
                if not task.cancelled() and task.exception() is None:
                    self._running.remove(task)
                    return task.result()
            for task in [task for task in self._running if task in done]:
                self._running.remove(task)
                self._failed(task)

    def _failed(self, task: asyncio.Task[T]) -> None:
        """Raise the error of a copy if it ends the call, else see to another copy."""
        error = None if task.cancelled() else task.exception()
        if not isinstance(error, Exception) or not self._policy.non_fatal(error):
            task.result()  # raises
        self._hedge()
        if not self._running:
            task.result()
        if error is not None:
            self._tell(error)

    def _delay(self) -> float | None:
        return None if self._spent else self._policy.next_delay(self._sent)

    def _hedge(self) -> None:
        """Send another copy if policy and budget allow it."""
        if self._delay() is None:
            return
        if self._policy.budget is not None and not self._policy.budget.withdraw():
            self._spent = True  # once refused, this call waits for what it has
            return
        self._send()

    def _send(self) -> None:
        self._sent += 1
        self._running.append(asyncio.create_task(self._call()))

    def _tell(self, error: BaseException) -> None:
        try:
            self._lost(error)
        except Exception:
            _LOG.exception("on_lost of a hedged call failed, for %r", error)

    async def end(self) -> None:
        """Cancel what still runs and wait for it, though the caller be cancelled meanwhile."""
        for task in self._running:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while pending := [task for task in self._running if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as again:
                cancelled = again
        for task in self._running:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._tell(error)
        if cancelled is not None:
            raise cancelled
