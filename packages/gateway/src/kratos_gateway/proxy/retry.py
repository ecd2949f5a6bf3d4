"""Attempts: how many there are, after what another follows, and when it is not worth it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from google.protobuf.duration_pb2 import Duration

from aegis.budget import RetryBudget
from aegis.circuitbreaker import SreBreaker
from aegis.outcome import Outcome
from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.conditions import Judge, judges_of
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.proxy.pacing import Pace
from kratos_gateway.retries import is_idempotent
from kratos_gateway.streams import stream_problem
from kratos_gateway.times import in_seconds
from kratos_http.carrier import TooLarge

__all__ = [
    "NO_ANSWER",
    "Again",
    "Attempt",
    "Retry",
    "Tell",
    "attempts_of",
    "drop",
    "forever",
    "per_try_timeout_of",
    "timeout_of",
]

_TIMEOUT: Final = 1.0

NO_ANSWER: Final = (OSError, TooLarge)
"""What an attempt raises that another one may follow."""

Attempt: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Makes an attempt."""

Again: TypeAlias = Callable[[], Request | None]
"""Returns the next attempt; ``None`` if the body cannot be sent again."""

Tell: TypeAlias = Callable[[str], None]
"""Learns what became of each attempt but the first."""


def timeout_of(endpoint: Endpoint) -> float:
    """Return the seconds that a request of an endpoint may take."""
    return _seconds(endpoint.timeout) or _TIMEOUT


def per_try_timeout_of(endpoint: Endpoint) -> float:
    """Return the seconds that an attempt may take."""
    return _seconds(endpoint.retry.per_try_timeout) or timeout_of(endpoint)


def attempts_of(endpoint: Endpoint) -> int:
    """Return how many attempts there are at most."""
    return max(1, endpoint.retry.attempts)


def forever() -> float:
    """Return the seconds that are left where there is no limit."""
    return float("inf")


class Retry:
    """Makes the attempts of the requests of one endpoint.

    Another attempt follows one that came to no answer, or to one that fulfils a condition. A
    breaker of the endpoint stops that while most of them fail, too.

    Args:
        endpoint: The endpoint, whose ``idempotent_only`` goes before ``unsafe``.
        enabled: Tells whether the feature is on.
        unsafe: Whether what is asked by other than idempotent methods is asked again, too.
        make_breaker: Makes the breaker.
        budget: Bounds further attempts by requests that are answered well; ``None`` for no bound.
        pace: Tells how long to wait before one; ``None`` for not at all.

    Raises:
        ConfigError: A condition is none, or the endpoint is one of streams.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        enabled: Callable[[], bool],
        unsafe: bool,
        make_breaker: Callable[[], SreBreaker],
        budget: RetryBudget | None = None,
        pace: Pace | None = None,
    ) -> None:
        told = endpoint.retry
        problem = stream_problem(endpoint)
        if problem is not None:
            raise ConfigError(f"retry: {problem}")
        self.attempts = attempts_of(endpoint)
        self.pace = pace
        self._judges: Sequence[Judge] = judges_of(told.conditions)
        self._enabled = enabled
        self._unsafe = not told.idempotent_only if told.HasField("idempotent_only") else unsafe
        self._breaker = make_breaker()
        self._budget = budget

    def may(self, method: str) -> bool:
        """Tell whether a request may have more than one attempt."""
        return self.attempts > 1 and (self._unsafe or is_idempotent(method))

    async def run(
        self,
        request: Request,
        attempt: Attempt,
        again: Again,
        tell: Tell,
        left: Callable[[], float] = forever,
    ) -> Answer:
        """Return the first good answer, or the last that there is.

        Args:
            request: The first attempt.
            attempt: See there.
            again: See there.
            tell: See there.
            left: Tells the seconds that are left to the request: no attempt follows a wait that
                would take all of them.

        Raises:
            OSError: The last attempt came to no answer.
            Exception: Something that another attempt would not change.
        """
        last: Answer | None = None
        made = 0
        while True:
            request.options.last_attempt = made + 1 >= self.attempts
            failure: Exception | None = None
            try:
                last = await attempt(request)
                good = self.is_good(last)
            except NO_ANSWER as error:
                failure, last, good = error, None, False
            if made:
                self.note(tell, good=good)
            made += 1
            following: Request | None = None
            wait = 0.0
            if not good and made < self.attempts:
                if self.pace is not None:
                    wait = self.pace.wait(made, last)
                if self.pace is None or wait < left():
                    following = self.following(again, tell)
            if following is None:
                request.options.last_attempt = True
                self.end(good=good)
                if last is None:
                    assert failure is not None, "there is an answer, or why there is none"
                    raise failure
                return last
            drop(last)
            if self.pace is not None:
                await self.pace.sleep(wait)
            request = following

    def is_good(self, answer: Answer) -> bool:
        """Tell whether an answer is good enough to be the last."""
        return not any(judge(answer) for judge in self._judges)

    def following(self, again: Again, tell: Tell) -> Request | None:
        """Return another attempt, if there may be one."""
        if not self._enabled():
            return None
        if self._breaker.allow() is None:
            tell("breaker")
            return None
        following = again()
        if following is not None and self._budget is not None and not self._budget.withdraw():
            tell("budget")
            return None
        return following

    def note(self, tell: Tell, *, good: bool) -> None:
        """Note what became of a further attempt."""
        self._breaker.done(0, Outcome.SUCCESS if good else Outcome.FAILURE)
        tell("true" if good else "false")

    def end(self, *, good: bool) -> None:
        """Note what became of a request."""
        if good and self._budget is not None:
            self._budget.deposit()


def drop(answer: Answer | None) -> None:
    """Cut off an answer that nobody wants."""
    if answer is not None and not isinstance(answer.body, bytes):
        answer.body.close()


def _seconds(duration: Duration) -> float:
    return max(0.0, in_seconds(duration))
