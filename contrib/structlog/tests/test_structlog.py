from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog

from kratos.log import (
    Filter,
    Helper,
    Level,
    LineLogger,
    Logger,
    LogSettings,
    RootLogger,
    standard_error,
    with_,
)
from kratos.testing.log import MemoryLogger
from kratos.testing.logger_contract import LoggerContract, Record, Written
from kratos_structlog import KratosSink, StructlogLogger, to_kratos

LEVELS = {
    "debug": Level.DEBUG,
    "info": Level.INFO,
    "warning": Level.WARN,
    "error": Level.ERROR,
    "critical": Level.FATAL,
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    level = logging.getLogger().level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    logging.getLogger().setLevel(level)
    logging.getLogger("shop").setLevel(logging.NOTSET)


class Json:
    """structlog as services configure it: one object of JSON a line."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        logger: Any = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        self.logger = StructlogLogger(logger)

    def lines(self) -> Sequence[str]:
        return self._file.getvalue().split("\n")[:-1]

    def records(self) -> Sequence[Record]:
        return [self._read(line) for line in self.lines()]

    @staticmethod
    def _read(line: str) -> Record:
        told: dict[str, Any] = json.loads(line)
        own = {key: told.pop(key, "") for key in ("level", "event", "timestamp", "exception")}
        return Record(
            level=LEVELS[own["level"]],
            message=own["event"],
            fields=told,
            text=line + own["exception"],
        )


class TestStructlogLogger(LoggerContract):
    @pytest.fixture
    def written(self, capfd: pytest.CaptureFixture[str]) -> Written:
        return WithFallback(capfd)


class WithFallback(Json):
    """Reads, too, what structlog fails to write and standard error has in its place."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        super().__init__()
        self._capfd = capfd
        self._standard_error()  # lines of tests before may still be on their way

    def _standard_error(self) -> Sequence[str]:
        assert standard_error().flush(10)
        return self._capfd.readouterr().err.splitlines()

    def records(self) -> Sequence[Record]:
        told = [json.loads(line) for line in self._standard_error()]
        return [
            *super().records(),
            *(
                Record(level=Level.INFO, message=each["msg"], fields={}, text=str(each))
                for each in told
                if "structlog" in each
            ),
        ]


class TestToKratos(LoggerContract):
    """Through structlog and back."""

    @pytest.fixture
    def written(self) -> Written:
        return Back()


class Back:
    def __init__(self) -> None:
        self._lines: list[str] = []
        to_kratos(LineLogger(self, level=Level.DEBUG, format="json"))
        self.logger = StructlogLogger()

    def write(self, line: bytes, /) -> None:
        self._lines.append(line.decode())

    def lines(self) -> Sequence[str]:
        return self._lines

    def records(self) -> Sequence[Record]:
        return [self._read(line) for line in self._lines]

    @staticmethod
    def _read(line: str) -> Record:
        told: dict[str, Any] = json.loads(line)
        own = {key: told.pop(key, "") for key in ("level", "msg", "time", "stack")}
        return Record(
            level=Level.parse(own["level"]),
            message=own["msg"],
            fields=told,
            text=line + own["stack"],
        )


@pytest.fixture
def memory() -> MemoryLogger:
    return MemoryLogger()


def test_records_of_structlog_arrive_with_level_fields_and_exception(memory: MemoryLogger) -> None:
    to_kratos(memory)
    log = structlog.get_logger("shop.orders").bind(order=4711)
    error = LookupError("no such order")
    log.debug("looked up", n=1)
    log.warning("late")
    try:
        raise error
    except LookupError:
        log.exception("lost")
    log.critical("over", exc_info=error)
    own = {"order": 4711, "logger": "shop.orders"}
    assert memory.records == [
        (Level.DEBUG, "looked up", {**own, "n": 1}),
        (Level.WARN, "late", own),
        (Level.ERROR, "lost", {**own, "error": error}),
        (Level.FATAL, "over", {**own, "error": error}),
    ]


def test_context_variables_of_structlog_go_along(memory: MemoryLogger) -> None:
    to_kratos(memory)
    with structlog.contextvars.bound_contextvars(request="0b7f"):
        structlog.get_logger().info("m")
    assert memory.records == [(Level.INFO, "m", {"request": "0b7f"})]


def test_level_of_structlogs_logger_is_asked() -> None:
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[],
        wrapper_class=structlog.make_filtering_bound_logger(30),
    )
    log = StructlogLogger(logger)
    assert [log.enabled(level) for level in Level] == [False, False, True, True, True]
    assert not Helper(log).enabled(Level.INFO)


def test_names_that_structlog_uses_are_kept_apart() -> None:
    written = Json()
    written.logger.log(Level.INFO, "m", {"event": "x", "level": "y", "timestamp": "z"})
    (record,) = written.records()
    assert (record.level, record.message) == (Level.INFO, "m")
    assert record.fields == {"event_": "x", "level_": "y", "timestamp_": "z"}


def in_layers(logger: Logger) -> Logger:
    return Filter(with_(Filter(logger), a=1))


@pytest.mark.parametrize("wrap", [with_, Filter, in_layers])
def test_circle_is_refused(wrap: Any) -> None:
    with pytest.raises(ValueError, match="round in circles"):
        KratosSink(wrap(StructlogLogger()))


def test_circle_by_ways_unknown_ends(memory: MemoryLogger) -> None:
    class Hidden:
        def log(self, level: Level, message: str, fields: Any = None, /) -> None:
            memory.log(level, message, fields)
            StructlogLogger().log(level, message, fields)

    to_kratos(Hidden())
    structlog.get_logger().info("m")
    assert memory.messages() == ["m"]


def test_root_logger_has_levels_for_structlogs_loggers(memory: MemoryLogger) -> None:
    settings = LogSettings(level=Level.WARN, levels={"shop": Level.DEBUG}, logger="")
    to_kratos(RootLogger(settings, memory))
    structlog.get_logger("shop.orders").debug("wanted")
    structlog.get_logger("other").info("not wanted")
    assert memory.messages() == ["wanted"]


PROGRAM = """
import logging, structlog
from kratos.log import Helper, Level, setup
root = setup(logger="structlog", levels={"loud": Level.WARN, "shop": Level.DEBUG}, format="json")
Helper(root).info("ours", a=1)
Helper(root).debug("not wanted")
logging.getLogger("library").warning("library %s", 2)
structlog.get_logger().info("structlog", b=2)
structlog.get_logger("loud").info("not wanted")
structlog.get_logger("shop.orders").debug("orders")
"""


def test_named_in_the_configuration_it_takes_all_that_a_process_logs() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["level"], line["msg"], line.get("logger")) for line in lines] == [
        ("INFO", "ours", None),
        ("WARN", "library 2", "library"),
        ("INFO", "structlog", None),
        ("DEBUG", "orders", "shop.orders"),
    ]
    assert ran.stdout == ""


CONFIGURED = """
import structlog
from kratos.log import Helper, setup
structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
Helper(setup(logger="structlog")).info("ours", a=1)
"""


def test_configuration_of_the_program_holds() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CONFIGURED], capture_output=True, check=True, text=True
    )
    assert ran.stdout == "a=1 event='ours'\n"
    assert ran.stderr == ""
