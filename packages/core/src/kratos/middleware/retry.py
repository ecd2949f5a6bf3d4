"""Make a call again that has failed, where that does no harm."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from aegis.backoff import Backoff
from aegis.budget import Budget, RetryBudget
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import Error
from kratos.metrics import Meter, NopMeter
from kratos.middleware._again import (
    RETRY_CODES,
    Idempotent,
    Labelled,
    Retryable,
    avoiding,
    is_idempotent,
    pushback,
    retries_of,
    transient,
)
from kratos.middleware._peek import Peek
from kratos.middleware.idempotency import IDEMPOTENCY_KEY
from kratos.options import require_callable, require_count, require_methods, require_number
from kratos.transport.call import Call, Handler
from kratos.transport.cause import Cause
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Arity, Method

__all__ = ["retry"]

_SERVER_FAILURES: Final = 500
_TIMED_OUT: Final = 504
_BACKOFF: Final = Backoff(base=0.05, cap=1.0)


def retry(
    attempts: int = 3,
    *,
    backoff: Backoff = _BACKOFF,
    budget: Budget | None = None,
    codes: Collection[int] = RETRY_CODES,
    reasons: Collection[str] = (),
    retryable: Retryable | None = None,
    idempotent: Idempotent = is_idempotent,
    key_header: str = IDEMPOTENCY_KEY,
    attempt_timeout: float | None = None,
    stream_patience: float = 0.1,
    max_retry_after: float = 30.0,
    clock: Clock = SYSTEM_CLOCK,
    random: Callable[[], float] = _random.random,
    meter: Meter | None = None,
) -> PerMethod:
    """Make idempotent calls of a client again that failed for a reason that may pass.

    Stands innermost but for ``hedging``: what is outside of it sees calls, what is inside sees
    attempts, as the selector does. Each attempt prefers a node that none before it used, waits
    first, and keeps to the deadline of the call: where the wait would pass it, the call ends
    with the error that it has.

    Unary calls of other methods are made again if they carry a key by which the server tells that
    it is the same one (``idempotency_key``), also while the first attempt still runs there. Else
    they pass, and so do those whose requests come from an iterator. A call with
    streamed replies is made again only while its caller does not hold the stream yet, so never
    after a message of it.

    Retry at one place of a chain of services alone, or the attempts multiply.

    Args:
        attempts: Most attempts per call, the first among them; at least 1.
        backoff: Waits between attempts, in seconds, on top of what the other side asks for by
            ``Retry-After``, ``grpc-retry-pushback-ms`` or ``retry_after`` in the error's metadata.
        budget: What the retries of all calls have in common; by default a ``RetryBudget`` of this
            middleware's own: a fifth of the answered calls, and ten a second besides.
        codes: Codes of errors that may pass.
        reasons: Reasons of errors that may pass, whatever their code.
        retryable: Tells which errors may pass, in place of ``codes`` and ``reasons``.
        idempotent: Tells of a method whether its calls may run twice: by default as the
            definition says, by ``idempotency_level`` or HTTP verb.
        key_header: The request header with an idempotency key; empty if none counts.
        attempt_timeout: Seconds for each attempt of a unary call, more than 0; one that runs out
            of it is made again. ``None`` for the time of the call alone.
        stream_patience: Seconds, at least 0, that a caller waits at most for the first of streamed
            replies when it opens the stream: what fails before that is made again.
        max_retry_after: Most seconds to wait because the other side asks for it; it is not asked
            again if it asks for more.
        clock: Time.
        random: Gives numbers of [0, 1).
        meter: Makes ``client_retries_total``, by kind of transport and operation.

    Raises:
        ConfigError: A number is out of its range.
    """
    require_count("attempts", attempts)
    require_number("attempt_timeout", attempt_timeout, above=0, finite=True, optional=True)
    require_number("stream_patience", stream_patience, least=0, finite=True)
    require_number("max_retry_after", max_retry_after, least=0)
    require_callable("retryable", retryable)
    require_callable("idempotent", idempotent)
    require_methods("meter", meter, "a meter", "counter", "gauge", "histogram")
    return _Retry(
        attempts=attempts,
        backoff=backoff,
        budget=RetryBudget() if budget is None else budget,
        may_pass=transient(codes, reasons) if retryable is None else retryable,
        idempotent=idempotent,
        key_header=key_header,
        attempt_timeout=attempt_timeout,
        stream_patience=stream_patience,
        max_retry_after=max_retry_after,
        clock=clock,
        random=random,
        counter=retries_of(NopMeter() if meter is None else meter),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retry:
    attempts: int
    backoff: Backoff
    budget: Budget
    may_pass: Retryable
    idempotent: Idempotent
    key_header: str
    attempt_timeout: float | None
    stream_patience: float
    max_retry_after: float
    clock: Clock
    random: Callable[[], float]
    counter: Labelled

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        if self.attempts == 1:
            return None
        if not self.idempotent(method):
            keys = self.key_header and method.arity is Arity.UNARY
            return self._if_it_has_a_key if keys else None
        limit = self.attempt_timeout if method.arity is Arity.UNARY else None
        streams = method.arity is Arity.CLIENT_STREAM

        async def retried(call: Call, request: Any, next: Handler, /) -> Any:
            if streams and not isinstance(request, (list, tuple)):
                return await next(call, request)  # an iterator is read once
            return await self._run(call, request, next, limit)

        return retried

    async def _if_it_has_a_key(self, call: Call, request: Any, next: Handler, /) -> Any:
        if self.key_header not in call.headers:
            return await next(call, request)
        return await self._run(call, request, next, self.attempt_timeout)

    async def _run(self, call: Call, request: Any, next: Handler, limit: float | None) -> Any:
        used: list[str] = []
        peek = self.stream_patience > 0 and call.method.arity is Arity.SERVER_STREAM
        while True:
            attempt = call.fork()
            attempt.options = avoiding(call.options, used)
            if limit is not None:
                attempt.limit(limit)
            if peek:
                attempt.opening = Peek(call.opening, self.stream_patience)
            try:
                reply = await next(attempt, request)
            except Exception as error:
                delay = self._delay(call, attempt, len(used), error)
                if delay is None:
                    raise
            else:
                self.budget.deposit()
                return reply
            finally:
                call.adopt(attempt)
            used.append(attempt.peer)
            self.counter(call).inc()
            await self.clock.sleep(delay)

    def _delay(self, call: Call, attempt: Call, number: int, error: Exception) -> float | None:
        """Return the seconds to wait before the next attempt; ``None`` if there is to be none."""
        if not _is_late(call, attempt, error) and not self.may_pass(error):
            if isinstance(error, Error) and error.code < _SERVER_FAILURES:
                self.budget.deposit()  # it was answered
            return None
        if number + 1 >= self.attempts or (call.opening is not None and call.opening.attached):
            return None
        asked = pushback(attempt, error, self.clock)
        if asked > self.max_retry_after:
            return None
        # On top of what is asked for: else all who were refused together come back together.
        delay = asked + self.backoff.delay(number, self.random)
        left = call.remaining()
        if left is not None and delay >= left:
            return None
        return delay if self.budget.withdraw() else None


def _is_late(call: Call, attempt: Call, error: Exception) -> bool:
    """Tell whether an attempt ran out of the time that it had for itself."""
    if call.cause is not None:
        return False
    if attempt.cause is Cause.DEADLINE:
        return True
    # ``hedging`` makes copies of the attempt: the one that was cut off noted the cause on itself.
    return isinstance(error, Error) and error.code == _TIMED_OUT and attempt.remaining() == 0
