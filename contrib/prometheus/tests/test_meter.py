"""The meter on prometheus_client."""

from __future__ import annotations

import json
import re
from typing import Any

import prometheus_client as client
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as plain

from kratos import App, plugins
from kratos.errors import ConfigError
from kratos.log import Level
from kratos.metrics import Distribution, Family, Meter, Snapshot, from_wire, merge, to_wire
from kratos.middleware import metrics, tracing
from kratos.testing import serving
from kratos.testing.app import FakeServer, running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.testing.meter_contract import MeterContract
from kratos.testing.tracing import MemoryTracer
from kratos_prometheus import PrometheusMeter

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def meter(registry: CollectorRegistry) -> PrometheusMeter:
    return PrometheusMeter(registry=registry)


class TestContract(MeterContract):
    threads = True

    @pytest.fixture
    def meter(self) -> Meter:
        return PrometheusMeter(registry=CollectorRegistry())


class TestContractOnTheDefaultRegistry(MeterContract):
    threads = True

    @pytest.fixture
    def meter(self) -> Meter:
        return PrometheusMeter()


def openmetrics(body: bytes) -> list[Metric]:
    untyped: Any = openmetrics_parser
    return list(untyped.text_string_to_metric_families(body.decode()))


def families(body: bytes) -> dict[str, Metric]:
    return {family.name: family for family in plain(body.decode())}


def value(body: bytes, name: str, **labels: str) -> float:
    found = [
        sample.value
        for family in plain(body.decode())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, (name, labels, body.decode())
    return found[0]


async def test_calls_are_shown_under_the_names_of_go(meter: PrometheusMeter) -> None:
    async with serving(EchoService(), middleware=[metrics(meter)]) as caller:
        await caller.unary(ECHO, text("hello"))
    body = await meter.render()
    labels = {"kind": "local", "operation": ECHO.operation}
    assert value(body, "server_requests_code_total", code="200", reason="", **labels) == 1
    buckets = [
        sample.labels["le"]
        for sample in families(body)["server_requests_seconds"].samples
        if sample.name == "server_requests_seconds_bucket"
    ]
    assert buckets == ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "+Inf"]


async def test_series_that_say_when_they_began_are_left_out(meter: PrometheusMeter) -> None:
    meter.counter("orders_total").inc()
    meter.histogram("packing_seconds").observe(0.1)
    for body in (await meter.render(), (await meter.render_as(OPENMETRICS))[0]):
        assert b"_created" not in body


async def test_counter_without_the_usual_end_of_its_name_gets_it(meter: PrometheusMeter) -> None:
    meter.counter("orders").inc()
    assert meter.counter("orders_total") is meter.counter("orders")
    assert value(await meter.render(), "orders_total") == 1


async def test_unit_that_prometheus_would_put_into_the_name_is_not(meter: PrometheusMeter) -> None:
    meter.gauge("queue", unit="{order}").set(3)
    assert value(await meter.render(), "queue") == 3


async def test_metrics_that_the_program_made_itself_are_shown_too(
    meter: PrometheusMeter, registry: CollectorRegistry
) -> None:
    client.Counter("own_total", "Own.", registry=registry).inc(3)
    assert value(await meter.render(), "own_total") == 3


def test_name_that_the_program_has_taken_itself_is_refused_by_name(
    meter: PrometheusMeter, registry: CollectorRegistry
) -> None:
    client.Gauge("own", "Own.", registry=registry)
    with pytest.raises(ValueError, match="own cannot be a gauge: Duplicated timeseries"):
        meter.gauge("own")


