"""When there is not enough for all, refuse the least important calls first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from aegis.concurrency import Gradient2, Priority, Shedder
from aegis.guard import Guard
from aegis.outcome import Outcome as Verdict
from aegis.refusal import Refused
from kratos.errors import ConfigError
from kratos.metrics import Meter, NopMeter
from kratos.middleware._guard_gauges import GuardGauges
from kratos.middleware._guarding import Guarding, Linking, OfMethods, Per, Streams
from kratos.middleware._rate import Rate
from kratos.middleware._refusal import Refusals
from kratos.middleware._turns import Turns
from kratos.middleware._verdict import Classify, judge, wants_of_capacity
from kratos.transport.call import Call, Handler
from kratos.transport.cause import Cause
from kratos.transport.chain import Middleware

__all__ = ["PRIORITY_HEADER", "PriorityOf", "priority_by_header", "shedding"]

PRIORITY_HEADER: Final = "x-md-global-priority"
"""Tells how important a call is. The middleware ``metadata`` passes it on from service to service,
so that all calls made for one request are as important as that."""

PriorityOf: TypeAlias = Callable[[Call], int]

_NAMES: Final = {priority.name.lower(): int(priority) for priority in Priority}
_SUCCESS: Final = Verdict.SUCCESS
_LAST: Final = 127
_DIGITS: Final = 3


def priority_by_header(
    name: str = PRIORITY_HEADER,
    *,
    default: int = Priority.NORMAL,
    best: int = Priority.CRITICAL,
) -> PriorityOf:
    """Return a function that reads the priority of a call from a request header.

    The value is ``critical``, ``high``, ``normal``, ``low``, or a number from 0, the most
    important, to 127.

    Args:
        name: Of the header.
        default: Priority of calls without it, or with something else in it.
        best: The most important priority that callers may claim. Where strangers call, set it to
            ``Priority.NORMAL``, or let the proxy in front take the header away.
    """

    def priority(call: Call) -> int:
        text = call.headers.get(name)
        if not text:
            return default
        value = _NAMES.get(text)
        if value is None:
            # No more digits: a long text must not become a long number.
            known = len(text) <= _DIGITS and text.isascii() and text.isdecimal()
            value = min(int(text), _LAST) if known else default
        return max(value, best)

    return priority


def shedding(
    shedder: Shedder | Callable[[], Shedder] | None = None,
    *,
    priority: PriorityOf | None = None,
    per: Per = "instance",
    streams: Streams = "hold",
    count_waiting: bool = True,
    classify: Classify = wants_of_capacity,
    keys: int = 10_000,
    meter: Meter | None = None,
    name: str = "",
) -> Guarding:
    """Refuse calls by their priority with 429 ``SHEDDING``, as many as there are too many.

    In place of ``ratelimit`` where calls differ in importance: the shedder has a limiter of its
    own, ``Gradient2`` by default. A call whose deadline has passed is refused with 504, however
    important: nobody waits for it.

    Args:
        shedder: One, or what makes them; by default ``Shedder(Gradient2())``.
        priority: Tells the priority of a call, from 0, the most important. What is beyond the
            levels of the shedder is taken for its first or last one. By default
            ``priority_by_header()``, which reads ``x-md-global-priority``.
        per: What has a shedder of its own: this ``instance``, an ``operation``, or each key that
            a function of the call returns; where that is ``None``, the call passes unasked.
        streams: ``hold`` a slot to the end, ask only for the ``opening``, or ``exempt`` them.
        count_waiting: As for ``ratelimit``.
        classify: What the end of a unary call says to the limiter.
        keys: How many shedders are kept; the one not used for longest goes first.
        meter: Makes ``server_requests_refused_total`` and gauges ``shedding_*``.
        name: Label of the gauges, where there are several shedders.

    Raises:
        ConfigError: There is one shedder, and ``per`` wants several; or an option has no such
            value.
    """
    meter = NopMeter() if meter is None else meter
    linking = _ByPriority(
        refusals=Refusals(429, "SHEDDING", "too much is asked of the service", meter),
        judge=judge(classify),
        streams=streams,
        ask_always=classify is not wants_of_capacity,
        turns=Turns() if count_waiting else None,
        priority=priority_by_header() if priority is None else priority,
    )
    gauges = GuardGauges(meter, "shedding", name)
    return OfMethods(_factory(shedder, per), per=per, linking=linking, gauges=gauges, keys=keys)


def _factory(shedder: Shedder | Callable[[], Shedder] | None, per: Per) -> Callable[[], Shedder]:
    if shedder is None:
        return lambda: Shedder(Gradient2())
    if not isinstance(shedder, Shedder):
        if not callable(cast("object", shedder)):
            raise ConfigError(f"{shedder!r} is no Shedder, and makes none")
        return shedder
    if per != "instance":
        raise ConfigError(f"{shedder!r} is one shedder: per={per!r} needs what makes them")
    return lambda: shedder


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByPriority(Linking):
    """Links that ask with the priority of the call."""

    priority: PriorityOf

    def fits(self, limiter: object) -> bool:
        return isinstance(limiter, Shedder)

    def link(self, limiter: Guard | Rate, *, streaming: bool) -> Middleware:
        shedder, priority = cast("Shedder", limiter), self.priority
        last = len(shedder.stats().admitted) - 1
        links: dict[int, Middleware] = {}

        def linked(level: int) -> Middleware:
            one = Linking.link(self, _AtLevel(shedder, level), streaming=streaming)
            links[level] = one
            return one

        async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
            if call.remaining() == 0:
                raise Cause.DEADLINE.error()
            level = min(max(priority(call), 0), last)  # callers may say what there is not
            return await (links.get(level) or linked(level))(call, request, next)

        return admitted


class _AtLevel:
    """A shedder as a guard for the calls of one priority."""

    __slots__ = ("_allow", "_done", "_level", "_shedder")

    def __init__(self, shedder: Shedder, level: int) -> None:
        self._shedder = shedder
        self._allow = shedder.allow
        self._done = shedder.done
        self._level = level

    def allow(self) -> int | None:
        return self._allow(self._level)

    def done(self, token: int, outcome: Verdict = _SUCCESS, /) -> None:
        self._done(token, outcome)

    def refusal(self) -> Refused:
        return self._shedder.refusal()
