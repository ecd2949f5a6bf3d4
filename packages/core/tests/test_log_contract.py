"""The contract of loggers on those that the core has."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from kratos.log import (
    Filter,
    Level,
    LineLogger,
    Logger,
    LogHandler,
    NopLogger,
    QueuedWriter,
    StdLogger,
    _json,
    setup,
    with_,
)
from kratos.log.line import Format
from kratos.testing.log import MemoryLogger
from kratos.testing.logger_contract import (
    LoggerContract,
    Record,
    SilentLoggerContract,
    Written,
)

ADDED = ("time", "level", "msg", "stack")
LEVELS = {level.name: level for level in Level}


class Lines:
    """Takes lines, and reads those of JSON back."""

    def __init__(self, make: Callable[[Lines], Logger]) -> None:
        self.written: list[bytes] = []
        self.logger = make(self)

    def write(self, line: bytes, /) -> None:
        self.written.append(line)

    def records(self) -> Sequence[Record]:
        return [self._read(line.decode()) for line in self.written]

    def lines(self) -> Sequence[str]:
        return b"".join(self.written).decode().split("\n")[:-1]

    @staticmethod
    def _read(line: str) -> Record:
        told = json.loads(line)
        return Record(
            level=LEVELS[told["level"]],
            message=told["msg"],
            fields={key: value for key, value in told.items() if key not in ADDED},
            text=f"{line}{told.get('stack', '')}",
        )


class TestLineLogger(LoggerContract):
    @pytest.fixture(params=["orjson", "json"])
    def written(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Written]:
        if request.param == "json":
            monkeypatch.setitem(sys.modules, "orjson", None)
        _json.dumper.cache_clear()
        yield Lines(lambda lines: LineLogger(lines, level=Level.DEBUG, format="json"))
        _json.dumper.cache_clear()


class TestLayers(LoggerContract):
    """A logger with fields, a filter around it, and a root logger around that."""

    @pytest.fixture
    def written(self) -> Iterator[Written]:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level

        def make(lines: Lines) -> Logger:
            line = LineLogger(lines, level=Level.DEBUG, format="json")
            return setup(level=Level.DEBUG, logger=Filter(with_(line)))

        yield Lines(make)
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize("format", ["text", "color"])
class TestLinesForPeople(SilentLoggerContract):
    @pytest.fixture
    def logger(self, format: Format) -> Logger:  # noqa: A002
        return LineLogger(Lines(lambda _: NopLogger()), level=Level.DEBUG, format=format)


class TestNopLogger(SilentLoggerContract):
    @pytest.fixture
    def logger(self) -> Logger:
        return NopLogger()


class Handled(logging.Handler):
    """Keeps records, and formats them as programs do."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.logger = StdLogger(logger)
        self._kept: list[logging.LogRecord] = []
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record)
        self._texts.append(self.format(record))

    def records(self) -> Sequence[Record]:
        return [
            Record(
                level=Level(record.levelno),
                message=message_of(record),
                fields=record.__dict__["kratos"],
                text=text,
            )
            for record, text in zip(self._kept, self._texts, strict=True)
        ]

    def lines(self) -> Sequence[str] | None:
        return None  # that is for the program's formatter


def message_of(record: logging.LogRecord) -> str:
    """Return the message as it was given, as ``LogHandler`` does."""
    memory = MemoryLogger()
    LogHandler(memory).emit(record)
    return memory.messages()[0]


class TestStdLogger(LoggerContract):
    @pytest.fixture
    def written(self) -> Iterator[Written]:
        logger = logging.getLogger("kratos.contract")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        handled = Handled(logger)
        logger.handlers[:] = [handled]
        yield handled
        logger.handlers[:] = []


class TestLogHandler(LoggerContract):
    """Through ``logging`` and back."""

    @pytest.fixture
    def written(self) -> Iterator[Written]:
        logger = logging.getLogger("kratos.contract.back")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)

        class Back(Lines):
            def records(self) -> Sequence[Record]:
                read = super().records()
                for record in read:
                    assert isinstance(record.fields, dict)
                    record.fields.pop("logger", None)
                return read

        def make(lines: Lines) -> Logger:
            line = LineLogger(lines, level=Level.DEBUG, format="json")
            logger.handlers[:] = [LogHandler(line)]
            return StdLogger(logger)

        yield Back(make)
        logger.handlers[:] = []


def test_logger_whose_writer_is_closed_disturbs_nobody() -> None:
    read, write = os.pipe()
    writer = QueuedWriter(write)
    logger = LineLogger(writer, format="json")
    logger.log(Level.INFO, "m")
    writer.close()
    logger.log(Level.INFO, "late")
    assert writer.dropped == 1
    assert b'"msg":"m"' in os.read(read, 1000)
    os.close(read)
    os.close(write)
