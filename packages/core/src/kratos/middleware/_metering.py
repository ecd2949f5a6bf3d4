"""The links of a chain that count and time calls, with their series looked up before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from kratos.errors import OK_CODE
from kratos.metrics import Counter, Gauge, Observer
from kratos.middleware._outcome import outcome
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware
from kratos.transport.method import Method

__all__ = [
    "END_LABELS",
    "LABELS",
    "CallSeries",
    "OpenStreams",
    "StreamSeries",
    "counting_messages",
    "counting_open",
    "measuring",
    "once_per_kind",
]

T = TypeVar("T")

LABELS: Final = ("kind", "operation")
END_LABELS: Final = (*LABELS, "code", "reason")

_OTHER: Final = "other"
_LONGEST: Final = 128  # characters of a reason that has a series of its own
_CODES: Final = range(100, 600)
_SERVER: Final = Side.SERVER
_UNKNOWN: Final = 500


class CallSeries:
    """The series of one method, on one side, over one kind of transport.

    Attributes:
        side: The side.
        kind: The kind of transport.
        observe: Takes the seconds of a call.
        count_well: Counts a call that ended well.
    """

    __slots__ = (
        "_children",
        "_kind",
        "_most",
        "_others",
        "_requests",
        "count_well",
        "kind",
        "observe",
        "side",
    )

    def __init__(
        self,
        call: Call,
        *,
        requests: Counter | None,
        seconds: Observer | None,
        method: Method[Any, Any],
        most: int,
    ) -> None:
        self.side = call.side
        self.kind = call.transport
        self._kind = (call.transport, method.operation)
        self._requests = requests
        self._most = most
        self._children: dict[tuple[int, str], Counter] = {}
        self._others: dict[int, Counter] = {}
        self.observe: Callable[[float], None] = _nothing
        self.count_well: Callable[[], None] = _nothing
        if seconds is not None:
            self.observe = seconds.labels(*self._kind).observe
        if requests is not None:
            self.count_well = self._child(requests, OK_CODE, "").inc

    def count(self, call: Call, error: BaseException | None) -> None:
        """Count the end of a call."""
        if self._requests is not None:
            end = outcome(call, error)
            child = self._children.get((end.code, end.reason))
            if child is None:
                child = self._child(self._requests, end.code, end.reason)
            child.inc()

    def _child(self, requests: Counter, code: int, reason: str) -> Counter:
        if len(self._children) < self._most and len(reason) <= _LONGEST:
            child = requests.labels(*self._kind, str(code), reason)
            self._children[code, reason] = child
            return child
        code = code if code in _CODES else _UNKNOWN  # an error may have any number
        other = self._others.get(code)
        if other is None:
            other = self._others[code] = requests.labels(*self._kind, str(code), _OTHER)
        return other


def measuring(series_of: Callable[[Call], CallSeries], now: Callable[[], float]) -> Middleware:
    """Return the link that counts and times."""
    # A chain nearly always belongs to one side and one kind of transport.
    last: CallSeries | None = None

    async def measured(call: Call, request: Any, next: Handler, /) -> Any:
        nonlocal last
        series = last
        if series is None or series.kind != call.transport or series.side is not call.side:
            series = last = series_of(call)
        start = now()
        try:
            reply = await next(call, request)
        except BaseException as error:
            series.observe(now() - start)
            series.count(call, error)
            raise
        series.observe(now() - start)
        if call.cause is None:
            series.count_well()
        else:  # whatever was made of the cancellation is not what the caller gets
            series.count(call, None)
        return reply

    return measured


def counting_open(inner: Middleware, gauge_of: Callable[[Call], Gauge]) -> Middleware:
    """Return ``inner`` with a gauge of the calls within."""

    async def counted(call: Call, request: Any, next: Handler, /) -> Any:
        gauge = gauge_of(call)
        gauge.add(1.0)
        try:
            return await inner(call, request, next)
        finally:
            gauge.add(-1.0)

    return counted


class StreamSeries(NamedTuple):
    """Counters of the messages of streams."""

    sent: Counter
    received: Counter


class OpenStreams:
    """Streams that have not ended, and how much of them was counted."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: set[_Told] = set()

    def add(self, call: Call, series: StreamSeries) -> _Told:
        """Count the messages of a call from now on, and return what ``remove`` needs."""
        told = _Told(call, series)
        self._open.add(told)
        return told

    def remove(self, told: _Told) -> None:
        """Count what is left of a call that has ended."""
        self._open.remove(told)
        told.tell()

    def tell(self) -> None:
        """Count what was sent and received until now."""
        for told in self._open:
            told.tell()


class _Told:
    """How many messages of a stream were counted."""

    __slots__ = ("_call", "_received", "_sent", "_series")

    def __init__(self, call: Call, series: StreamSeries) -> None:
        self._call = call
        self._series = series
        self._sent = 0
        self._received = 0

    def tell(self) -> None:
        # Of a call that is made again, the figures are those of the last attempt.
        sent, received = self._call.sent, self._call.received
        if sent > self._sent:
            self._series.sent.inc(sent - self._sent)
        if received > self._received:
            self._series.received.inc(received - self._received)
        self._sent, self._received = sent, received


def counting_messages(
    inner: Middleware, series_of: Callable[[Call], StreamSeries], streams: OpenStreams
) -> Middleware:
    """Return ``inner`` with counters of the messages of its calls."""

    async def counted(call: Call, request: Any, next: Handler, /) -> Any:
        told = streams.add(call, series_of(call))
        try:
            return await inner(call, request, next)
        finally:
            streams.remove(told)

    return counted


def once_per_kind(make: Callable[[Call], T]) -> Callable[[Call], T]:
    """Return ``make`` with its results kept by side and kind of transport."""
    servers: dict[str, T] = {}
    clients: dict[str, T] = {}

    def found(call: Call) -> T:
        made = servers if call.side is _SERVER else clients
        value = made.get(call.transport)
        if value is None:
            value = made[call.transport] = make(call)
        return value

    return found


def _nothing(_seconds: float = 0.0) -> None:
    """Stand for an instrument that was not given."""
