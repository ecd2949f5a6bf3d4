"""One trace through services of Go Kratos and of this implementation, read back from Jaeger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import Client
from kratos.middleware import AnyMiddleware, tracing
from kratos.transport import Arity, Call, Handler, Method
from kratos_otel import OtelTracer, Telemetry

pytestmark = [pytest.mark.go, pytest.mark.service("jaeger"), pytest.mark.slow]

CHAIN = Path(__file__).parent / "trace" / "chain.py"
PATIENCE = 30.0  # seconds
PIPE = asyncio.subprocess.PIPE


class Link:
    """A service in Python, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self.lines: list[dict[str, Any]] = []
        self._process = process

    async def stop(self) -> None:
        """Stop it as whoever runs it in production does."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.stderr is not None
        rest = (await self._process.stderr.read()).decode()
        self.lines += [json.loads(line) for line in rest.splitlines()]
        assert await self._process.wait() == 0


@asynccontextmanager
async def link(kind: str, following: str, otlp: str) -> AsyncGenerator[Link]:
    words = (sys.executable, str(CHAIN), kind, following, otlp)
    disabled = "kratos.metrics:datadog,kratos.metrics:prometheus"
    environment = {**os.environ, "KRATOS_PLUGINS_DISABLED": disabled}
    process = await asyncio.create_subprocess_exec(*words, stderr=PIPE, env=environment)
    try:
        assert process.stderr is not None
        said: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while (line := (await process.stderr.readline()).decode()) and "started" not in line:
                said.append(line)
        assert line, said
        yield Link(process, str(json.loads(line)["endpoints"]).rpartition("//")[2])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def ends_in_go(program: Path, otlp: str) -> AsyncGenerator[tuple[Any, str]]:
    address = otlp.removeprefix("http://")
    process = await asyncio.create_subprocess_exec(program, address, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ask(process: Any, url: str) -> tuple[str, str]:
    """Let Go call; return the id of the trace, and the answer."""
    process.stdin.write(f"{url}\n".encode())
    trace, answer = json.loads(await process.stdout.readline())
    return trace, answer


def read_back(trace: str) -> list[dict[str, Any]]:
    """Return the spans of a trace as Jaeger has them, each with its service and its parent."""
    url = f"{os.environ['KRATOS_TEST_JAEGER']}/api/traces/{trace}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        (found,) = json.load(answer)["data"]
    spans: list[dict[str, Any]] = sorted(found["spans"], key=lambda span: span["startTime"])
    for span in spans:
        span["service"] = found["processes"][span["processID"]]["serviceName"]
        span["tags"] = {tag["key"]: tag["value"] for tag in span["tags"]}
        parents = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
        span["parent"] = parents[0] if parents else None
    return spans


async def test_one_trace_goes_from_go_over_http_and_grpc_of_python_to_go(go_trace: Path) -> None:
    otlp = os.environ["KRATOS_TEST_JAEGER_OTLP"]
    async with AsyncExitStack() as stack:
        process, last = await stack.enter_async_context(ends_in_go(go_trace, otlp))
        # One sends to Jaeger over HTTP, the other over gRPC.
        grpc = os.environ["KRATOS_TEST_JAEGER_GRPC"]
        second = await stack.enter_async_context(link("grpc", f"grpc://{last}", grpc))
        first = await stack.enter_async_context(link("http", f"grpc://{second.address}", otlp))

        trace, answer = await ask(process, f"http://{first.address}")
        assert answer == "go http grpc go"

        await first.stop()
        await second.stop()
        process.stdin.close()
        assert await process.wait() == 0

    spans = read_back(trace)
    told = [(span["service"], span["operationName"], span["tags"]["span.kind"]) for span in spans]
    assert told == [
        ("go", "begin", "internal"),
        ("go", "/chain.First/Go", "client"),
        ("python-http", "/chain.First/Go", "server"),
        ("python-http", "/chain.Second/Go", "client"),
        ("python-grpc", "/chain.Second/Go", "server"),
        ("python-grpc", "/chain.Last/Go", "client"),
        ("go", "/chain.Last/Go", "server"),
    ]
    # Each hangs below the one before it.
    assert [span["parent"] for span in spans] == [None, *(span["spanID"] for span in spans[:-1])]
    assert all(span["tags"].get("otel.status_code", "OK") == "OK" for span in spans)
    check_attributes(spans)
    check_lines(first, trace, spans[2]["spanID"])
    check_lines(second, trace, spans[4]["spanID"])


async def test_trace_that_begins_in_python_goes_on_in_go(go_trace: Path) -> None:
    otlp = os.environ["KRATOS_TEST_JAEGER_OTLP"]
    last = Method(
        operation="/chain.Last/Go",
        name="go",
        arity=Arity.UNARY,
        request=StringValue,
        reply=StringValue,
    )
    traces: list[str] = []

    async def look(call: Call, request: Any, next: Handler, /) -> Any:
        traces.append(call.headers.get("traceparent").split("-")[1])
        return await next(call, request)

    chain: list[AnyMiddleware] = [tracing(OtelTracer()), look]
    async with AsyncExitStack() as stack:
        process, address = await stack.enter_async_context(ends_in_go(go_trace, otlp))
        await stack.enter_async_context(
            Telemetry(otlp, service="python", metrics=False, logs=False)
        )
        caller = await stack.enter_async_context(Client(f"grpc://{address}", middleware=chain))
        await caller.unary(last, StringValue(value="python"))
        process.stdin.close()
        assert await process.wait() == 0

    ours, theirs = read_back(traces[0])
    assert [ours["service"], theirs["service"]] == ["python", "go"]
    assert theirs["parent"] == ours["spanID"]


def check_attributes(spans: list[dict[str, Any]]) -> None:
    """Compare what both implementations tell of the same kind of span."""
    _, go_client, http_server, _, grpc_server, grpc_client, go_server = (
        span["tags"] for span in spans
    )
    common = {"rpc.system", "rpc.service", "rpc.method", "http.method", "http.route", "http.target"}
    for ours, theirs in ((http_server, go_client), (grpc_client, go_server)):
        for key in common & theirs.keys():
            assert ours[key] == theirs[key], key
    assert common <= http_server.keys()
    # Each learns who calls it, in Go from Python as well as the other way round.
    assert http_server["peer.service"] == "go"
    assert grpc_server["peer.service"] == "python-http"
    assert go_server["peer.service"] == "python-grpc"
    ours, theirs = set(grpc_server), set(go_server)
    assert theirs - ours == set(), "tell of a server what Go tells"


def check_lines(of: Link, trace: str, span: str) -> None:
    (line,) = [line for line in of.lines if line["msg"] == "asked"]
    assert (line["trace_id"], line["span_id"]) == (trace, span)
