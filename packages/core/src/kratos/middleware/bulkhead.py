"""Let a few calls run at a time, and some more wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aegis.concurrency import Bulkhead
from aegis.guard import Guard
from aegis.refusal import Refused
from kratos.errors import ConfigError
from kratos.metrics import Meter, NopMeter
from kratos.middleware._admission import indifferent
from kratos.middleware._guard_gauges import GuardGauges
from kratos.middleware._guarding import Guarding, Linking, OfMethods, Per, Streams
from kratos.middleware._rate import Rate
from kratos.middleware._refusal import Refusals
from kratos.transport.call import Call, Handler
from kratos.transport.cause import Cause
from kratos.transport.chain import Middleware

__all__ = ["bulkhead"]

DEFAULT_MAX_WAIT: Final = 1.0  # seconds


def bulkhead(
    size: int | Callable[[], Bulkhead],
    *,
    queue: int = 0,
    max_wait: float | None = DEFAULT_MAX_WAIT,
    per: Per = "instance",
    streams: Streams = "hold",
    keys: int = 10_000,
    meter: Meter | None = None,
    name: str = "",
) -> Guarding:
    """Let ``size`` calls run at a time; refuse with 429 ``BULKHEAD`` those that cannot even wait.

    On a client it keeps one slow service from taking all that its caller has; on a server it
    guards something that bears a known number of calls. The size should be the peak rate of calls
    times their 99th percentile of latency.

    A call waits at most ``max_wait`` seconds, and never beyond its deadline, which ends it with
    504; one whose deadline has passed does not begin to wait. Cancellation leaves the queue.

    Args:
        size: Calls at a time, at least 1; or what makes the bulkheads, for further options.
        queue: Calls that may wait, 0 or more. Not with a factory.
        max_wait: Seconds that one waits at most; ``None`` for no limit but the deadline. Not with
            a factory.
        per: What has a bulkhead of its own: this ``instance``, an ``operation``, or each key that
            a function of the call returns; where that is ``None``, the call passes unasked.
        streams: ``hold`` a slot to the end, ask only for the ``opening``, or ``exempt`` them.
        keys: How many bulkheads are kept; the one not used for longest goes first.
        meter: Makes ``client_requests_refused_total``, ``server_requests_refused_total`` and
            gauges ``bulkhead_*``.
        name: Label of the gauges, where there are several bulkheads.

    Raises:
        ConfigError: A number or another option has no such value.
    """
    make = _factory(size, queue, max_wait)
    meter = NopMeter() if meter is None else meter
    linking = _Waiting(
        refusals=Refusals(429, "BULKHEAD", "too many calls run and wait already", meter),
        judge=indifferent,
        streams=streams,
    )
    gauges = GuardGauges(meter, "bulkhead", name)
    return OfMethods(make, per=per, linking=linking, gauges=gauges, keys=keys)


def _factory(
    size: int | Callable[[], Bulkhead], queue: int, max_wait: float | None
) -> Callable[[], Bulkhead]:
    if callable(size):
        if queue or max_wait != DEFAULT_MAX_WAIT:
            raise ConfigError(
                "bulkhead: queue and max_wait go with a number; here they are the factory's to give"
            )
        return size

    def make() -> Bulkhead:
        return Bulkhead(size, queue=queue, max_wait=max_wait)

    if not isinstance(cast("object", size), int):
        raise ConfigError(
            f"bulkhead: {size!r} is no number of calls, and makes no bulkheads; "
            "write one that you have as lambda: that"
        )
    try:
        make()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"bulkhead: {error}") from error
    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting(Linking):
    """Links that wait for their slots."""

    def fits(self, limiter: object) -> bool:
        return isinstance(limiter, Bulkhead)

    def link(self, limiter: Guard | Rate, *, streaming: bool) -> Middleware:
        one = cast("Bulkhead", limiter)
        return _waiting(one, self.refusals, hold=not (streaming and self.streams == "opening"))


def _waiting(bulkhead: Bulkhead, refusals: Refusals, *, hold: bool) -> Middleware:
    acquire, done = bulkhead.acquire, bulkhead.done

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        if call.remaining() == 0:
            raise Cause.DEADLINE.error()
        try:
            token = await acquire()
        except Refused as refused:
            raise refusals.error(call, refused) from refused
        if not hold:
            done(token)
            return await next(call, request)
        try:
            return await next(call, request)
        finally:
            done(token)

    return admitted