@pytest.mark.parametrize("name", ["", "\udc80"])
def test_name_that_no_scraper_could_read_is_refused(meter: PrometheusMeter, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a gauge"):
        meter.gauge(name)


@pytest.mark.parametrize("name", ["orders-total", "2nd", "ünits", "a b", 'a"}'])
def test_name_that_some_scrapers_could_not_read_is_refused(
    meter: PrometheusMeter, name: str
) -> None:
    with pytest.raises(ValueError, match="cannot be a counter: a name has letters, digits"):
        meter.counter(name)


@pytest.mark.parametrize("label", ["", "a-b", "__name__", "1st"])
def test_label_that_is_none_is_refused(meter: PrometheusMeter, label: str) -> None:
    with pytest.raises(ValueError, match=r"'orders' cannot be a counter: its label .* is none"):
        meter.counter("orders", labels=("kind", label))
    with pytest.raises(ValueError, match="it has a label twice, of kind, kind"):
        meter.counter("orders", labels=("kind", "kind"))


def test_instrument_that_is_another_one_already_is_refused_with_both(
    meter: PrometheusMeter,
) -> None:
    meter.gauge("open", labels=("kind",), across="sum")
    told = (
        r"open cannot be a gauge with the labels \('kind',\), across max: "
        r"it is a gauge with the labels \('kind',\), across sum already"
    )
    with pytest.raises(ValueError, match=told):
        meter.gauge("open", labels=("kind",), across="max")
    with pytest.raises(ValueError, match="open cannot be a histogram"):
        meter.histogram("open", labels=("kind",))


class TestLimitOfSeries:
    async def test_further_values_of_labels_are_counted_together_and_that_is_told_once(
        self, registry: CollectorRegistry
    ) -> None:
        log = MemoryLogger()
        meter = PrometheusMeter(registry=registry, max_series=100, log=log)
        orders = meter.counter("orders_total", labels=("order", "kind"))
        for number in range(1000):
            orders.labels(f"order-{number}", "a").inc()
        body = await meter.render()
        assert len(families(body)["orders"].samples) == 101
        assert value(body, "orders_total", order="other", kind="other") == 900
        assert value(body, "orders_total", order="order-99", kind="a") == 1
        ((level, _, fields),) = log.records
        assert level is Level.WARN
        assert fields == {"metric": "orders_total", "most": 100, "first": "order-100,a"}

    async def test_series_that_are_there_go_on_as_before(self, registry: CollectorRegistry) -> None:
        meter = PrometheusMeter(registry=registry, max_series=1, log=MemoryLogger())
        orders: Any = meter.counter("orders_total", labels=("kind",))
        seconds: Any = meter.histogram("seconds", labels=("kind",))
        for made in (orders, seconds):
            first, second = made.labels("a"), made.labels("b")
            assert second is not first
            assert made.labels("a") is first
            assert made.labels("c") is second

    def test_less_than_one_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="max_series is a whole number from 1, not 0"):
            PrometheusMeter(max_series=0)


def test_label_that_prometheus_keeps_for_itself_is_refused(meter: PrometheusMeter) -> None:
    with pytest.raises(ValueError, match="cannot be a histogram"):
        meter.histogram("seconds", labels=("le",))
    meter.histogram("seconds", labels=("kind",))  # nothing is left of the attempt


def test_meters_on_one_registry_share_their_instruments(registry: CollectorRegistry) -> None:
    one, other = PrometheusMeter(registry=registry), PrometheusMeter(registry=registry)
    one.counter("orders_total", labels=("kind",)).labels("a").inc()
    other.counter("orders_total", labels=("kind",)).labels("a").inc()
    assert registry.get_sample_value("orders_total", {"kind": "a"}) == 2


@pytest.mark.parametrize("accept", [OPENMETRICS, "application/openmetrics-text"])
async def test_scraper_that_takes_openmetrics_gets_it(meter: PrometheusMeter, accept: str) -> None:
    meter.counter("orders_total").inc()
    body, kind = await meter.render_as(accept)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert [family.name for family in openmetrics(body)] == ["orders"]


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "application/openmetrics-text;version=one", ";;=,", "\xff" * 9],
)
async def test_any_other_scraper_gets_text(meter: PrometheusMeter, accept: str) -> None:
    meter.counter("orders_total").inc()
    body, kind = await meter.render_as(accept)
    assert kind == meter.content_type
    assert value(body, "orders_total") == 1


