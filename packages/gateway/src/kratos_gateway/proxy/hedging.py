"""Attempts side by side: another one begins when none has answered for a while.

What most nodes answer soon, one that is busy does not hold up then. Source: J. Dean and L. A.
Barroso, "The Tail at Scale", 2013; what follows a failure is as gRPC's proposal A6 has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from kratos.clock import Clock
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.proxy.retry import NO_ANSWER, Again, Attempt, Retry, Tell, drop, forever
from kratos_gateway.retries import is_idempotent

__all__ = ["Hedge"]


class Hedge:
    """Makes the attempts of the requests of one endpoint, where they may overlap.

    The first good answer counts, and what is under way besides is cancelled, so that its nodes
    learn of it. An attempt that failed is followed by another one at once, or after the wait of the
    ``pace``. How many there are, and whether there is another one at all, is for ``retry`` to say.

    Args:
        retry: Says so.
        delay: Seconds without an answer after which another attempt begins.
        unsafe: Whether requests by other than idempotent methods are hedged, too.
        clock: Time for the delay.
    """

    def __init__(self, retry: Retry, *, delay: float, unsafe: bool, clock: Clock) -> None:
        self.retry = retry
        self.delay = delay
        self.clock = clock
        self._unsafe = unsafe

    def may(self, method: str) -> bool:
        """Tell whether the attempts of a request may overlap."""
        return self._unsafe or is_idempotent(method)

    async def run(
        self,
        request: Request,
        attempt: Attempt,
        again: Again,
        tell: Tell,
        left: Callable[[], float] = forever,
        *,
        ready: Callable[[], bool],
    ) -> Answer:
        """Return the first good answer, or the last that there is.

        Args:
            request: The first attempt.
            attempt: See ``Retry.run``; the attempts run at once, each with options of its own.
            again: See there.
            tell: See there; ``cancelled`` is an attempt that another one was faster than.
            left: See there.
            ready: Tells whether the body can be sent by several attempts at once.

        Raises:
            OSError: The last attempt came to no answer.
            Exception: Something that another attempt would not change.

        Cancellation: cancels the attempts, too.
        """
        race = _Race(self, attempt, again, tell, left, ready)
        try:
            return await race.run(request)
        finally:
            race.end()


class _Race:
    """The attempts of one request."""

    __slots__ = (
        "_again",
        "_attempt",
        "_failure",
        "_last",
        "_left",
        "_made",
        "_of",
        "_options",
        "_over",
        "_ready",
        "_running",
        "_tell",
        "_timer",
    )

    def __init__(
        self,
        of: Hedge,
        attempt: Attempt,
        again: Again,
        tell: Tell,
        left: Callable[[], float],
        ready: Callable[[], bool],
    ) -> None:
        self._of = of
        self._attempt = attempt
        self._again = again
        self._tell = tell
        self._left = left
        self._ready = ready
        self._made = 0
        self._over = False  # no further attempt begins
        self._running: dict[asyncio.Task[Answer], tuple[int, Request]] = {}
        self._timer: asyncio.Task[None] | None = None
        self._last: Answer | None = None
        self._failure: Exception | None = None

    async def run(self, first: Request) -> Answer:
        self._options = first.options
        self._begin(first)
        while self._running or self._timer is not None:
            waited = (*self._running, *(() if self._timer is None else (self._timer,)))
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in self._running if each.done()]:
                answer = self._take(task)
                if answer is not None:
                    self._of.retry.end(good=True)
                    return answer
            if self._timer is not None and self._timer.done():
                self._timer = None
                self._go_on()
        self._options.last_attempt = True
        if self._last is None:
            assert self._failure is not None, "there is an answer, or why there is none"
            raise self._failure
        last, self._last = self._last, None
        return last

    def end(self) -> None:
        """Cancel what is under way, and drop what it comes to."""
        if self._timer is not None:
            self._timer.cancel()
        for task, (number, _) in self._running.items():
            task.cancel()
            task.add_done_callback(_drop)
            if number:
                self._tell("cancelled")
        self._running.clear()
        drop(self._last)

    def _begin(self, request: Request) -> None:
        number = self._made
        self._made += 1
        self._over = self._made >= self._of.retry.attempts
        if number:  # the node of an attempt, and whether it is late, are its own
            request.options = replace(self._options)
        request.options.last_attempt = self._over
        task = asyncio.ensure_future(self._attempt(request))
        self._running[task] = (number, request)
        self._wait(self._of.delay)

    def _take(self, task: asyncio.Task[Answer]) -> Answer | None:
        """Take what an attempt came to; return its answer if it is good."""
        number, request = self._running.pop(task)
        retry = self._of.retry
        answer: Answer | None = None
        good = False
        try:
            answer = task.result()
            good = retry.is_good(answer)
        except NO_ANSWER as error:
            self._failure = error
        if number:
            retry.note(self._tell, good=good)
        if answer is not None:
            self._options.current_node = request.options.current_node
        if good:
            return answer
        if answer is not None:  # what is no good tells more than that nothing came
            drop(self._last)
            self._last = answer
        self._after_failure(answer)
        return None

    def _after_failure(self, answer: Answer | None) -> None:
        """Have another attempt begin at once, or when its wait is over."""
        pace = self._of.retry.pace
        if self._over:
            return
        wait = 0.0 if pace is None else pace.wait(self._made, answer)
        if pace is not None and wait >= self._left():
            self._stop()
        elif wait > 0:
            self._wait(wait)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Begin another attempt, if there may be one."""
        if self._over:
            return
        if self._running and not self._ready():
            self._wait(self._of.delay)
            return
        following = self._of.retry.following(self._again, self._tell)
        if following is None:
            self._stop()
        else:
            self._begin(following)

    def _stop(self) -> None:
        self._over = True
        self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """Set the time at which another attempt begins."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self._over:
            self._timer = asyncio.ensure_future(self._of.clock.sleep(seconds))


def _drop(task: asyncio.Task[Answer]) -> None:
    if not task.cancelled() and task.exception() is None:
        drop(task.result())
