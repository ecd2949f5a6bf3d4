"""Names and labels are those of Go's gateway, so that its dashboards go on."""

from __future__ import annotations

import pytest

from kratos.metrics import Distribution, MemoryMeter
from kratos.transport.http import Head
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.metrics import Metrics
from kratos_gateway.scrape import Scraped

ENDPOINT = Endpoint(
    path="/helloworld.Greeter/*",
    method="POST",
    protocol=GRPC,
    metadata={"service": "greeter", "basePath": "/helloworld"},
)
LABELS = {
    "protocol": "GRPC",
    "method": "GET",
    "path": "/helloworld.Greeter/*",
    "service": "greeter",
    "basePath": "/helloworld",
}


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


def test_a_request_is_counted_under_the_names_of_go(meter: MemoryMeter) -> None:
    counted = Metrics(meter).endpoint(ENDPOINT).of("GET")
    counted.answered(200, 0.02)
    counted.answered(200, 0.04)
    counted.sent.inc(10)
    counted.received.inc(20)
    counted.retried("breaker")
    assert meter.value("go_gateway_requests_code_total", code="200", **LABELS) == 2
    count, total = meter.observed("go_gateway_requests_duration_seconds", **LABELS)
    assert (count, round(total, 6)) == (2, 0.06)
    assert meter.value("go_gateway_requests_tx_bytes", **LABELS) == 10
    assert meter.value("go_gateway_requests_rx_bytes", **LABELS) == 20
    assert meter.value("go_gateway_requests_retry_state", success="breaker", **LABELS) == 1


def test_durations_have_the_buckets_of_go(meter: MemoryMeter) -> None:
    Metrics(meter).endpoint(ENDPOINT).of("GET").answered(200, 0.02)
    (family,) = [each for each in meter.snapshot() if each.kind == "histogram"]
    (shown,) = family.series.values()
    assert isinstance(shown, Distribution)
    assert tuple(shown.bounds) == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def test_what_goes_by_the_endpoint_has_the_method_of_the_endpoint(meter: MemoryMeter) -> None:
    counted = Metrics(meter).endpoint(ENDPOINT)
    counted.redirected()
    counted.denied()
    labels = {**LABELS, "method": "POST"}
    assert meter.value("go_gateway_client_redirect_total", **labels) == 1
    assert meter.value("go_gateway_requests_circuit_breaker_denied_total", **labels) == 1


def test_requests_that_lead_nowhere_are_counted_by_their_answer(meter: MemoryMeter) -> None:
    Metrics(meter).nowhere("/404").of("GET").answered(404, 0.001)
    labels = {"protocol": "HTTP", "method": "GET", "path": "/404", "service": "", "basePath": ""}
    assert meter.value("go_gateway_requests_code_total", code="404", **labels) == 1


def test_nothing_else_is_counted_of_them_as_they_would_be_in_the_sums_over_endpoints(
    meter: MemoryMeter,
) -> None:
    Metrics(meter).nowhere("/404").of("GET").answered(404, 0.001)
    counted = [each.name for each in meter.snapshot() if each.series]
    assert counted == ["go_gateway_requests_code_total"]


def test_methods_of_a_clients_own_making_share_one_series(meter: MemoryMeter) -> None:
    counted = Metrics(meter).endpoint(ENDPOINT)
    for number in range(100):
        counted.of(f"MADE-UP-{number}").answered(405, 0.001)
    (family,) = [each for each in meter.snapshot() if each.name == "go_gateway_requests_code_total"]
    assert [key[1] for key in family.series] == ["OTHER"]
    assert meter.value("go_gateway_requests_code_total", method="OTHER") == 100


def test_middleware_that_could_not_be_made_is_counted(meter: MemoryMeter) -> None:
    Metrics(meter).failed_middleware("cors", required=True)
    counted = meter.value("go_gateway_failed_middleware_create", name="cors", required="true")
    assert counted == 1


class Negotiating:
    """A meter that knows several formats."""

    def render(self) -> str:
        return "plain"

    async def render_as(self, accept: str, /) -> tuple[str, str]:
        return f"for {accept}", "application/openmetrics-text"


async def test_a_scraper_gets_the_format_that_it_asks_for() -> None:
    head = Head("GET", b"/metrics", b"", [(b"accept", b"text/x"), (b"accept", b"*/*")])
    reply = await Scraped(Negotiating()).answer(head, b"")
    assert reply.body == b"for text/x,*/*"
    assert (b"content-type", b"application/openmetrics-text") in reply.headers


def test_without_a_meter_nothing_is_counted() -> None:
    Metrics().endpoint(ENDPOINT).of("GET").answered(200, 0.1)
