"""What one observation costs, and a call that is counted and timed; of this process, in ns."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, TypeAlias

from benchmarks.measure import Result
from kratos.log import StdLogger
from kratos.metrics import MemoryMeter, Meter, NopMeter
from kratos.middleware import AnyMiddleware, chain, metrics, tracing
from kratos.testing.echo import ECHO
from kratos.tracing import PassingTracer
from kratos.transport import Call, Header, Side
from kratos.workers._channel import Channel
from kratos.workers._telling import Telling

__all__ = ["measured"]

_BATCH: Final = 2000  # short: one of them finds a moment in which nobody disturbs
_SERIES: Final = 10_000
_TIMES: Final = 3
_LABELS: Final = ("kind", "operation")
_VALUES: Final = ("http", "/kratos.testing.Echo/Echo")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_TRACED: Final = (
    (b"accept", b"application/json"),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)

Batch: TypeAlias = Callable[[], float]


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all subjects round by round, alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round for a subject; a twentieth of that is enough here.
    """
    batches = _ours() | _prometheus() | _ours_on_prometheus() | _opentelemetry() | _otel()
    at_once = _snapshots()
    results: dict[tuple[str, str], Result] = {}
    for number in range(rounds + 1):
        best = dict.fromkeys(batches, float("inf"))
        for _ in range(max(1, int(seconds * 50))):  # alternating: all are disturbed alike
            for key, batch in batches.items():
                best[key] = min(best[key], batch())
        best |= {key: min(batch() for _ in range(_TIMES)) for key, batch in at_once.items()}
        for (case, name), took in best.items() if number else ():
            result = results.setdefault(
                (case, name), Result("metrics", case, name, unit="ns_per_call")
            )
            result.values.append(took * 1e9)
            result.rate = max(result.rate, 1 / took)
    return [results[key] for key in sorted(results)]


def _ours() -> dict[tuple[str, str], Batch]:
    batches: dict[tuple[str, str], Batch] = {}
    meters: dict[str, Meter] = {"kratos": MemoryMeter(), "kratos, nothing installed": NopMeter()}
    for name, meter in meters.items():
        counter = meter.counter("calls_total", labels=_LABELS).labels(*_VALUES)
        histogram = meter.histogram("seconds", labels=_LABELS, buckets=_BUCKETS).labels(*_VALUES)
        batches["count", name] = _plain(counter.inc)
        batches["observe", name] = _plain(histogram.observe, 0.03)
    chains: dict[str, Sequence[AnyMiddleware]] = {
        "kratos": [metrics(MemoryMeter())],
        "kratos, in flight": [metrics(MemoryMeter(), in_flight=True)],
        "kratos, trace passed on": [tracing(PassingTracer())],
        "no middleware": [],
    }
    return batches | {("call", name): _calls(links) for name, links in chains.items()}


def _prometheus() -> dict[tuple[str, str], Batch]:
    if not _has("prometheus_client"):
        return {}
    prometheus: Any = import_module("prometheus_client")
    registry = prometheus.CollectorRegistry()
    counter = prometheus.Counter("calls", "c", _LABELS, registry=registry)
    histogram = prometheus.Histogram("seconds", "s", _LABELS, registry=registry, buckets=_BUCKETS)
    return {
        ("count", "prometheus_client"): _plain(counter.labels(*_VALUES).inc),
        ("observe", "prometheus_client"): _plain(histogram.labels(*_VALUES).observe, 0.03),
    }


def _ours_on_prometheus() -> dict[tuple[str, str], Batch]:
    meter = _prometheus_meter()
    if meter is None:
        return {}
    counter = meter.counter("calls_total", labels=_LABELS).labels(*_VALUES)
    histogram = meter.histogram("seconds", labels=_LABELS, buckets=_BUCKETS).labels(*_VALUES)
    return {
        ("count", "kratos-prometheus"): _plain(counter.inc),
        ("observe", "kratos-prometheus"): _plain(histogram.observe, 0.03),
        ("call", "kratos-prometheus"): _calls([metrics(meter)]),
    }


def _snapshots() -> dict[tuple[str, str], Batch]:
    """Return what reads many series, and for how long a worker that tells them serves nobody."""
    batches: dict[tuple[str, str], Batch] = {}
    for name, meter in (("kratos", MemoryMeter()), ("kratos-prometheus", _prometheus_meter())):
        if meter is None:
            continue
        histogram = meter.histogram("seconds", labels=_LABELS, buckets=_BUCKETS)
        for number in range(_SERIES):
            histogram.labels("http", f"/shop.v1.Orders/Method{number}").observe(0.03)
        batches[f"snapshot of {_SERIES} histograms", name] = _once(meter.snapshot)
        batches[f"longest hold, telling {_SERIES} histograms", name] = _longest_hold(meter)
    if _has("prometheus_client"):
        prometheus: Any = import_module("prometheus_client")
        registry = prometheus.CollectorRegistry()
        seconds = prometheus.Histogram("s", "s", _LABELS, registry=registry, buckets=_BUCKETS)
        for number in range(_SERIES):
            seconds.labels("http", f"/shop.v1.Orders/Method{number}").observe(0.03)
        read = _once(lambda: [metric.samples for metric in registry.collect()])
        batches[f"snapshot of {_SERIES} histograms", "prometheus_client"] = read
    return batches


