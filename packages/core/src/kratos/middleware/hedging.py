"""Send a call that has no answer yet once more, and take the answer that comes first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aegis.budget import Budget, RetryBudget
from aegis.hedge import MAX_ATTEMPTS, HedgePolicy, hedged
from aegis.quantile import LatencyQuantile
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
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
from kratos.options import require_callable, require_count, require_methods
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Arity, Method

__all__ = ["hedging"]


def hedging(
    attempts: int = 2,
    *,
    delay: float | None = None,
    quantile: float = 0.95,
    initial: float = 0.1,
    budget: Budget | None = None,
    codes: Collection[int] = RETRY_CODES,
    reasons: Collection[str] = (),
    retryable: Retryable | None = None,
    idempotent: Idempotent = is_idempotent,
    clock: Clock = SYSTEM_CLOCK,
    meter: Meter | None = None,
) -> PerMethod:
    """Hedge the unary calls of a client that may run twice; other calls pass.

    Stands innermost, inside ``retry`` if there is one. Each copy prefers a node that none before
    it used, and is an attempt like any other to what is inside, the selector among it. When one
    has answered, the others are cancelled, at their servers too, and awaited.

    An error that may pass makes way for the next copy at once, unless the server asks for time;
    any other ends the call.

    Source: J. Dean and L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013; gRPC proposal A6.

    Args:
        attempts: Most copies of a call, the first among them; from 1 to 5.
        delay: Seconds from one copy to the next, at least 0; ``None`` to follow ``quantile``.
        quantile: Of the operation's latency, after which the next copy is sent: at 0.95, one call
            in 20 has a second.
        initial: Seconds that stand for it until 100 calls have been answered.
        budget: What the copies of all calls have in common; by default a ``RetryBudget`` of this
            middleware's own: a tenth of the answered calls, and one a second besides. Not the one
            of a ``retry`` around.
        codes: Codes of errors that may pass.
        reasons: Reasons of errors that may pass, whatever their code.
        retryable: Tells which errors may pass, in place of ``codes`` and ``reasons``.
        idempotent: Tells of a method whether its calls may run twice: by default as the
            definition says, by ``idempotency_level`` or HTTP verb.
        clock: Tells how far away a date is that a server asks to wait for.
        meter: Makes ``client_retries_total``, by kind of transport and operation.

    Raises:
        ConfigError: A number is out of its range.
    """
    require_count("attempts", attempts)
    if attempts > MAX_ATTEMPTS:
        raise ConfigError(f"attempts={attempts}: from 1 to {MAX_ATTEMPTS} copies of a call")
    require_callable("retryable", retryable)
    require_callable("idempotent", idempotent)
    require_methods("meter", meter, "a meter", "counter", "gauge", "histogram")
    made = _Hedging(
        attempts=attempts,
        delay=delay,
        quantile=quantile,
        initial=initial,
        budget=RetryBudget(ratio=0.1, min_per_second=1) if budget is None else budget,
        may_pass=transient(codes, reasons) if retryable is None else retryable,
        idempotent=idempotent,
        clock=clock,
        counter=retries_of(NopMeter() if meter is None else meter),
    )
    try:
        HedgePolicy(delay=made.wait())
    except ValueError as error:
        raise ConfigError(f"hedging: {error}") from error
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hedging:
    attempts: int
    delay: float | None
    quantile: float
    initial: float
    budget: Budget
    may_pass: Retryable
    idempotent: Idempotent
    clock: Clock
    counter: Labelled

    def wait(self) -> float | LatencyQuantile:
        """Return the time between copies, of one operation."""
        if self.delay is not None:
            return self.delay
        return LatencyQuantile(self.quantile, initial=self.initial)

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        if self.attempts == 1 or method.arity is not Arity.UNARY or not self.idempotent(method):
            return None
        wait = self.wait()

        async def hedge(call: Call, request: Any, next: Handler, /) -> Any:
            race = _Race(self, call, request, next)
            policy = HedgePolicy(
                attempts=self.attempts, delay=wait, budget=self.budget, non_fatal=race.goes_on
            )
            winner, reply = await hedged(policy, race.copy)
            call.adopt(winner)
            return reply

        return hedge


class _Race:
    """The copies of one call."""

    __slots__ = ("_call", "_copies", "_next", "_of", "_pushed", "_request")

    def __init__(self, of: _Hedging, call: Call, request: Any, next: Handler) -> None:
        self._of = of
        self._call = call
        self._request = request
        self._next = next
        self._copies: list[Call] = []
        self._pushed = False

    async def copy(self) -> tuple[Call, Any]:
        """Make one copy of the call."""
        copy = self._call.fork()
        copy.options = avoiding(self._call.options, [each.peer for each in self._copies])
        self._copies.append(copy)
        if len(self._copies) > 1:
            self._of.counter(self._call).inc()
        try:
            return copy, await self._next(copy, self._request)
        except Exception as error:
            self._call.adopt(copy)
            self._pushed = self._pushed or pushback(copy, error, self._of.clock) > 0
            raise

    def goes_on(self, error: Exception) -> bool:
        """Tell whether the call goes on after an error of one copy."""
        return not self._pushed and self._of.may_pass(error)
