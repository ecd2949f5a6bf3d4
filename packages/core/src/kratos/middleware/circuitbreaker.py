"""Stop calling what fails (Go: middleware/circuitbreaker)."""

from __future__ import annotations

from collections.abc import Callable

from aegis.circuitbreaker import SreBreaker
from aegis.guard import Guard
from kratos.errors import ConfigError
from kratos.metrics import Meter, NopMeter
from kratos.middleware._guard_gauges import GuardGauges
from kratos.middleware._guarding import Guarding, Linking, OfMethods, Per
from kratos.middleware._refusal import Refusals
from kratos.middleware._verdict import Classify, failures_of_go, judge

__all__ = ["circuitbreaker"]


def circuitbreaker(
    factory: Callable[[], Guard] = SreBreaker.kratos3,
    *,
    per: Per = "operation",
    classify: Classify = failures_of_go,
    keys: int = 10_000,
    meter: Meter | None = None,
    name: str = "",
) -> Guarding:
    """Refuse calls of what fails too often with 503 ``CIRCUITBREAKER``; they are not made then.

    Made for clients, and of use on servers. On a client it stands above retries and above the
    choice of a node: a breaker sees calls, not attempts, and judges an operation on all nodes
    together; to avoid single nodes is the selector's part. Give each client one of its own.

    As in Go Kratos v3 the codes 500, 503 and 504 are failures, and so are exceptions that are no
    ``Error`` and deadlines that passed. All else is a success, errors 4xx included. Calls that
    were cancelled say nothing. A stream is judged by its end.

    Args:
        factory: Makes the breakers, each when it is first needed. By default ``SreBreaker`` with
            the numbers of Kratos v3, which counts its refusals as Go does.
        per: What has a breaker of its own: an ``operation``, this ``instance``, or each key that
            a function of the call returns; where that is ``None``, the call passes unasked.
        classify: What the end of a call says.
        keys: How many breakers are kept; the one not used for longest goes first.
        meter: Makes ``client_requests_refused_total`` and gauges ``circuitbreaker_*``.
        name: Label of the gauges, where there are several of these.

    Raises:
        ConfigError: ``factory`` makes nothing, or ``per`` has no such value.
    """
    if not callable(factory):
        raise ConfigError(
            f"factory={factory!r} makes no breakers: pass a class or a function, not a breaker"
        )
    meter = NopMeter() if meter is None else meter
    message = "request failed due to circuit breaker triggered"
    verdict = judge(classify)
    linking = Linking(
        refusals=Refusals(503, "CIRCUITBREAKER", message, meter),
        judge=verdict,
        judge_stream=verdict,
        ask_always=classify is not failures_of_go,
    )
    gauges = GuardGauges(meter, "circuitbreaker", name)
    return OfMethods(factory, per=per, linking=linking, gauges=gauges, keys=keys)
