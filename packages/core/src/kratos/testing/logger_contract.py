"""The contract of loggers, held against a back end.

Subclass ``LoggerContract`` in a test module and give it a fixture ``written``, which makes a logger
and reads back what it wrote. ``SilentLoggerContract`` is the part for those that write nothing
anybody can read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pytest

from kratos.config import Secret
from kratos.log import (
    Filter,
    Helper,
    Level,
    Logger,
    Valuer,
    context_fields,
    extract,
    with_,
)
from kratos.offload import Offload

__all__ = ["LoggerContract", "Record", "SilentLoggerContract", "Written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a back end wrote, read back.

    Attributes:
        level: Its level, as one of Kratos.
        message: Its message.
        fields: Its fields in their order, without what the back end adds by itself.
        text: All of it as it was written, the trace of an exception included.
    """

    level: Level
    message: str
    fields: Mapping[str, Any]
    text: str


class Written(Protocol):
    """A logger that writes every level, and a way to read what it wrote."""

    @property
    def logger(self) -> Logger:
        """The logger."""
        ...

    def records(self) -> Sequence[Record]:
        """Return what was written so far, when it is written."""
        ...

    def lines(self) -> Sequence[str] | None:
        """Return the same as lines of text; ``None`` for a back end that writes no lines."""
        ...


class Mute(Exception):
    """An exception whose texts fail."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Broken:
    """An object whose texts fail."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def _circle() -> list[object]:
    circle: list[object] = [1]
    circle.append({"again": circle})
    return circle


def _deep() -> object:
    deep: object = 1
    for _ in range(3000):
        deep = [deep]
    return deep


_AWKWARD: Final[Mapping[str, object]] = {
    "broken": Broken(),
    "broken within": {"a": [Broken()]},
    "mute": Mute(),
    "circle": _circle(),
    "deep": _deep(),
    "surrogate": "\ud800",
    "nul": "a\x00b",
    "huge text": "x" * 1_000_000,
    "huge number": 1 << 200,
    "no number": float("nan"),
    "bytes": b"\xff\x00",
    "function": _deep,
    "type": dict,
    "keys": {1: 1, None: 2, (1, 2): 3, b"x": 4},
}

# Names that back ends and the standard library use themselves.
_NAMES: Final = (
    *("args", "asctime", "event", "exc_info", "exception", "exc_text", "extra", "level"),
    *("message", "method_name", "module", "msg", "name", "self", "stack", "stack_info", "time"),
    *("timestamp", "logger", "kratos", "__self", "with space", "x=y", "a\nb", ""),
)
_FORGED: Final = (
    'x\n{"level":"ERROR","msg":"forged"}\r\n2026-01-01 ERROR forged\u2028\x85\x0b\x1b[2J'
)


