"""Metrics on OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from inspect import signature
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    Sum,
)
from opentelemetry.sdk.trace import TracerProvider

from kratos import App, Error, plugins
from kratos.metrics import Distribution, Family, Kind, Meter, Snapshot
from kratos.middleware import metrics, tracing
from kratos.testing import MemoryLogger, serving
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.meter_contract import MeterContract, UsableMeterContract
from kratos_otel import OtelMeter, OtelTracer


class Reading:
    """A meter, and what a reader finds in it."""

    def __init__(self, **options: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = OtelMeter(self.provider, **options)

    def metrics(self) -> dict[str, Metric]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        return list(self.metrics()[name].data.data_points)


@pytest.fixture
def reading() -> Reading:
    return Reading()


class TestContract(MeterContract):
    threads = True

    @pytest.fixture
    def reading(self) -> Reading:
        return Reading()

    @pytest.fixture
    def meter(self, reading: Reading) -> Meter:
        self._reading = reading
        return reading.meter

    async def read(self, meter: Meter) -> Snapshot:
        return [_family(metric) for metric in self._reading.metrics().values()]


def _family(metric: Metric) -> Family:
    points: Any = metric.data.data_points
    kind: Kind = "counter" if isinstance(metric.data, Sum) else "gauge"
    if any(isinstance(point, HistogramDataPoint) for point in points):
        kind = "histogram"
    return Family(
        name=metric.name,
        kind=kind,
        labels=tuple(points[0].attributes),
        across="sum",
        series={tuple(map(str, point.attributes.values())): _value(point) for point in points},
    )


def _value(point: Any) -> float | Distribution:
    if not isinstance(point, HistogramDataPoint):
        return float(point.value)
    return Distribution(
        bounds=tuple(point.explicit_bounds), counts=tuple(point.bucket_counts), total=point.sum
    )


class TestWithoutAnything(UsableMeterContract):
    """No Telemetry, no global provider."""

    @pytest.fixture
    def meter(self) -> Meter:
        return OtelMeter()


def of(point: Any) -> Mapping[str, object]:
    attributes: Mapping[str, object] = dict(point.attributes)
    return attributes


async def test_calls_are_told_under_the_names_of_go(reading: Reading) -> None:
    async with serving(EchoService(), middleware=[metrics(reading.meter)]) as caller:
        await caller.unary(ECHO, text("hello"))
        with pytest.raises(Error):
            await caller.unary(ECHO, text("fail"))
    labels = {"kind": "local", "operation": ECHO.operation}
    assert [(of(point), point.value) for point in reading.points("server_requests_code_total")] == [
        ({**labels, "code": 200, "reason": ""}, 1),
        ({**labels, "code": 409, "reason": "BUSY"}, 1),
    ]
    (seconds,) = reading.points("server_requests_seconds")
    assert (of(seconds), seconds.count) == (labels, 2)
    assert seconds.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
    units = {name: metric.unit for name, metric in reading.metrics().items()}
    assert units == {"server_requests_code_total": "{call}", "server_requests_seconds": "s"}


def test_meters_on_one_provider_share_their_instruments(reading: Reading) -> None:
    for meter in (reading.meter, OtelMeter(reading.provider)):
        meter.counter("orders_total", labels=("kind",)).labels("a").inc()
    assert [point.value for point in reading.points("orders_total")] == [2]
    with pytest.raises(ValueError, match="taken by another counter"):
        OtelMeter(reading.provider).gauge("orders_total")


async def test_whole_numbers_stay_whole(reading: Reading) -> None:
    whole, part = reading.meter.counter("whole_total"), reading.meter.counter("part_total")
    whole.inc()
    whole.inc(2.0)
    part.inc(0.5)
    assert [type(reading.points(name)[0].value) for name in ("whole_total", "part_total")] == [
        int,
        float,
    ]


async def test_recorded_call_leaves_its_trace(reading: Reading) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    chain = [tracing(OtelTracer(provider)), metrics(reading.meter)]
    async with serving(EchoService(), middleware=chain) as caller:
        await caller.unary(ECHO, text("hello"))
    (point,) = reading.points("server_requests_seconds")
    (exemplar,) = point.exemplars
    assert exemplar.trace_id


@pytest.mark.parametrize("name", ["", "_a", "1a", "a-b", "a.b", "ü", "a" * 256, "\udc80"])
def test_name_that_is_none_is_refused(reading: Reading, name: str) -> None:
    with pytest.raises(ValueError, match="no name to OpenTelemetry and Prometheus"):
        reading.meter.counter(name)


def test_label_that_is_none_is_refused(reading: Reading) -> None:
    with pytest.raises(ValueError, match="'a-b' is no name"):
        reading.meter.counter("calls_total", labels=("a-b",))
    with pytest.raises(TypeError, match=r"write \['kind'\]"):
        reading.meter.counter("calls_total", labels="kind")


def test_unit_that_is_none_is_refused(reading: Reading) -> None:
    with pytest.raises(ValueError, match="unit of a_total must be ASCII"):
        reading.meter.counter("a_total", unit="x" * 64)


def test_further_values_of_labels_are_counted_together_and_that_is_told_once() -> None:
    log = MemoryLogger()
    reading = Reading(max_series=2, log=log)
    orders = reading.meter.counter("orders_total", labels=("order", "kind"))
    for number in range(5):
        orders.labels(f"order-{number}", "a").inc()
    orders.labels("order-1", "a").inc()

    shown = {point.attributes["order"]: point.value for point in reading.points("orders_total")}
    assert shown == {"order-0": 1, "order-1": 2, "other": 3}
    ((_, _, fields),) = log.records
    assert fields == {"metric": "orders_total", "most": 2, "first": "order-2,a"}


def test_gauge_that_nobody_touched_is_not_shown(reading: Reading) -> None:
    gauge = reading.meter.gauge("free", labels=("kind",))
    child = gauge.labels("a")
    assert reading.metrics() == {}
    child.set(0)
    assert [(of(point), point.value) for point in reading.points("free")] == [({"kind": "a"}, 0)]


async def test_gauges_are_set_on_the_event_loop_when_a_thread_reads(reading: Reading) -> None:
    gauge, threads = reading.meter.gauge("free"), list[int]()

    def publish() -> None:
        threads.append(threading.get_ident())
        gauge.set(len(threads))

    reading.meter.on_collect(publish)
    found = await asyncio.to_thread(reading.points, "free")
    assert [point.value for point in found] == [1]
    assert threads == [threading.get_ident()]


async def test_reader_does_not_wait_for_ever_for_a_loop_that_is_busy(reading: Reading) -> None:
    gauge = reading.meter.gauge("free")
    gauge.set(7)
    reading.meter.on_collect(lambda: gauge.set(8))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(reading.points("free")))
    thread.start()
    thread.join(10)  # blocks this loop, as a program may that computes
    assert [point.value for point in found] == [7]


def test_gauges_are_set_after_the_end_of_the_loop(reading: Reading) -> None:
    gauge = reading.meter.gauge("free")

    async def register() -> None:
        reading.meter.on_collect(lambda: gauge.set(8))

    asyncio.run(register())
    assert [point.value for point in reading.points("free")] == [8]


async def test_failure_to_set_a_gauge_is_logged() -> None:
    log = MemoryLogger()
    reading = Reading(log=log)

    def fail() -> None:
        raise LookupError("no figure today")

    reading.meter.on_collect(fail)
    reading.meter.gauge("free").set(1)
    assert [point.value for point in reading.points("free")] == [1]
    assert log.messages() == ["a gauge could not be set"]


@pytest.mark.skipif(
    "cardinality_limits" not in signature(InMemoryMetricReader).parameters,
    reason="the SDK cuts nothing off before 1.45.2",
)
def test_series_without_end_are_cut_off_by_the_sdk(reading: Reading) -> None:
    counter = reading.meter.counter("calls_total", labels=("user",))
    for number in range(5000):
        counter.labels(str(number)).inc()
    points = reading.points("calls_total")
    assert len(points) == 2001  # the last one has what is beyond
    assert sum(point.value for point in points) == 5000


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(plugins.DISABLED, "kratos.metrics:datadog,kratos.metrics:prometheus")
    plugins.clear()
    yield
    monkeypatch.undo()
    plugins.clear()


@pytest.mark.usefixtures("installed")
def test_application_takes_it_once_it_is_installed() -> None:
    assert isinstance(App(name="orders").options.metrics, OtelMeter)