def _prometheus_meter() -> Any:
    if not _has("kratos_prometheus"):
        return None
    meter: Any = import_module("kratos_prometheus").PrometheusMeter
    return meter(registry=import_module("prometheus_client").CollectorRegistry())


def _once(function: Callable[[], object]) -> Batch:
    def batch() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return batch


def _longest_hold(meter: Any) -> Batch:
    """Return what tells how long nothing else runs, at most, while a worker tells its metrics."""
    ours, theirs = socket.socketpair()
    theirs.close()  # nothing is sent here
    channel = Channel(ours)
    telling = Telling(meter, channel, parts=True, log=StdLogger())
    channel.close()

    def batch() -> float:
        longest, start = 0.0, time.perf_counter()
        for _ in telling.frames():  # between two of them, calls go on
            now = time.perf_counter()
            longest, start = max(longest, now - start), now
        return longest

    return batch


def _opentelemetry() -> dict[tuple[str, str], Batch]:
    if not _has("opentelemetry.sdk"):
        return {}
    sdk: Any = import_module("opentelemetry.sdk.metrics")
    reader = import_module("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    meter: Any = sdk.MeterProvider(metric_readers=[reader]).get_meter("bench")
    labels = dict(zip(_LABELS, _VALUES, strict=True))
    counter = meter.create_counter("calls")
    histogram = meter.create_histogram(
        "seconds", explicit_bucket_boundaries_advisory=list(_BUCKETS)
    )
    return {
        ("count", "opentelemetry-sdk"): _plain(counter.add, 1, labels),
        ("observe", "opentelemetry-sdk"): _plain(histogram.record, 0.03, labels),
    }


def _otel() -> dict[tuple[str, str], Batch]:
    """Return calls in spans of kratos-otel, and calls that it counts."""
    if not _has("kratos_otel"):
        return {}
    otel: Any = import_module("kratos_otel")
    sdk: Any = import_module("opentelemetry.sdk.trace")
    sampling: Any = import_module("opentelemetry.sdk.trace.sampling")
    readers: Any = import_module("opentelemetry.sdk.metrics.export")
    meters: Any = import_module("opentelemetry.sdk.metrics")
    recorded = sdk.TracerProvider(sampler=sampling.ALWAYS_ON, shutdown_on_exit=False)
    recorded.add_span_processor(sdk.SpanProcessor())  # takes them, and does nothing
    left_out = sdk.TracerProvider(sampler=sampling.ALWAYS_OFF, shutdown_on_exit=False)
    counted = meters.MeterProvider([readers.InMemoryMetricReader()], shutdown_on_exit=False)
    chains: dict[str, Sequence[AnyMiddleware]] = {
        "kratos-otel, counted": [metrics(otel.OtelMeter(counted))],
        "kratos-otel, no provider": [tracing(otel.OtelTracer())],
        "kratos-otel, not sampled": [tracing(otel.OtelTracer(left_out))],
        "kratos-otel, recorded": [tracing(otel.OtelTracer(recorded))],
    }
    return {("call", name): _calls(links) for name, links in chains.items()}


def _has(module: str) -> bool:
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        found = False
    if not found:
        print(f"left out: {module} is not installed", file=sys.stderr)
    return found


def _plain(function: Callable[..., Any], *arguments: Any) -> Batch:
    def batch() -> float:
        start = time.perf_counter()
        for _ in range(_BATCH):
            function(*arguments)
        return (time.perf_counter() - start) / _BATCH

    return batch


def _calls(middleware: Sequence[AnyMiddleware]) -> Batch:
    """Return what makes calls through a chain to a handler that does nothing."""

    async def core(_call: Call, request: Any) -> Any:
        return request

    handler: Any = chain(middleware, ECHO, core)

    def batch() -> float:
        calls = [
            Call(ECHO, side=Side.SERVER, transport="http", headers=Header(_TRACED))
            for _ in range(_BATCH)
        ]
        start = time.perf_counter()
        for call in calls:
            _run(handler(call, None))
        return (time.perf_counter() - start) / _BATCH

    return batch


def _run(call: Any) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        call.send(None)
    except StopIteration:
        return
