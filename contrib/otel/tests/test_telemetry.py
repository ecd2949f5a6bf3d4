"""What is sent from entry to exit, and what happens when nobody takes it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kratos import App
from kratos.config import Config, MemorySource
from kratos.errors import ConfigError, MissingDependency
from kratos.log import Level, LineLogger, NopLogger
from kratos.middleware import metrics, tracing
from kratos.testing import MemoryLogger, serving
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Caller, Header, Side
from kratos_otel import OtelLogger, OtelMeter, OtelTracer, Telemetry

NOBODY = "http://127.0.0.1:1"  # nothing listens there
FAST: dict[str, Any] = {"timeout": 0.1, "delay": 0.01}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name == "kratos-log":  # there is one for the process, of standard error
            continue
        thread.join(5)
        assert not thread.is_alive(), f"{thread.name} is left running"


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@asynccontextmanager
async def echo() -> AsyncGenerator[Caller]:
    """Serve with tracers and meters that were given nothing."""
    chain = [tracing(OtelTracer()), metrics(OtelMeter())]
    async with serving(EchoService(), middleware=chain) as caller:
        yield caller


def end_spans(count: int, tracer: OtelTracer | None = None) -> None:
    """Begin and end some spans, as calls do."""
    tracer = tracer or OtelTracer()
    for _ in range(count):
        tracer.start("/a.B/C", side=Side.SERVER, headers=Header(), attributes={}).end()


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for what other threads do."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  threads set no event of this loop
            await asyncio.sleep(0.005)


async def test_spans_metrics_and_records_are_sent_when_it_ends(collector: Any) -> None:
    logger = OtelLogger()
    async with Telemetry(collector.url), echo() as caller:
        await caller.unary(ECHO, text("hello"), None)
        logger.log(Level.INFO, "an order")
    assert collector.spans() == [ECHO.operation]
    # Meters of other tests may be there, too.
    assert collector.metrics() >= {"server_requests_code_total", "server_requests_seconds"}
    assert collector.records() == ["an order"]


async def test_what_waits_is_sent_by_and_by(collector: Any) -> None:
    async with Telemetry(collector.url, delay=0.01, interval=0.05), echo() as caller:
        await caller.unary(ECHO, text("hello"), None)
        await eventually(lambda: collector.spans() and collector.metrics())


async def test_full_batch_is_sent_at_once(collector: Any) -> None:
    async with Telemetry(collector.url, batch=10, delay=1000):
        end_spans(10)
        await eventually(lambda: len(collector.spans()) == 10)


async def test_flush_sends_what_waits(collector: Any) -> None:
    telemetry = Telemetry(collector.url, delay=1000)
    assert await telemetry.flush()
    async with telemetry:
        end_spans(3)
        assert await telemetry.flush()
        assert len(collector.spans()) == 3
        collector.answers.clear()
        end_spans(1)
        assert not await telemetry.flush(0.05)
        collector.answers.set()


async def test_application_tells_who_it_is(collector: Any) -> None:
    app = App(
        name="orders",
        id="orders-1",
        version="1.2",
        resources=[Telemetry(collector.url, attributes={"deployment.environment.name": "test"})],
        after_start=[lambda _: end_spans(1)],
        log=NopLogger(),
        signals=(),
    )
    async with running(app):
        pass
    (told,) = collector.resources()
    expected = {
        "service.name": "orders",
        "service.version": "1.2",
        "service.instance.id": "orders-1",
        "deployment.environment.name": "test",
        "telemetry.sdk.language": "python",
    }
    assert told.items() >= expected.items()


async def test_environment_comes_before_the_application(
    collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=me")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    app = App(
        name="orders",
        resources=[Telemetry()],
        after_start=[lambda _: end_spans(1)],
        log=NopLogger(),
        signals=(),
    )
    async with running(app):
        pass
    (told,) = collector.resources()
    assert (told["service.name"], told["service.instance.id"]) == ("named", "me")
    assert collector.headers["authorization"] == "Bearer x"


async def test_headers_go_with_each_request(collector: Any) -> None:
    async with Telemetry(collector.url, headers={"Authorization": "Bearer y"}):
        end_spans(1)
    assert collector.headers["authorization"] == "Bearer y"


async def test_only_a_share_of_traces_is_recorded_if_asked_for(collector: Any) -> None:
    async with Telemetry(collector.url, sample=0):
        end_spans(10)
    async with Telemetry(collector.url, sample=1):
        end_spans(1)
    assert len(collector.spans()) == 1


async def test_kinds_that_are_not_wanted_are_not_sent(collector: Any) -> None:
    logger = OtelLogger()
    async with Telemetry(collector.url, metrics=False, logs=False), echo() as caller:
        await caller.unary(ECHO, text("hello"), None)
        logger.log(Level.INFO, "a line")
    assert (len(collector.spans()), collector.metrics(), collector.records()) == (1, set(), [])


async def test_one_after_the_other_each_has_its_own(collector: Any) -> None:
    for name in ("first", "second"):
        async with Telemetry(collector.url, service=name):
            end_spans(1)
    end_spans(1)  # nobody's any more
    assert [told["service.name"] for told in collector.resources()] == ["first", "second"]
    assert len(collector.spans()) == 2


async def test_inner_one_is_in_force_until_it_ends(collector: Any) -> None:
    inner = InMemorySpanExporter()
    async with Telemetry(collector.url, logs=False):
        async with Telemetry(NOBODY, span_exporter=inner, metrics=False, logs=False):
            end_spans(1)
        end_spans(1)
    assert (len(inner.get_finished_spans()), len(collector.spans())) == (1, 1)


async def test_it_is_entered_once_at_a_time(collector: Any) -> None:
    telemetry = Telemetry(collector.url)
    async with telemetry:
        with pytest.raises(RuntimeError, match="once at a time"):
            await telemetry.__aenter__()


async def test_lines_outside_of_calls_have_the_ids_of_the_programs_own_spans(
    collector: Any,
) -> None:
    class Lines:
        def __init__(self) -> None:
            self.written: list[dict[str, Any]] = []

        def write(self, line: bytes, /) -> None:
            self.written.append(json.loads(line))

    lines, tracer = Lines(), OtelTracer()
    plain = LineLogger(lines, format="json")
    async with Telemetry(collector.url):
        span = tracer.start("/a.B/C", side=Side.CLIENT, headers=Header(), attributes={})
        token = tracer.activate(span)
        plain.log(Level.INFO, "inside")
        tracer.deactivate(token)
        plain.log(Level.INFO, "outside")
    inside, outside = lines.written
    context = span.context
    assert (inside["trace_id"], inside["span_id"]) == (context.trace_id, context.span_id)
    assert "trace_id" not in outside


class TestCollectorThatIsDown:
    async def test_calls_go_on_and_one_line_says_so(self, log: MemoryLogger) -> None:
        logger = OtelLogger()
        # It is tried again, after a second; else the exporter does not tell what is wrong.
        slow: dict[str, Any] = {**FAST, "timeout": 6, "stop_timeout": 30}
        async with Telemetry(NOBODY, log=log, **slow), echo() as caller:
            for _ in range(20):
                await caller.unary(ECHO, text("hello"), None)
                logger.log(Level.INFO, "an order")
            await eventually(log.messages)
            end_spans(5)
        warned, lost = log.records
        assert warned[:2] == (
            Level.WARN,
            "telemetry is not taken, and is dropped until it is",
        )
        assert warned[2]["endpoint"] == NOBODY
        assert "Connection refused" in str(warned[2]["reason"])
        assert lost == (
            Level.WARN,
            "telemetry was lost",
            {"endpoint": NOBODY, "lost_records": 20, "lost_spans": 25},
        )

    async def test_over_grpc_one_line_says_so_too(self, log: MemoryLogger) -> None:
        async with Telemetry("grpc://127.0.0.1:1", log=log, **FAST):
            end_spans(1)
            await eventually(log.messages)
        assert log.messages()[0] == "telemetry is not taken, and is dropped until it is"
        assert log.messages().count("telemetry is not taken, and is dropped until it is") == 1

    async def test_its_return_is_told_with_what_was_lost(
        self, collector: Any, log: MemoryLogger
    ) -> None:
        collector.status = 400  # is not tried again
        async with Telemetry(collector.url, log=log, metrics=False, delay=0.01):
            end_spans(2)
            await eventually(lambda: len(log.records) == 1)
            end_spans(1)
            collector.asked.clear()
            await eventually(collector.asked.is_set)
            collector.status = 200

            def is_told() -> bool:
                end_spans(1)
                return len(log.records) == 2

            await eventually(is_told)
        fields = log.records[1][2]
        assert log.messages()[1] == "telemetry is taken again"
        assert int(str(fields["lost_spans"])) >= 3

    async def test_what_the_exporters_of_others_say_is_still_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        async with Telemetry(NOBODY, log=NopLogger(), **FAST):
            end_spans(1)
            other = OTLPSpanExporter(f"{NOBODY}/v1/traces", timeout=0.01)
            await asyncio.to_thread(other.export, ())
        assert [record.name for record in caplog.records] == [
            "opentelemetry.exporter.otlp.proto.http.trace_exporter"
        ]


class TestCollectorThatRefuses:
    async def test_line_says_what_it_answers(self, collector: Any, log: MemoryLogger) -> None:
        collector.status = 401
        async with Telemetry(collector.url, log=log, metrics=False, logs=False):
            end_spans(1)
        assert "401, reason: Unauthorized" in str(log.records[0][2]["reason"])

    async def test_certificate_of_an_authority_of_ones_own_is_taken(
        self,
        collector_by_tls: Any,
        authority: Any,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which would come before it
            monkeypatch.delenv(name, raising=False)
        async with Telemetry(collector_by_tls.url, metrics=False, logs=False):
            end_spans(1)
        assert len(collector_by_tls.spans()) == 1

    async def test_certificate_of_strangers_is_not(
        self, collector_by_tls: Any, log: MemoryLogger
    ) -> None:
        options: dict[str, Any] = {"timeout": 6, "stop_timeout": 30}
        async with Telemetry(collector_by_tls.url, metrics=False, logs=False, log=log, **options):
            end_spans(1)
        assert "certificate verify failed" in str(log.records[0][2]["reason"]).lower()
        assert collector_by_tls.spans() == []


async def test_environment_can_switch_it_off(
    collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with Telemetry(collector.url), echo() as caller:
        await caller.unary(ECHO, text("hello"), None)
    assert not collector.asked.is_set()


class TestCollectorThatHangs:
    async def test_exit_takes_no_longer_than_allowed(
        self, collector: Any, log: MemoryLogger
    ) -> None:
        collector.answers.clear()
        async with Telemetry(collector.url, log=log, stop_timeout=0.05, timeout=30, metrics=False):
            end_spans(3)
            await eventually(collector.asked.is_set)
            end_spans(2)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 10  # and not the 30 of a request
        collector.answers.set()
        assert log.records == [
            (Level.WARN, "telemetry was lost", {"endpoint": collector.url, "lost_spans": 5})
        ]

    async def test_what_there_is_no_room_for_is_dropped_and_counted(
        self, log: MemoryLogger
    ) -> None:
        exporter = Held()
        async with Telemetry(
            NOBODY, span_exporter=exporter, metrics=False, logs=False, log=log, queue=4, batch=2
        ):
            end_spans(2)
            await eventually(exporter.began.is_set)
            end_spans(10)
            exporter.go_on.set()
        assert exporter.taken == 6
        assert log.records == [
            (Level.WARN, "telemetry was lost", {"endpoint": NOBODY, "lost_spans": 6})
        ]

    @pytest.mark.parametrize("more", [0, 2])
    async def test_what_comes_while_no_thread_can_be_had_is_sent_later(
        self, log: MemoryLogger, monkeypatch: pytest.MonkeyPatch, more: int
    ) -> None:
        exporter = InMemorySpanExporter()
        async with Telemetry(
            NOBODY, span_exporter=exporter, metrics=False, logs=False, log=log, delay=3600
        ):
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", no_thread)
                end_spans(1)
            end_spans(more)
        assert len(exporter.get_finished_spans()) == 1 + more
        assert log.records == []

    async def test_event_loop_does_not_wait_for_it(self) -> None:
        exporter = Held()
        async with Telemetry(NOBODY, span_exporter=exporter, metrics=False, logs=False, delay=0.01):
            end_spans(1)
            await eventually(exporter.began.is_set)
            exporter.go_on.set()
        assert exporter.thread is not threading.current_thread()

    async def test_cancelled_exit_leaves_nothing_running_and_tells_what_was_lost(
        self, collector: Any, log: MemoryLogger
    ) -> None:
        collector.answers.clear()
        telemetry = Telemetry(collector.url, log=log, stop_timeout=30, metrics=False)
        await telemetry.__aenter__()
        end_spans(1)
        leaving = asyncio.create_task(telemetry.__aexit__(None, None, None))
        await eventually(collector.asked.is_set)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert log.records == [
            (Level.WARN, "telemetry was lost", {"endpoint": collector.url, "lost_spans": 1})
        ]
        collector.answers.set()


class Held(SpanExporter):
    """Waits before it takes anything."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.taken = 0
        self.thread: threading.Thread | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.thread = threading.current_thread()
        self.began.set()
        assert self.go_on.wait(10)
        self.taken += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.go_on.set()


