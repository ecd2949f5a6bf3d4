"""Attempts: how many there are, after what another follows, and when it is not worth it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from aegis.circuitbreaker import SreBreaker
from aegis.outcome import Outcome
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.conditions import Judge, judges_of
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.times import in_seconds
from kratos_http.carrier import TooLarge

__all__ = ["Retry", "attempts_of", "per_try_timeout_of", "timeout_of"]

_TIMEOUT: Final = 1.0
_IDEMPOTENT: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"))


def timeout_of(endpoint: Endpoint) -> float:
    """Return the seconds that a request of an endpoint may take."""
    return _seconds(endpoint.timeout) or _TIMEOUT


def per_try_timeout_of(endpoint: Endpoint) -> float:
    """Return the seconds that an attempt may take."""
    return _seconds(endpoint.retry.per_try_timeout) or timeout_of(endpoint)


def attempts_of(endpoint: Endpoint) -> int:
    """Return how many attempts there are at most."""
    return max(1, endpoint.retry.attempts)


class Retry:
    """Makes the attempts of the requests of one endpoint.

    Another attempt follows one that came to no answer, or to one that fulfils a condition. A
    breaker of the endpoint stops that while most of them fail, too.

    Args:
        endpoint: The endpoint.
        enabled: Tells whether the feature is on.
        unsafe: Whether what is asked by other than idempotent methods is asked again, too.
        make_breaker: Makes the breaker.

    Raises:
        ConfigError: A condition is none.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        enabled: Callable[[], bool],
        unsafe: bool,
        make_breaker: Callable[[], SreBreaker],
    ) -> None:
        self.attempts = attempts_of(endpoint)
        self._judges: Sequence[Judge] = judges_of(endpoint.retry.conditions)
        self._enabled = enabled
        self._unsafe = unsafe
        self._breaker = make_breaker()

    def may(self, method: str) -> bool:
        """Tell whether a request may have more than one attempt."""
        return self.attempts > 1 and (self._unsafe or method in _IDEMPOTENT)

    async def run(
        self,
        request: Request,
        attempt: Callable[[Request], Awaitable[Answer]],
        again: Callable[[], Request | None],
        tell: Callable[[str], None],
    ) -> Answer:
        """Return the first good answer, or the last that there is.

        Args:
            request: The first attempt.
            attempt: Makes one.
            again: Returns the next one; ``None`` if the body cannot be sent again.
            tell: Learns what became of each but the first.

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
                good = not any(judge(last) for judge in self._judges)
            except (OSError, TooLarge) as error:
                failure, last, good = error, None, False
            if made:
                self._note(tell, good=good)
            made += 1
            following = None
            if not good and made < self.attempts:
                following = self._following(again, tell)
            if following is None:
                request.options.last_attempt = True
                if last is None:
                    assert failure is not None, "there is an answer, or why there is none"
                    raise failure
                return last
            if last is not None and not isinstance(last.body, bytes):
                last.body.close()
            request = following

    def _following(
        self, again: Callable[[], Request | None], tell: Callable[[str], None]
    ) -> Request | None:
        if not self._enabled():
            return None
        if self._breaker.allow() is None:
            tell("breaker")
            return None
        return again()

    def _note(self, tell: Callable[[str], None], *, good: bool) -> None:
        self._breaker.done(0, Outcome.SUCCESS if good else Outcome.FAILURE)
        tell("true" if good else "false")


def _seconds(duration: Duration) -> float:
    return max(0.0, in_seconds(duration))
