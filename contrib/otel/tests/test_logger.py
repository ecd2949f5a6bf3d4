"""Records on OpenTelemetry's SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from kratos.log import Filter, Level, Logger
from kratos.middleware import tracing
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.logger_contract import LoggerContract, Record, Written
from kratos.tracing import current_context
from kratos.transport import local
from kratos_otel import OtelLogger, OtelTracer

LEVELS = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


class Kept:
    """A logger, and what it wrote."""

    def __init__(self) -> None:
        make: Any = InMemoryLogRecordExporter
        self._exporter = make()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        self.logger: Logger = OtelLogger(provider)

    def kept(self) -> Sequence[ReadableLogRecord]:
        found: Sequence[ReadableLogRecord] = self._exporter.get_finished_logs()
        encode_logs(found).SerializeToString()  # one that it could not carry would cost all others
        return found

    def records(self) -> Sequence[Record]:
        return [self._read(one) for one in self.kept()]

    def lines(self) -> None:
        return None

    @staticmethod
    def _read(one: ReadableLogRecord) -> Record:
        record = one.log_record
        told: dict[str, Any] = dict(record.attributes or {})
        own = {key: told.pop(key) for key in tuple(told) if key.startswith("exception.")}
        assert record.severity_text is not None
        assert record.severity_number is not None
        assert LEVELS[record.severity_text] == record.severity_number.value
        return Record(
            level=Level[record.severity_text],
            message=str(record.body),
            fields=told,
            text=f"{record.body!r} {told} {own.get('exception.stacktrace', '')}",
        )


class TestOtelLogger(LoggerContract):
    @pytest.fixture
    def written(self) -> Written:
        return Kept()


@pytest.fixture
def kept() -> Kept:
    return Kept()


def attributes(record: ReadableLogRecord) -> Mapping[str, Any]:
    return dict(record.log_record.attributes or {})


def test_values_that_otlp_has_stay_as_they_are(kept: Kept) -> None:
    fields = {"n": 1, "x": 0.5, "ok": True, "of": {"a": [1, "two"]}, "none": None}
    kept.logger.log(Level.INFO, "m", fields)
    told = {**attributes(kept.kept()[0])}
    of = told.pop("of")
    assert told == {key: value for key, value in fields.items() if key != "of"}
    assert list(of["a"]) == [1, "two"]


def test_exception_is_told_under_the_names_of_the_conventions(kept: Kept) -> None:
    try:
        raise LookupError("no such order")
    except LookupError as error:
        kept.logger.log(Level.ERROR, "lost", {"error": error})
    told = attributes(kept.kept()[0])
    assert (told["exception.type"], told["exception.message"]) == ("LookupError", "no such order")
    assert told["error"] == "no such order"


async def test_record_belongs_to_the_span_of_its_call(kept: Kept) -> None:
    tracer = OtelTracer(TracerProvider(shutdown_on_exit=False))
    contexts: list[Any] = []

    class Logging(EchoService):
        async def _act(self, request: Any, method: Any) -> Any:
            contexts.append(current_context())
            Filter(kept.logger, keys=["password"]).log(Level.INFO, "m", {"password": "hunter2"})
            return request

    await local(Logging(), middleware=[tracing(tracer)]).unary(ECHO, text("x"), None)
    kept.logger.log(Level.INFO, "outside")
    inside, outside = kept.kept()
    ids = {"trace_id": contexts[0].trace_id, "span_id": contexts[0].span_id}
    assert attributes(inside).items() >= {**ids, "password": "***"}.items()
    assert f"{inside.log_record.trace_id:032x}" == ids["trace_id"]
    assert f"{inside.log_record.span_id:016x}" == ids["span_id"]
    assert attributes(outside) == {}


PROGRAM = """
import logging
from kratos.log import Helper, setup
root = setup(logger="otel", format="json")
Helper(root).info("ours", a=1)
logging.getLogger("library").warning("library %s", 2)
"""


def test_named_in_the_configuration_it_writes_lines_while_nothing_takes_its_records() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("INFO", "ours"),
        ("WARN", "library 2"),
    ]


GLOBAL = """
import logging, sys
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from kratos.log import Helper, setup
root = setup(logger="otel", format="json")
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
set_logger_provider(provider)
Helper(root).info("ours", a=1)
logging.getLogger("opentelemetry.exporter.x").warning("in circles")
"""


def test_provider_that_the_program_sets_is_found_later_and_its_own_records_are_lines() -> None:
    ran = subprocess.run([sys.executable, "-c", GLOBAL], capture_output=True, check=True, text=True)
    assert json.loads(ran.stdout)["body"] == "ours"
    (line,) = ran.stderr.splitlines()
    assert json.loads(line)["msg"] == "in circles"