async def test_exporter_that_raises_is_as_one_that_is_down(log: MemoryLogger) -> None:
    class Broken(Held):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise LookupError("no such place")

    async with Telemetry(NOBODY, span_exporter=Broken(), metrics=False, logs=False, log=log):
        end_spans(1)
    assert log.records[0][2]["reason"] == "LookupError: no such place"


class TestConfiguration:
    async def test_part_of_it_says_what_is_sent_where(self, collector: Any) -> None:
        part = {"endpoint": collector.url, "service": "orders", "metrics": "false", "batch": "7"}
        config = Config(MemorySource.of({"telemetry": part}))
        app = App(
            config=config,
            resources=[Telemetry.from_config(config)],
            after_start=[lambda _: end_spans(1)],
            log=NopLogger(),
            signals=(),
        )
        async with running(app):
            pass
        assert [told["service.name"] for told in collector.resources()] == ["orders"]

    async def test_without_that_part_all_is_as_by_default(
        self, collector: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with Config(MemorySource.of({})) as config, Telemetry.from_config(config):
            end_spans(1)
        assert len(collector.spans()) == 1

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ({"endpont": "x"}, "endpont"),
            ({"endpoint": "collector:4318"}, "must be the URL of a collector"),
            ({"sample": 2}, "sample must be a share from 0 to 1, not 2"),
            ({"interval": 0}, "interval must be a positive number of seconds"),
            ({"batch": 10, "queue": 5}, "no more than queue, not 10 of 5"),
        ],
    )
    async def test_what_it_cannot_be_is_refused_by_name(self, part: Any, message: str) -> None:
        async with Config(MemorySource.of({"telemetry": part})) as config:
            with pytest.raises(ConfigError, match=message):
                await Telemetry.from_config(config).__aenter__()


