"""A stand-in for a collector, for what a real one does not do on demand: to fail, and to hang."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Takes OTLP over HTTP.

    Attributes:
        url: Where.
        status: What it answers.
        asked: Set when it was asked.
        answers: Clear, and it lets its clients wait.
        headers: Those of the last request.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.status = 200
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.headers: dict[str, str] = {}
        self._traces: list[ExportTraceServiceRequest] = []
        self._metrics: list[ExportMetricsServiceRequest] = []
        self._logs: list[ExportLogsServiceRequest] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.headers = {key.lower(): value for key, value in self.headers.items()}
                outer.asked.set()
                outer.answers.wait()
                if outer.status == 200:
                    outer.take(self.path, body)
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *_: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> None:
        match path:
            case "/v1/traces":
                self._traces.append(ExportTraceServiceRequest.FromString(body))
            case "/v1/metrics":
                self._metrics.append(ExportMetricsServiceRequest.FromString(body))
            case "/v1/logs":
                self._logs.append(ExportLogsServiceRequest.FromString(body))
            case _:
                raise AssertionError(path)

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def resources(self) -> list[dict[str, str]]:
        """Return the attributes of who sent spans."""
        return [
            {each.key: each.value.string_value for each in part.resource.attributes}
            for request in self._traces
            for part in request.resource_spans
        ]

    def spans(self) -> list[str]:
        """Return the names of the spans that came."""
        return [
            span.name
            for request in self._traces
            for part in request.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> set[str]:
        """Return the names of the metrics that came."""
        return {
            metric.name
            for request in self._metrics
            for part in request.resource_metrics
            for scope in part.scope_metrics
            for metric in scope.metrics
        }

    def records(self) -> list[str]:
        """Return the messages of the records that came."""
        return [
            record.body.string_value
            for request in self._logs
            for part in request.resource_logs
            for scope in part.scope_logs
            for record in scope.log_records
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def collector_by_tls(authority: trustme.CA) -> Iterator[Collector]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = authority.issue_cert("127.0.0.1")
    certificate.configure_cert(tls)
    made = Collector(tls)
    yield made
    made.close()