class TestExemplars:
    async def test_recorded_call_leaves_its_trace(self, meter: PrometheusMeter) -> None:
        tracer = MemoryTracer()
        chain = [tracing(tracer), metrics(meter)]
        async with serving(EchoService(), middleware=chain) as caller:
            await caller.unary(ECHO, text("hello"))
        body, _ = await meter.render_as(OPENMETRICS)
        kept = [
            sample.exemplar.labels
            for family in openmetrics(body)
            for sample in family.samples
            if sample.exemplar is not None
        ]
        context = tracer.spans[0].context
        ids = {"trace_id": context.trace_id, "span_id": context.span_id}
        assert kept == [ids, ids]  # of the counter, and of one bucket

    async def test_call_outside_of_a_trace_leaves_none(self, meter: PrometheusMeter) -> None:
        async with serving(EchoService(), middleware=[metrics(meter)]) as caller:
            await caller.unary(ECHO, text("hello"))
        assert b"trace_id" not in (await meter.render_as(OPENMETRICS))[0]

    async def test_calls_of_workers_leave_theirs_in_the_answer_for_all(
        self, meter: PrometheusMeter
    ) -> None:
        others: list[Snapshot] = []
        tracer = MemoryTracer()
        for _ in range(2):
            other = PrometheusMeter(registry=CollectorRegistry())
            chain = [tracing(tracer), metrics(other)]
            async with serving(EchoService(), middleware=chain) as caller:
                await caller.unary(ECHO, text("hello"))
            others.append(from_wire(json.loads(json.dumps(to_wire(other.snapshot())))))

        async def source() -> Snapshot:
            return merge([("0", others[1]), ("1", others[0])])

        meter.include(source)
        body, _ = await meter.render_as(OPENMETRICS)
        kept = [
            (sample.value, sample.exemplar.labels)
            for family in openmetrics(body)
            for sample in family.samples
            if sample.exemplar is not None
        ]
        newest = tracer.spans[1].context
        ids = {"trace_id": newest.trace_id, "span_id": newest.span_id}
        assert kept == [(2, ids), (2, ids)], "sums of both, with the trace of the last one"
        assert b"trace_id" not in await meter.render()

    async def test_metrics_of_the_program_itself_keep_theirs_over_workers(
        self, meter: PrometheusMeter
    ) -> None:
        registry = CollectorRegistry()
        own = client.Histogram("packing", "Own.", buckets=(1.0, 2.0), registry=registry)
        own.observe(1.5, {"trace_id": "a"})
        own.observe(9.0, {"trace_id": "b"})
        client.Counter("parcels", "Own.", registry=registry).inc(2, {"trace_id": "c"})
        told = PrometheusMeter(registry=registry).snapshot()

        async def source() -> Snapshot:
            return from_wire(json.loads(json.dumps(to_wire(told))))

        meter.include(source)
        body, _ = await meter.render_as(OPENMETRICS)
        kept = {
            (sample.name, sample.labels.get("le")): sample.exemplar.labels["trace_id"]
            for family in openmetrics(body)
            for sample in family.samples
            if sample.exemplar is not None
        }
        assert kept == {
            ("packing_bucket", "2.0"): "a",
            ("packing_bucket", "+Inf"): "b",
            ("parcels_total", None): "c",
        }


class TestSnapshot:
    """What a worker tells: everything in its registry."""

    def test_what_prometheus_client_alone_knows_becomes_the_nearest(
        self, meter: PrometheusMeter, registry: CollectorRegistry
    ) -> None:
        client.Summary("sizes", "Sizes.", ["kind"], registry=registry).labels("a").observe(7)
        client.Info("build", "Build.", registry=registry).info({"version": "1"})
        client.Enum("state", "State.", states=["on", "off"], registry=registry).state("off")
        told = {family.name: family for family in from_wire(to_wire(meter.snapshot()))}
        assert told["sizes"].series == {("a",): Distribution(bounds=(), counts=(1,), total=7.0)}
        assert told["build_info"].series == {("1",): 1.0}
        assert told["state"].series == {("on",): 0.0, ("off",): 1.0}

    def test_large_bounds_are_written_alike_with_workers_and_without(
        self, meter: PrometheusMeter, registry: CollectorRegistry
    ) -> None:
        meter.histogram("bytes", buckets=(0.5, 1e6, 2.5e7)).observe(7)
        own = client.Histogram("own", "Own.", buckets=(0.5, 1e6, 2.5e7), registry=registry)
        own.observe(7)
        written = client.generate_latest(registry).decode()
        ours, theirs = (
            re.findall(rf'{name}_bucket{{le="(.*?)"}}', written) for name in ("bytes", "own")
        )
        assert ours == theirs

    def test_gauge_that_nobody_touched_is_no_least_of_all(self, meter: PrometheusMeter) -> None:
        gauge = meter.gauge("free", across="min")
        assert meter.snapshot() == ()
        gauge.set(5)
        assert [family.series for family in meter.snapshot()] == [{(): 5.0}]

    def test_series_of_one_name_may_have_other_labels(
        self, meter: PrometheusMeter, registry: CollectorRegistry
    ) -> None:
        class Odd:
            def collect(self) -> list[Metric]:
                metric = Metric("odd", "Odd.", "gauge")
                metric.add_sample("odd", {"a": "1"}, 1)
                metric.add_sample("odd", {"b": "2"}, 2)
                return [metric]

        registry.register(Odd())
        (family,) = meter.snapshot()
        assert (family.labels, family.series) == (
            ("a", "b"),
            {("1", ""): 1, ("", "2"): 2},
        )