class SilentLoggerContract:
    """What every logger has to show, also one that writes nothing anybody can read.

    Provide a fixture ``logger``.
    """

    @pytest.mark.parametrize("name", _AWKWARD)
    def test_whatever_is_logged_the_caller_goes_on(self, logger: Logger, name: str) -> None:
        for level in Level:
            logger.log(level, "m", {"value": _AWKWARD[name]})

    @pytest.mark.parametrize("name", _NAMES)
    def test_a_field_may_have_any_name(self, logger: Logger, name: str) -> None:
        logger.log(Level.ERROR, "m", {name: "value"})

    @pytest.mark.parametrize("text", ["", "%s %d %(x)s", "{} {0} {x} <red>", _FORGED, "\ud800"])
    def test_a_message_may_be_any_text(self, logger: Logger, text: str) -> None:
        logger.log(Level.INFO, text)
        logger.log(Level.INFO, text, {"a": 1})

    def test_a_level_that_is_not_written_is_not_said_to_be(self, logger: Logger) -> None:
        enabled = getattr(logger, "enabled", None)
        if enabled is None:
            pytest.skip("it does not say which levels it writes")
        assert [type(enabled(level)) for level in Level] == [bool] * len(Level)

    def test_what_threads_log_at_once_disturbs_nobody(self, logger: Logger) -> None:
        failures: list[BaseException] = []

        def write() -> None:
            try:
                for number in range(200):
                    logger.log(Level.INFO, "m", {"number": number})
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class LoggerContract(SilentLoggerContract):
    """What every logger that writes has to show.

    Provide a fixture ``written`` that returns a ``Written``.
    """

    @pytest.fixture
    def logger(self, written: Written) -> Logger:
        """The logger."""
        return written.logger

    def test_each_level_is_written_as_itself(self, written: Written) -> None:
        for level in Level:
            written.logger.log(level, "m")
        assert [record.level for record in written.records()] == list(Level)

    def test_message_and_fields_arrive_in_their_order(self, written: Written) -> None:
        written.logger.log(Level.INFO, "registered", {"z": "last?", "a": 1, "m": None, "b": True})
        (record,) = written.records()
        assert record.message == "registered"
        assert list(record.fields) == ["z", "a", "m", "b"]
        assert str(record.fields["z"]) == "last?"
        assert str(record.fields["a"]) == "1"

    def test_fields_given_are_not_changed(self, written: Written) -> None:
        fields = {"a": 1, "level": 2, "event": 3}
        written.logger.log(Level.ERROR, "m", fields)
        assert fields == {"a": 1, "level": 2, "event": 3}

    def test_message_is_no_template(self, written: Written) -> None:
        written.logger.log(Level.INFO, "100% {of} %s", {"of": 1})
        assert written.records()[0].message == "100% {of} %s"

    def test_valuer_is_computed_for_each_record_that_is_written(self, written: Written) -> None:
        numbers = iter(range(100))
        log = with_(Filter(written.logger, level=Level.INFO), number=Valuer(lambda: next(numbers)))
        for level in (Level.DEBUG, Level.INFO, Level.DEBUG, Level.WARN):
            log.log(level, "m")
        assert [str(record.fields["number"]) for record in written.records()] == ["0", "1"]

    def test_fields_of_the_logger_come_before_those_of_the_record(self, written: Written) -> None:
        with_(written.logger, service="shop", a=0).log(Level.INFO, "m", {"a": 1, "b": 2})
        fields = written.records()[0].fields
        assert {key: str(value) for key, value in fields.items()} == {
            "service": "shop",
            "a": "1",
            "b": "2",
        }

    def test_exception_brings_its_trace_from_error_on(self, written: Written) -> None:
        try:
            raise LookupError("no such order")
        except LookupError as error:
            written.logger.log(Level.ERROR, "lost", {"error": error})
        (record,) = written.records()
        assert "error" in record.fields
        assert "LookupError: no such order" in record.text
        assert 'raise LookupError("no such order")' in record.text

    def test_causes_of_an_exception_are_in_its_trace(self, written: Written) -> None:
        try:
            try:
                raise OSError("the root of it")
            except OSError as cause:
                raise RuntimeError("above it") from cause
        except RuntimeError as error:
            written.logger.log(Level.ERROR, "lost", {"error": error})
        text = written.records()[0].text
        assert "the root of it" in text
        assert "above it" in text

    def test_text_of_strangers_forges_no_line(self, written: Written) -> None:
        written.logger.log(Level.INFO, _FORGED, {"user": _FORGED, _FORGED: 1})
        lines = written.lines()
        if lines is None:
            assert len(written.records()) == 1
        else:
            assert len(lines) == 1, lines

    def test_exception_of_strangers_forges_no_line_that_looks_like_one(
        self, written: Written
    ) -> None:
        try:
            raise ValueError(_FORGED)
        except ValueError as error:
            written.logger.log(Level.ERROR, "m", {"error": error})
        lines = written.lines()
        if lines is None:
            assert len(written.records()) == 1
        else:
            assert all(line.startswith(" ") for line in lines[1:]), lines

    @pytest.mark.parametrize("name", _AWKWARD)
    def test_record_with_an_awkward_value_is_written(self, written: Written, name: str) -> None:
        written.logger.log(Level.INFO, "before the value", {"a": 1, "value": _AWKWARD[name]})
        assert "before the value" in [record.message for record in written.records()]

    def test_secret_is_not_written(self, written: Written) -> None:
        secret = Secret("hunter2")
        for level in (Level.INFO, Level.ERROR):
            written.logger.log(level, "m", {"password": secret, "in": {"a": [secret]}})
        for record in written.records():
            assert "hunter2" not in record.text
            assert "***" in record.text

    def test_filter_before_it_hides_by_name(self, written: Written) -> None:
        Filter(written.logger, keys=["password"], secrets=True).log(
            Level.INFO, "m", {"password": "hunter2", "user": {"api_key": "hunter2", "name": "x"}}
        )
        assert "hunter2" not in written.records()[0].text

    def test_filter_before_it_hides_what_contexts_and_loggers_add(self, written: Written) -> None:
        hiding = Filter(with_(written.logger, card="hunter2"), keys=["card", "account"])
        with context_fields(account="hunter2"):
            with_(hiding, a=1).log(Level.INFO, "m")
        (record,) = written.records()
        assert "hunter2" not in record.text
        assert {key: str(value) for key, value in record.fields.items()} == {
            "account": "***",
            "card": "***",
            "a": "1",
        }

    def test_fields_of_the_context_are_written_and_those_of_the_record_win(
        self, written: Written
    ) -> None:
        with context_fields(a=1, b=1):
            written.logger.log(Level.INFO, "m", {"b": 2})
        written.logger.log(Level.INFO, "m")
        first, second = written.records()
        assert {key: str(value) for key, value in first.fields.items()} == {"a": "1", "b": "2"}
        assert dict(second.fields) == {}

    def test_what_is_extracted_from_the_context_is_written(self, written: Written) -> None:
        undo = extract(lambda: {"trace_id": "4bf9"})
        try:
            written.logger.log(Level.INFO, "m")
        finally:
            undo()
        assert dict(written.records()[0].fields) == {"trace_id": "4bf9"}

    def test_fields_of_the_context_go_with_tasks_and_threads(self, written: Written) -> None:
        log = written.logger

        async def child() -> None:
            log.log(Level.INFO, "task")

        async def neighbour(begun: asyncio.Event, done: asyncio.Event) -> None:
            begun.set()
            await done.wait()
            log.log(Level.INFO, "neighbour")

        async def speak() -> None:
            begun, done = asyncio.Event(), asyncio.Event()
            beside = asyncio.create_task(neighbour(begun, done))
            await begun.wait()
            offload = Offload()
            with context_fields(order="4711"):
                await asyncio.create_task(child())
                await offload.run(log.log, Level.INFO, "thread")
                done.set()
                await beside
            await offload.aclose()

        asyncio.run(speak())
        found = {record.message: record.fields.get("order") for record in written.records()}
        expected = {"task": "4711", "thread": "4711", "neighbour": None}
        assert {message: found[message] for message in expected} == expected

    def test_helper_formats_for_it(self, written: Written) -> None:
        Helper(written.logger).warn("%s of %d", "one", 2, a=1)
        (record,) = written.records()
        assert (record.level, record.message) == (Level.WARN, "one of 2")
