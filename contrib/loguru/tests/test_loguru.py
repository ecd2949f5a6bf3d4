from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger as loguru

from kratos.log import Filter, Helper, Level, LineLogger, Logger, LogSettings, RootLogger, with_
from kratos.testing.log import MemoryLogger
from kratos.testing.logger_contract import LoggerContract, Record, Written
from kratos_loguru import KratosSink, LoguruLogger, to_kratos

if TYPE_CHECKING:
    from loguru import Message

LEVELS = {
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "WARNING": Level.WARN,
    "ERROR": Level.ERROR,
    "CRITICAL": Level.FATAL,
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    level = logging.getLogger().level
    loguru.remove()
    yield
    loguru.remove()
    logging.getLogger().setLevel(level)
    logging.getLogger(__name__).setLevel(logging.NOTSET)


class Kept:
    """A sink that keeps records."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self.logger = LoguruLogger()
        loguru.add(self._messages.append, level=0, format="{message} {extra}", diagnose=False)

    def lines(self) -> None:
        return None  # that is for loguru's format

    def records(self) -> Sequence[Record]:
        return [
            Record(
                level=LEVELS[message.record["level"].name],
                message=message.record["message"],
                fields=message.record["extra"],
                text=str(message),
            )
            for message in self._messages
        ]


class WithFallback(Kept):
    """Reads, too, what loguru fails to write and standard error has in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._failed: list[Record] = []
        loguru.remove()
        loguru.add(
            self._messages.append,
            level=0,
            format="{message} {extra}",
            diagnose=False,
            catch=False,
        )
        self.logger = LoguruLogger()

        def write(_self: object, level: Level, message: str, fields: Any, _: Exception) -> None:
            self._failed.append(Record(level=level, message=message, fields={}, text=message))

        self.write = write

    def records(self) -> Sequence[Record]:
        return [*super().records(), *self._failed]


class TestLoguruLogger(LoggerContract):
    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> Written:
        kept = WithFallback()
        monkeypatch.setattr(LoguruLogger, "_write_all_the_same", kept.write)
        return kept


class TestToKratos(LoggerContract):
    """Through loguru and back."""

    @pytest.fixture
    def written(self) -> Written:
        return Back()


class Back:
    def __init__(self) -> None:
        self._lines: list[str] = []
        to_kratos(LineLogger(self, level=Level.DEBUG, format="json"))
        self.logger = LoguruLogger()

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


def test_records_of_loguru_arrive_with_level_fields_and_exception(memory: MemoryLogger) -> None:
    to_kratos(memory)
    error = LookupError("no such order")
    loguru.bind(order=4711).trace("looked up {}", 1)
    loguru.success("sent")
    try:
        raise error
    except LookupError:
        loguru.exception("lost")
    loguru.critical("over")
    name = {"logger": __name__}
    assert memory.records == [
        (Level.DEBUG, "looked up 1", {**name, "order": 4711}),
        (Level.INFO, "sent", name),
        (Level.ERROR, "lost", {**name, "error": error}),
        (Level.FATAL, "over", name),
    ]


def test_record_is_attributed_to_the_line_that_logs() -> None:
    seen: list[tuple[str, str]] = []
    loguru.add(
        lambda message: seen.append((message.record["file"].name, message.record["function"])),
        level=0,
    )
    log = LoguruLogger()
    log.log(Level.INFO, "bare")
    Helper(with_(Filter(log), a=1)).info("layers")
    assert set(seen) == {
        ("test_loguru.py", "test_record_is_attributed_to_the_line_that_logs"),
    }


def test_level_of_the_logger_spares_loguru_the_work(memory: MemoryLogger) -> None:
    to_kratos(memory)
    log = LoguruLogger(level=Level.WARN)
    Helper(log).info("not wanted")
    log.log(Level.INFO, "not wanted")
    log.threshold.set(Level.INFO)
    Helper(log).info("wanted")
    assert memory.messages() == ["wanted"]


def in_layers(logger: Logger) -> Logger:
    return Filter(with_(Filter(logger), a=1))


@pytest.mark.parametrize("wrap", [with_, Filter, in_layers])
def test_circle_is_refused(wrap: Any) -> None:
    with pytest.raises(ValueError, match="round in circles"):
        KratosSink(wrap(LoguruLogger()))


def test_root_logger_has_levels_for_modules_that_use_loguru(memory: MemoryLogger) -> None:
    settings = LogSettings(level=Level.ERROR, levels={__name__: Level.DEBUG}, logger="")
    to_kratos(RootLogger(settings, memory))
    loguru.debug("wanted")
    assert memory.messages() == ["wanted"]


PROGRAM = """
import logging
from loguru import logger
from kratos.log import Helper, Level, setup
root = setup(logger="loguru", levels={"shop": Level.DEBUG}, format="json")
Helper(root).info("ours", a=1)
Helper(root).debug("not wanted")
Helper(root.named("shop.orders")).debug("orders")
logging.getLogger("library").warning("library %s", 2)
logger.bind(b=2).info("loguru")
logger.debug("not wanted")
"""


def test_named_in_the_configuration_it_takes_all_that_a_process_logs() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["level"], line["msg"], line.get("logger")) for line in lines] == [
        ("INFO", "ours", None),
        ("DEBUG", "orders", "shop.orders"),
        ("WARN", "library 2", "library"),
        ("INFO", "loguru", "__main__"),
    ]


CONFIGURED = """
import sys
from loguru import logger
from kratos.log import Helper, setup
logger.remove()
logger.add(sys.stdout, format="{level} {message} {extra[a]}")
Helper(setup(logger="loguru")).info("ours", a=1)
"""


def test_sinks_of_the_program_are_the_only_ones() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CONFIGURED], capture_output=True, check=True, text=True
    )
    assert ran.stdout == "INFO ours 1\n"
    assert ran.stderr == ""