@pytest.mark.parametrize(
    "endpoint", ["ftp://x", "http://", "127.0.0.1:4318", "http://x?a=1", "grpc:x"]
)
async def test_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="must be the URL of a collector"):
        await Telemetry(endpoint).__aenter__()


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [("ftp://user:hunter2@x", "must be the URL"), ("grpc://user:hunter2@x", "gRPC has no users")],
)
async def test_endpoint_that_is_none_is_told_without_its_password(
    endpoint: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        await Telemetry(endpoint).__aenter__()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("of_environment", [True, False])
async def test_endpoint_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, log: MemoryLogger, of_environment: bool
) -> None:
    endpoint = "http://user:hunter2@127.0.0.1:1"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    async with Telemetry("" if of_environment else endpoint, log=log, metrics=False, **FAST):
        end_spans(1)
    assert log.records
    assert "hunter2" not in str(log.records)


async def test_protocol_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(ConfigError, match="must be grpc or http/protobuf, not 'http/json'"):
        await Telemetry().__aenter__()


@pytest.mark.parametrize(("endpoint", "kind"), [("http://x:1", "http"), ("grpc://x:1", "grpc")])
async def test_exporter_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, kind: str
) -> None:
    name = f"opentelemetry.exporter.otlp.proto.{kind}.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingDependency, match=f"pip install opentelemetry-exporter-otlp-proto-{kind}"
    ):
        await Telemetry(endpoint).__aenter__()