class TestWithWorkers:
    @staticmethod
    def included(meter: PrometheusMeter, *families: Family) -> None:
        async def source() -> Snapshot:
            return families

        meter.include(source)

    async def test_counters_and_histograms_are_sums(self, meter: PrometheusMeter) -> None:
        meter.counter("orders_total", labels=("kind",)).labels("a").inc(2)
        meter.histogram("seconds", buckets=(0.1, 1.0)).observe(0.5)
        other = PrometheusMeter(registry=CollectorRegistry())
        other.counter("orders_total", labels=("kind",)).labels("a").inc(3)
        other.histogram("seconds", buckets=(0.1, 1.0)).observe(0.05)
        self.included(meter, *other.snapshot())
        body = await meter.render()
        assert value(body, "orders_total", kind="a") == 5
        assert value(body, "seconds_bucket", le="0.1") == 1
        assert value(body, "seconds_bucket", le="1.0") == 2
        assert value(body, "seconds_bucket", le="+Inf") == 2
        assert value(body, "seconds_sum") == 0.55

    async def test_gauges_are_told_apart_or_put_together(self, meter: PrometheusMeter) -> None:
        meter.gauge("connections").set(2)
        meter.gauge("waiting", across="sum").set(2)
        self.included(
            meter,
            Family(name="connections", kind="gauge", labels=("worker",), series={("0",): 4.0}),
            Family(name="waiting", kind="gauge", across="sum", series={(): 4.0}),
        )
        body = await meter.render()
        assert value(body, "connections", worker="host") == 2
        assert value(body, "connections", worker="0") == 4
        assert value(body, "waiting") == 6

    async def test_summary_is_still_one(
        self, meter: PrometheusMeter, registry: CollectorRegistry
    ) -> None:
        client.Summary("sizes", "Sizes.", registry=registry).observe(7)
        self.included(meter, *meter.snapshot())
        body = await meter.render()
        assert families(body)["sizes"].type == "summary"
        assert (value(body, "sizes_count"), value(body, "sizes_sum")) == (2, 14)

    async def test_what_a_process_uses_is_told_for_each(self) -> None:
        meter = PrometheusMeter()
        self.included(meter)
        body = await meter.render()
        assert value(body, "process_cpu_seconds_total", worker="host") > 0
        assert value(body, "process_resident_memory_bytes", worker="host") > 0

    async def test_scraper_that_takes_openmetrics_gets_it(self, meter: PrometheusMeter) -> None:
        meter.counter("orders_total").inc()
        meter.histogram("seconds", buckets=(-1.0, 1.0)).observe(0.5)
        self.included(meter)
        body, _ = await meter.render_as(OPENMETRICS)
        assert {family.name for family in openmetrics(body)} == {"orders", "seconds"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(plugins.DISABLED, "kratos.metrics:datadog,kratos.metrics:otel")
    plugins.clear()
    yield
    monkeypatch.undo()
    plugins.clear()


@pytest.mark.usefixtures("installed")
def test_application_takes_it_once_it_is_installed() -> None:
    taken = App(name="orders").options.metrics
    assert isinstance(taken, PrometheusMeter)
    assert taken.registry is client.REGISTRY
    assert App(name="others").options.metrics is taken


def counted() -> float:
    """Return how many calls the default registry has."""
    labels = {"kind": "local", "operation": ECHO.operation, "code": "200", "reason": ""}
    return client.REGISTRY.get_sample_value("server_requests_code_total", labels) or 0.0


@pytest.mark.usefixtures("installed")
async def test_calls_of_all_applications_of_a_process_are_counted_without_a_line_of_code() -> None:
    before = counted()
    for name in ("orders", "others"):
        server = FakeServer(name)
        async with running(App(name=name, servers=[server])):
            chain = server.mounts[0].middleware
            async with serving(EchoService(), middleware=chain) as caller:
                await caller.unary(ECHO, text("hello"))
    assert counted() == before + 2


@pytest.mark.usefixtures("installed")
async def test_own_metric_of_that_name_costs_the_figures_and_not_the_start() -> None:
    registry = CollectorRegistry()
    own = client.Counter("server_requests_code_total", "Own.", registry=registry)
    server, log = FakeServer("api"), MemoryLogger()
    meter = PrometheusMeter(registry=registry)
    async with running(App(name="orders", servers=[server], metrics=meter, log=log)):
        chain = server.mounts[0].middleware
        async with serving(EchoService(), middleware=chain) as caller:
            await caller.unary(ECHO, text("hello"))
    own.inc()
    assert registry.get_sample_value("server_requests_code_total") == 1
    assert [text for text in log.messages(Level.WARN) if "calls are not counted" in text]
