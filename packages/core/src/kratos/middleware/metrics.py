"""Count and time calls (Go: middleware/metrics, contrib/otel/metrics)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.metrics import (
    SECONDS_BUCKETS,
    Collecting,
    Counter,
    Meter,
    NopMeter,
    Observer,
    default_meter,
)
from kratos.middleware._metering import (
    END_LABELS,
    LABELS,
    CallSeries,
    OpenStreams,
    StreamSeries,
    counting_messages,
    counting_open,
    measuring,
    once_per_kind,
)
from kratos.transport.call import Call, Side
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["SECONDS_BUCKETS", "metrics"]


def metrics(
    meter: Meter | None = None,
    *,
    requests: Counter | None = None,
    seconds: Observer | None = None,
    in_flight: bool = False,
    messages: bool = False,
    reasons: int = 100,
    clock: Clock = SYSTEM_CLOCK,
) -> PerMethod:
    """Count calls by code and reason, and time them, on servers and clients and of all arities.

    The instruments are those of Go Kratos: the counter ``server_requests_code_total`` with the
    labels kind, operation, code and reason, and the histogram ``server_requests_seconds`` with
    kind and operation; on a client their names begin with ``client_``. The kind is that of the
    transport. A call that ends well has the code 200 and no reason. A stream is one call, and its
    seconds are those until its end.

    An ``App`` with a meter has it in the chains of its servers by default, see
    ``App(count_calls=...)``; where a chain names it, that is the only one.

    Outermost in a chain it sees all calls, also those that are refused further in. Inside
    ``retry`` it sees attempts. With a meter that drops everything it leaves itself out.

    Args:
        meter: Makes the instruments; by default that of the ``App`` around the server or the
            client, and outside of one ``default_meter()``.
        requests: A counter of your own, with those four labels in that order. If this or
            ``seconds`` is given, the other one is not counted unless it is given, too, as in Go.
        seconds: A histogram of your own, with those two labels.
        in_flight: Whether to show ``server_requests_in_flight`` and ``client_requests_in_flight``,
            too: calls that have begun and not ended, by kind and operation. Go has no such thing,
            and it is written twice a call.
        messages: Whether to count the messages of streams, too, by kind and operation, in
            ``server_messages_sent_total`` and ``server_messages_received_total`` and those of
            clients. Go has no such thing. They are taken from the calls when a ``Collecting``
            meter is read, and when a call ends: nothing is done for each message.
        reasons: How many pairs of code and reason have a series of their own for each kind and
            operation, at least 1. Errors come from peers, too, who must not make series without
            end: later pairs, and reasons of more than 128 characters, are counted as ``other``.
        clock: Time.

    Raises:
        ConfigError: ``reasons`` is less than 1.
    """
    if reasons < 1:
        raise ConfigError(f"reasons={reasons}: at least 1 end of a call needs a series")
    return _Metrics(
        meter=meter,
        requests=requests,
        seconds=seconds,
        in_flight=in_flight,
        messages=messages,
        reasons=reasons,
        # The clock of the machine is asked directly: it is read twice a call.
        now=time.perf_counter if clock is SYSTEM_CLOCK else clock.time,
        streams=[],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metrics:
    meter: Meter | None
    requests: Counter | None
    seconds: Observer | None
    in_flight: bool
    messages: bool
    reasons: int
    now: Callable[[], float]
    streams: list[tuple[Meter, OpenStreams]]

    @property
    def counts_calls(self) -> bool:
        return True

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        meter = _surrounding() if self.meter is None else self.meter
        if type(meter) is not NopMeter:
            return self._bound(method, meter)
        if self.requests is None and self.seconds is None:
            return None
        return self._measured(method, meter)

    def _bound(self, method: Method[Any, Any], meter: Meter) -> Middleware:
        bound = self._measured(method, meter)
        streaming = method.arity.client_streams or method.arity.server_streams
        if self.messages and streaming:
            bound = counting_messages(bound, _messages(meter, method), self._streams_of(meter))
        if self.in_flight:
            bound = counting_open(bound, _open(meter, method))
        return bound

    def _measured(self, method: Method[Any, Any], meter: Meter) -> Middleware:
        own = self.requests is not None or self.seconds is not None
        sides = {
            side: (self.requests, self.seconds) if own else _instruments(meter, side)
            for side in Side
        }

        def series(call: Call) -> CallSeries:
            requests, seconds = sides[call.side]
            return CallSeries(
                call, requests=requests, seconds=seconds, method=method, most=self.reasons
            )

        return measuring(once_per_kind(series), self.now)

    def _streams_of(self, meter: Meter) -> OpenStreams:
        """Return the open streams that a meter shows: one set for all methods."""
        for known, streams in self.streams:
            if known is meter:
                return streams
        streams = OpenStreams()
        self.streams.append((meter, streams))
        if isinstance(meter, Collecting):
            meter.on_collect(streams.tell)
        return streams


def _surrounding() -> Meter:
    from kratos.app._context import CURRENT  # an App is built on chains, and so on this

    app = CURRENT.get()
    return default_meter() if app is None else app.options.metrics


def _instruments(meter: Meter, side: Side) -> tuple[Counter, Observer]:
    requests = meter.counter(
        f"{side.value}_requests_code_total",
        description="Calls that have ended, by code and reason.",
        unit="{call}",
        labels=END_LABELS,
    )
    seconds = meter.histogram(
        f"{side.value}_requests_seconds",
        description="Seconds of calls, from their begin to their end.",
        unit="s",
        labels=LABELS,
        buckets=SECONDS_BUCKETS,
    )
    return requests, seconds


def _open(meter: Meter, method: Method[Any, Any]) -> Callable[[Call], Any]:
    gauges = {
        side: meter.gauge(
            f"{side.value}_requests_in_flight",
            description="Calls that have begun and not ended.",
            unit="{call}",
            labels=LABELS,
            across="sum",
        )
        for side in Side
    }
    return once_per_kind(
        lambda call: gauges[call.side].labels(call.transport, method.operation),
    )


def _messages(meter: Meter, method: Method[Any, Any]) -> Callable[[Call], StreamSeries]:
    ways = {
        (side, way): meter.counter(
            f"{side.value}_messages_{way}_total",
            description=f"Messages of streams that were {way}.",
            unit="{message}",
            labels=LABELS,
        )
        for side in Side
        for way in ("sent", "received")
    }
    return once_per_kind(
        lambda call: StreamSeries(
            ways[call.side, "sent"].labels(call.transport, method.operation),
            ways[call.side, "received"].labels(call.transport, method.operation),
        ),
    )
