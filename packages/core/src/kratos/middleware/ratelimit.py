"""Refuse the calls that there is no room or no right for (Go: middleware/ratelimit)."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Final, Literal, TypeAlias, cast

from aegis.concurrency import Aimd, Bbr, Gradient2, Vegas
from aegis.guard import Guard
from kratos.errors import ConfigError
from kratos.metrics import Meter, NopMeter
from kratos.middleware._guard_gauges import GuardGauges
from kratos.middleware._guarding import Guarding, Linking, OfKeys, OfMethods, Per, Streams
from kratos.middleware._rate import KeyedRate, Rate, SharedRate
from kratos.middleware._refusal import Refusals
from kratos.middleware._turns import Turns
from kratos.middleware._verdict import Classify, judge, wants_of_capacity

__all__ = ["Limiter", "LimiterName", "ratelimit"]

LimiterName: TypeAlias = Literal["bbr", "gradient2", "vegas", "aimd"]

Limiter: TypeAlias = (
    "LimiterName | Guard | Rate | KeyedRate | SharedRate | Callable[[], Guard | Rate]"
)
"""A name, an object of ``aegis``, or what makes one."""

_NAMED: Final[dict[str, Callable[[], Guard]]] = {
    "bbr": Bbr,
    "gradient2": Gradient2,
    "vegas": Vegas,
    "aimd": Aimd,
}


def ratelimit(
    limiter: Limiter = "bbr",
    *,
    per: Per = "instance",
    streams: Streams = "hold",
    count_waiting: bool = True,
    classify: Classify = wants_of_capacity,
    keys: int = 10_000,
    meter: Meter | None = None,
    name: str = "",
) -> Guarding:
    """Refuse calls with 429 ``RATELIMIT``; nothing of them has run then.

    The limiter is one of concurrency, which hears how each call ended, or one of rates. ``bbr`` is
    Go Kratos' own and the default for that reason; ``gradient2`` is the one to choose for a
    service: it needs no reading of the CPU, and keeps latency bounded from the first seconds of
    an overload on (see the documentation of aegis)::

        ratelimit("gradient2")
        ratelimit(Gradient2(max_limit=200))
        ratelimit(lambda: Gradient2(), per="operation")
        ratelimit(KeyedGcra(rate=10, burst=20), per=caller_of)

    Where the limiter knows it, the error's metadata say in ``retry_after`` how many seconds to
    wait, and so does the header ``Retry-After`` of a server.

    A stream holds its slot until it ends. Its length is no latency: it teaches the limiter
    nothing. Cancellation frees the slot, and is no sign of overload.

    Args:
        limiter: A name; a limiter; or what makes limiters, where there is to be more than one.
        per: What has a limiter of its own. ``instance``, as in Go: one limiter for all calls
            through this object. ``operation``: one for each. A function of the call: one for
            each key that it returns; where that is ``None``, the call passes unasked.
        streams: ``hold`` a slot to the end, ask only for the ``opening``, or ``exempt`` them.
        count_waiting: Whether calls that wait for the event loop are in flight to a limiter of
            concurrency, and their wait is latency. Without that, handlers that compute and await
            nothing are never limited: they run one after the other, and wait unseen. On servers,
            unary calls of over 0.1 ms then begin in a turn of the loop of their own, which costs
            some 5 microseconds.
        classify: What the end of a unary call says to a limiter of concurrency.
        keys: How many limiters are kept that a factory made for keys; the one not used for
            longest goes first.
        meter: Makes ``server_requests_refused_total`` and gauges ``ratelimit_*`` of the states.
        name: Label of the gauges, where there are several limiters.

    Raises:
        ConfigError: An option has no such value, or the limiter does not go with ``per``.
    """
    meter = NopMeter() if meter is None else meter
    message = "service unavailable due to rate limit exceeded"
    linking = Linking(
        refusals=Refusals(429, "RATELIMIT", message, meter),
        judge=judge(classify),
        streams=streams,
        ask_always=classify is not wants_of_capacity,
        turns=Turns() if count_waiting else None,
    )
    gauges = GuardGauges(meter, "ratelimit", name)
    if not isinstance(limiter, str) and _tells_keys_apart(limiter):
        keyed = cast("KeyedRate | SharedRate", limiter)
        return OfKeys(keyed, per=per, linking=linking, gauges=gauges)
    make = _factory(limiter, per)
    return OfMethods(make, per=per, linking=linking, gauges=gauges, keys=keys)


def _tells_keys_apart(limiter: object) -> bool:
    if isinstance(limiter, type):
        return False
    decide = getattr(limiter, "allow", None) or getattr(limiter, "take", None)
    return callable(decide) and "key" in signature(decide).parameters


def _factory(limiter: object, per: Per) -> Callable[[], Guard | Rate]:
    """Return what makes limiters.

    Raises:
        ConfigError: There is one already and several are wanted, or it is no limiter.
    """
    if isinstance(limiter, str):
        if limiter not in _NAMED:
            names = ", ".join(_NAMED)
            raise ConfigError(f"there is no limiter {limiter!r}: choose one of {names}")
        return _NAMED[limiter]
    if not isinstance(limiter, type) and hasattr(limiter, "allow"):
        if per != "instance":
            raise ConfigError(
                f"{limiter!r} is one limiter: per={per!r} needs what makes them, for example "
                f"{type(limiter).__name__} itself, or a limiter that tells keys apart"
            )
        one = cast("Guard | Rate", limiter)
        return lambda: one
    if callable(limiter):
        return cast("Callable[[], Guard | Rate]", limiter)
    raise ConfigError(
        f"{limiter!r} is no limiter: pass a name, an object with allow, or what makes one"
    )
