"""A real collector takes what a service of one line sends, and prints it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from kratos import Client, Error
from kratos.testing import MemoryLogger
from kratos.testing.echo import ECHO, WATCH, text
from kratos.testing.program import free_port
from kratos.transport import CallOptions, Header, Side
from kratos_otel import OtelTracer, Telemetry

pytestmark = [pytest.mark.service("otelcol"), pytest.mark.slow]

SHOP = Path(__file__).parent / "shop.py"
SERVING = re.compile(r"serves (http://\S+)")
PATIENCE = 30.0  # seconds
BLOCK = re.compile(
    r"^(?:\S+\s+info\s+)?(ResourceSpans|ResourceMetrics|ResourceLog) #\d+$", re.MULTILINE
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


class Shop:
    """A running service."""

    def __init__(self, process: subprocess.Popen[str], url: str, name: str) -> None:
        self.url = url
        self.name = name
        self.process = process
        self.said = ""

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        _, self.said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, self.said

    def told(self, kind: str) -> list[str]:
        """Return what the collector has printed of one kind of telemetry of this service."""
        return [block for block in printed(kind) if f"Str({self.name})" in block]


def printed(kind: str) -> list[str]:
    """Return all that the collector has printed of one kind."""
    output = Path(os.environ["KRATOS_TEST_OTELCOL_LOG"]).read_text(encoding="utf-8")
    pieces = BLOCK.split(output)
    return [block for name, block in zip(pieces[1::2], pieces[2::2], strict=True) if name == kind]


@contextmanager
def shop(otlp: str, workers: int = 0) -> Generator[Shop]:
    name = f"shop-{uuid4()}"
    environment = {
        **os.environ,
        "KRATOS_PLUGINS_DISABLED": "kratos.metrics:datadog,kratos.metrics:prometheus",
        "OTEL_SERVICE_NAME": name,
    }
    words = [sys.executable, str(SHOP), otlp, str(workers)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        urls = [serving(process.stderr.readline) for _ in range(max(workers, 1))]
        yield Shop(process, urls[0], name)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def serving(read: Callable[[], str]) -> str:
    said: list[str] = []
    while line := read():
        said.append(line)
        if found := SERVING.search(line):
            return found[1]
    raise AssertionError(said)


@pytest.fixture(params=["http", "grpc"])
def otlp(request: pytest.FixtureRequest) -> str:
    if request.param == "http":
        return os.environ["KRATOS_TEST_OTELCOL"]
    return f"grpc://{os.environ['KRATOS_TEST_OTELCOL_GRPC']}"


async def test_traces_metrics_and_records_of_a_service_arrive(otlp: str) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with shop(otlp) as running:
        async with Client(running.url, transport="http") as caller:
            options = CallOptions(headers={"traceparent": parent})
            await caller.unary(ECHO, text("hello"), options)
            with pytest.raises(Error):
                await caller.unary(ECHO, text("fail"))
        running.stop()

    spans = "".join(running.told("ResourceSpans"))
    assert spans.count(f"Name           : {ECHO.operation}") == 2
    assert has(spans, "Trace ID", parent.split("-")[1])
    assert has(spans, "Parent ID", parent.split("-")[2])
    assert "-> rpc.service: Str(kratos.testing.Echo)" in spans
    assert "-> rpc.status_code: Int(409)" in spans
    assert "Status message : error: code = 409 reason = BUSY" in spans
    assert "-> service.version: Str(1.2)" in spans

    metrics = "".join(running.told("ResourceMetrics"))
    assert "-> Name: server_requests_code_total" in metrics
    assert "-> Name: server_requests_seconds" in metrics
    assert "-> Unit: {call}" in metrics
    assert "-> code: Int(409)" in metrics
    assert "-> reason: Str(BUSY)" in metrics
    assert "-> DataType: Sum" in metrics
    assert "ExplicitBounds #7: 1.000000" in metrics
    assert "Exemplar #0" in metrics

    records = "".join(running.told("ResourceLog"))
    asked = records.partition("Body: Str(asked)")[2].partition("LogRecord #")[0]
    assert "-> word: Str(hello)" in asked
    assert "-> trace_id: Str(4bf92f3577b34da6a3ce929d0e0e4736)" in asked
    assert has(asked, "Trace ID", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert "Span ID: \n" not in asked
    assert "SeverityText: INFO" in records
    assert "SeverityNumber: Info(9)" in records


def has(text: str, name: str, value: str) -> bool:
    """Tell whether there is a line of this name and value, however it is aligned."""
    return re.search(rf"^\s*{name}\s*: {value}$", text, re.MULTILINE) is not None


@linux
async def test_nothing_is_lost_when_workers_are_stopped_right_after_calls() -> None:
    count = 200
    with shop(os.environ["KRATOS_TEST_OTELCOL"], workers=2) as running:
        for _ in range(20):  # connections, which are spread over the workers
            async with Client(running.url, transport="http") as caller:
                for number in range(count // 20):
                    await caller.unary(ECHO, text(f"word-{number}"))
        running.stop()
    spans = running.told("ResourceSpans")
    assert "".join(spans).count(f"Name           : {ECHO.operation}") == count
    assert "".join(running.told("ResourceLog")).count("Body: Str(asked)") == count
    assert total(running.told("ResourceMetrics"), "server_requests_code_total") == count
    workers = {number for block in spans for number in re.findall(r"worker: Int\((\d)\)", block)}
    assert workers == {"0", "1"}


def total(blocks: Sequence[str], name: str) -> int:
    """Return the last value of a counter, added up over the processes that tell it."""
    last: dict[str, int] = {}
    for block in blocks:
        instance = re.search(r"service.instance.id: Str\((.+?)\)", block)
        part = block.partition(f"-> Name: {name}")[2].partition("\nMetric #")[0]
        values = re.findall(r"^Value: (\d+)$", part, re.MULTILINE)
        assert instance is not None
        last[instance[1]] = sum(map(int, values))
    return sum(last.values())


async def test_stream_that_is_open_at_the_end_is_told_with_its_end() -> None:
    with shop(os.environ["KRATOS_TEST_OTELCOL"]) as running:
        async with (
            Client(running.url, transport="http") as caller,
            caller.server_stream(WATCH, text("a hang")) as replies,
        ):
            await anext(replies)
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(Error):
                async for _ in replies:
                    pass
        _, said = running.process.communicate(timeout=PATIENCE)
        assert running.process.returncode == 0, said
    spans = "".join(running.told("ResourceSpans"))
    assert spans.count(f"Name           : {WATCH.operation}") == 1
    assert "-> error.type: Str(DRAINING)" in spans


CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:%d"%s}
      http: {endpoint: "127.0.0.1:%d"%s}
exporters:
  debug: {verbosity: detailed}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
"""


