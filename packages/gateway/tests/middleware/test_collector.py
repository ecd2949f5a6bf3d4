"""Spans on their way to a collector that the options name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kratos.errors import MissingDependency
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.tracing_pb2 import Tracing
from kratos_gateway.middleware import Context, collector, create
from kratos_gateway.middleware.testing import Backend, configured, request_to
from kratos_http import HttpServer, Request
from kratos_http.testing import running

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collecting:
    """What takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.server = HttpServer("127.0.0.1:0")
        self.taken: list[ExportTraceServiceRequest] = []

        @self.server.route("POST", "/v1/traces")
        async def take(request: Request) -> Reply:
            self.taken.append(ExportTraceServiceRequest.FromString(await request.body()))
            return Reply(200)


@asynccontextmanager
async def served(there: Collecting) -> AsyncGenerator[str]:
    there.server.mount(Mount(services=()))
    async with running(there.server):
        (url,) = await there.server.bind()
        yield url.rpartition("/")[2]


async def test_spans_that_have_ended_are_at_the_collector_when_the_middleware_is_closed() -> None:
    there = Collecting()
    async with served(there) as address:
        options = Tracing(http_endpoint=address, timeout=Duration(seconds=5))
        made = create(configured("tracing", options), context=Context())
        handler = made.wrap(Backend(), Endpoint(path="/a"))
        await handler(request_to("/a", headers=[("traceparent", CALLER)]))
        await made.aclose()
    [export] = there.taken
    [resource] = export.resource_spans
    told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert told["service.name"] == "gateway"
    spans = sorted(resource.scope_spans[0].spans, key=lambda span: span.kind)
    server, client = spans  # by their kinds, 2 and 3
    assert (server.name, server.trace_id.hex()) == ("GET /a", CALLER[3:35])
    assert client.parent_span_id == server.span_id


async def test_configurations_that_follow_each_other_share_the_way_until_the_last_is_closed() -> (
    None
):
    there = Collecting()
    async with served(there) as address:
        message = configured("tracing", Tracing(http_endpoint=address))
        old = create(message, context=Context())
        new = create(message, context=Context())
        await old.aclose()
        await new.wrap(Backend(), Endpoint(path="/a"))(request_to("/a"))
        await new.aclose()
        await new.aclose()
    assert len(there.taken) == 1


def test_without_the_exporter_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(collector, "find_spec", nothing)
    message = configured("tracing", Tracing(http_endpoint="127.0.0.1:4318"))
    with pytest.raises(Exception, match=r"pip install kratos-otel\[http\]") as raised:
        create(message, context=Context())
    assert isinstance(raised.value.__cause__, MissingDependency)