FORKING = """
import asyncio, os, sys, threading
from kratos.transport import Header, Side
from kratos_otel import OtelTracer, Telemetry
tracer = OtelTracer()

def end(name):
    tracer.start(name, side=Side.SERVER, headers=Header(), attributes={}).end()

async def main():
    telemetry = Telemetry(sys.argv[1], metrics=False)
    async with telemetry:
        end("/parent")
        child = os.fork()
        if child == 0:
            end("/child")
            sent = []  # by a loop of its own: that of the parent is not to be shared
            thread = threading.Thread(target=lambda: sent.append(asyncio.run(telemetry.flush())))
            thread.start()
            thread.join()
            os._exit(0 if sent == [True] else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0

asyncio.run(main())
"""


def test_forked_child_sends_its_own_and_nothing_twice(collector: Any) -> None:
    words = [sys.executable, "-W", "ignore", "-c", FORKING, collector.url]
    subprocess.run(words, check=True, timeout=20)
    assert sorted(collector.spans()) == ["/child", "/parent"]


BUILDING = """
import threading
from kratos import App
from kratos.middleware import metrics, tracing
from kratos_http import HttpServer
from kratos_otel import Telemetry
from kratos_otel.plugin import logger, meter, tracer
made = meter(), tracer(), logger()
app = App(servers=[HttpServer("127.0.0.1:0")], middleware=[tracing(made[1]), metrics(made[0])],
          resources=[Telemetry("http://127.0.0.1:1")])
print(threading.active_count(), "opentelemetry.exporter" in __import__("sys").modules)
"""


def test_nothing_begins_before_it_is_entered() -> None:
    words = [sys.executable, "-c", BUILDING]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout == "1 False\n"


GLOBAL = """
import asyncio, sys
from opentelemetry import trace
from kratos_otel import Telemetry

async def main():
    async with Telemetry(sys.argv[1]):
        trace.get_tracer("library").start_span("of a library").end()

asyncio.run(main())
"""


def test_spans_of_libraries_are_sent_too(collector: Any) -> None:
    subprocess.run([sys.executable, "-c", GLOBAL, collector.url], check=True)
    assert collector.spans() == ["of a library"]