class Own:
    """A collector of one test, which it may kill."""

    def __init__(self, folder: Path, *, tls: str = "") -> None:
        self.ports = free_port(), free_port()
        self._folder = folder
        self._output = folder / "output"
        grpc, http = self.ports
        (folder / "otelcol.yaml").write_text(CONFIGURATION % (grpc, tls, http, tls))
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        words = [os.environ["KRATOS_TEST_OTELCOL_SERVER"], "--config", "otelcol.yaml"]
        with self._output.open("a") as output:
            self._process = subprocess.Popen(words, cwd=self._folder, stderr=output)  # noqa: ASYNC220
        async with asyncio.timeout(PATIENCE):
            for port in self.ports:
                while not await answers(port):
                    assert self._process.poll() is None, self._output.read_text()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def spans(self) -> list[str]:
        return re.findall(r"^    Name +: (.+)$", self._output.read_text(), re.MULTILINE)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("kind", ["grpc", "http"])
async def test_collector_that_is_killed_is_missed_in_one_line_and_taken_up_again(
    kind: str, tmp_path: Path
) -> None:
    own, log, tracer = Own(tmp_path), MemoryLogger(), OtelTracer()
    endpoint = f"{kind}://127.0.0.1:{own.ports[kind == 'http']}"

    def end(name: str) -> None:
        tracer.start(name, side=Side.SERVER, headers=Header(), attributes={}).end()

    async def until(holds: Callable[[], object], name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                end(name)
                await asyncio.sleep(0.02)

    await own.start()
    try:
        async with Telemetry(endpoint, metrics=False, logs=False, log=log, timeout=0.5, delay=0.01):
            await until(lambda: "/before" in own.spans(), "/before")
            assert log.records == []
            own.kill()
            await until(lambda: log.records, "/lost")
            await own.start()
            await until(lambda: len(log.records) == 2, "/after")
            end("/last")
        assert "/last" in own.spans()
    finally:
        own.kill()
    assert log.messages() == [
        "telemetry is not taken, and is dropped until it is",
        "telemetry is taken again",
    ]
    assert int(str(log.records[1][2]["lost_spans"])) > 0


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
async def test_collector_is_known_by_its_certificate(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "own.pem"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which would come before it
        monkeypatch.delenv(name, raising=False)
    own = Own(tmp_path, tls=", tls: {cert_file: own.pem, key_file: own.pem}")
    endpoint = f"{scheme}://127.0.0.1:{own.ports[scheme == 'https']}"
    await own.start()
    try:
        async with Telemetry(endpoint, metrics=False, logs=False):
            OtelTracer().start("/a.B/C", side=Side.SERVER, headers=Header(), attributes={}).end()
        assert own.spans() == ["/a.B/C"]
    finally:
        own.kill()
