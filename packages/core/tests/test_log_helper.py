from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from typing import Any

import pytest

from kratos import App
from kratos.log import (
    NO_FIELDS,
    Filter,
    Helper,
    Level,
    LogHandler,
    NopLogger,
    StdLogger,
    Valuer,
    caller,
    context_fields,
    current_fields,
    service,
    timestamp,
    with_,
    worker,
)
from kratos.offload import offload
from kratos.testing.app import running
from kratos.testing.log import MemoryLogger


@pytest.fixture
def memory() -> MemoryLogger:
    return MemoryLogger()


def test_each_method_writes_its_level_with_fields(memory: MemoryLogger) -> None:
    log = Helper(memory)
    for write in (log.debug, log.info, log.warn, log.error, log.fatal):
        write("m", a=1)
    assert memory.records == [(level, "m", {"a": 1}) for level in Level]


def test_text_is_formatted_with_its_arguments(memory: MemoryLogger) -> None:
    Helper(memory).info("%s of %d", "one", 2)
    assert memory.messages() == ["one of 2"]


def test_text_that_does_not_fit_its_arguments_is_written_all_the_same(
    memory: MemoryLogger,
) -> None:
    Helper(memory).info("%d", "x")
    assert memory.messages() == ["%d ('x',)"]


def test_argument_whose_text_fails_costs_no_record(memory: MemoryLogger) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    Helper(memory).info("about %s", Broken())
    assert memory.messages() == ["about %s <tuple, whose text fails: RuntimeError>"]


def test_level_below_the_helpers_is_not_written_nor_formatted(memory: MemoryLogger) -> None:
    class Dear:
        def __str__(self) -> str:
            raise AssertionError

    log = Helper(memory, level=Level.WARN)
    log.info("%s", Dear())
    assert not log.enabled(Level.INFO)
    assert log.enabled(Level.WARN)
    assert memory.records == []


def test_logger_that_knows_its_level_is_asked_before_anything_is_formatted() -> None:
    log = Helper(NopLogger())
    log.error("%s", object())
    assert not log.enabled(Level.FATAL)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        *((level.name, level) for level in Level),
        ("debug", Level.DEBUG),
        (" Warn ", Level.WARN),
        ("", Level.INFO),
        ("loud", Level.INFO),
    ],
)
def test_level_is_found_by_its_name(text: str, level: Level) -> None:
    assert Level.parse(text) is level


def test_fields_of_a_logger_go_with_every_record_and_the_innermost_wins(
    memory: MemoryLogger,
) -> None:
    log = with_(with_(memory, a=1, b=1), b=2, c=2)
    log.log(Level.INFO, "m", {"c": 3})
    log.log(Level.INFO, "n")
    assert memory.records == [
        (Level.INFO, "m", {"a": 1, "b": 2, "c": 3}),
        (Level.INFO, "n", {"a": 1, "b": 2, "c": 2}),
    ]


def test_valuer_is_computed_for_each_record_that_is_written(memory: MemoryLogger) -> None:
    numbers = iter(range(10))
    log = with_(Filter(memory, level=Level.INFO), n=Valuer(lambda: next(numbers)))
    for level in (Level.DEBUG, Level.INFO, Level.DEBUG, Level.INFO):
        log.log(level, "m")
    log.log(Level.INFO, "m", {"n": "own"})
    assert [fields["n"] for _, _, fields in memory.records] == [0, 1, "own"]


def test_valuer_that_finds_nothing_adds_no_field(memory: MemoryLogger) -> None:
    log = with_(memory, tenant=Valuer(lambda: None), worker=worker())
    log.log(Level.INFO, "m", {"own": None})
    log.log(Level.INFO, "m", {"tenant": "a"})
    assert [fields for _, _, fields in memory.records] == [{"own": None}, {"tenant": "a"}]


def test_valuer_that_fails_gives_what_it_raised(memory: MemoryLogger) -> None:
    with_(memory, n=Valuer(lambda: 1 // 0)).log(Level.INFO, "m")
    assert isinstance(memory.records[0][2]["n"], ZeroDivisionError)


def test_caller_is_the_line_that_logs(memory: MemoryLogger) -> None:
    log = Helper(with_(Filter(with_(memory, at=caller())), up=caller(depth=1)))
    log.info("m")
    fields = memory.records[0][2]
    assert str(fields["at"]).startswith("tests/test_log_helper.py:")
    assert str(fields["up"]) != str(fields["at"])


def test_timestamp_has_the_layout_that_was_asked_for(memory: MemoryLogger) -> None:
    with_(memory, year=timestamp("%Y"), at=timestamp()).log(Level.INFO, "m")
    fields = memory.records[0][2]
    assert len(str(fields["year"])) == 4
    assert str(fields["at"])[10] == "T"


async def test_service_is_the_application_that_runs(memory: MemoryLogger) -> None:
    log = with_(memory, service=service())

    async def note(app: App) -> None:
        log.log(Level.INFO, "m")
        app.stop()

    log.log(Level.INFO, "outside")
    await App(name="greeter", after_start=[note], signals=()).run()
    assert [fields["service"] for _, _, fields in memory.records] == ["", "greeter"]


async def test_service_is_known_to_signals_and_threads_unless_several_run(
    memory: MemoryLogger,
) -> None:
    log = with_(memory, service=service())

    def outside(message: str) -> None:
        Context().run(log.log, Level.INFO, message)

    async with running(App(name="greeter", signals=())):
        outside("one")
        async with running(App(name="shop", signals=())):
            outside("two")
        outside("one again")
    outside("none")
    assert [fields["service"] for _, _, fields in memory.records] == ["greeter", "", "greeter", ""]


def test_std_logger_tells_the_line_that_logs_through_all_layers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("kratos.test")
    caplog.set_level(logging.INFO, "kratos.test")
    std = StdLogger(logger)
    std.log(Level.INFO, "bare")
    Helper(with_(Filter(std), a=1)).info("layers")
    assert {record.filename for record in caplog.records} == {"test_log_helper.py"}
    assert {record.funcName for record in caplog.records} == {
        "test_std_logger_tells_the_line_that_logs_through_all_layers"
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"keys": ["password"]}, {"password": "***", "user": {"password": "***", "name": "x"}}),
        ({"keys": ["user.password"]}, {"password": "x", "user": {"password": "***", "name": "x"}}),
        ({"keys": ["user"]}, {"password": "x", "user": "***"}),
        ({"values": ["x"]}, {"password": "***", "user": {"password": 5, "name": "***"}}),
        ({}, {"password": "x", "user": {"password": 5, "name": "x"}}),
    ],
)
def test_filter_hides_by_key_path_and_value(
    memory: MemoryLogger, options: dict[str, Any], expected: object
) -> None:
    fields = {"password": "x", "user": {"password": 5, "name": "x"}}
    Filter(memory, **options).log(Level.INFO, "m", fields)
    assert memory.records[0][2] == expected
    assert fields == {"password": "x", "user": {"password": 5, "name": "x"}}


@pytest.mark.parametrize("keys", [["password"], ["users.password"]])
def test_filter_hides_within_lists(memory: MemoryLogger, keys: list[str]) -> None:
    users = [{"password": "x", "name": "a"}, ({"password": "y"},)]
    Filter(memory, keys=keys).log(Level.INFO, "m", {"users": users})
    shown = [{"password": "***", "name": "a"}, [{"password": "***"}]]
    assert memory.records[0][2] == {"users": shown}


def test_one_text_in_place_of_keys_to_hide_is_refused(memory: MemoryLogger) -> None:
    with pytest.raises(TypeError, match="keys and values must be lists"):
        Filter(memory, keys="password")


def test_logger_of_the_standard_library_is_refused_with_what_makes_it_one() -> None:
    with pytest.raises(TypeError, match=r"such as StdLogger\("):
        Helper(logging.getLogger("shop"))


def test_filter_drops_by_level_and_by_function(memory: MemoryLogger) -> None:
    def probes(level: Level, message: str, fields: Mapping[str, object]) -> bool:
        return level < Level.ERROR and fields.get("path") == "/healthz"

    log = Filter(memory, level=Level.INFO, drop=probes)
    log.log(Level.DEBUG, "low")
    log.log(Level.INFO, "probe", {"path": "/healthz"})
    log.log(Level.ERROR, "failed", {"path": "/healthz"})
    assert memory.messages() == ["failed"]


class Contextual:
    """What adapters of other back ends do."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        self.seen.append({**current_fields(), **fields})


async def test_fields_of_a_context_reach_tasks_and_threads_but_no_neighbours() -> None:
    log = Contextual()
    begun, done = asyncio.Event(), asyncio.Event()

    async def neighbour() -> None:
        begun.set()
        await done.wait()
        log.log(Level.INFO, "n")

    async def child() -> None:
        log.log(Level.INFO, "c")

    beside = asyncio.create_task(neighbour())
    await begun.wait()
    with context_fields(a=1), context_fields(b=2):
        await asyncio.create_task(child())
        await offload(log.log, Level.INFO, "t")
        done.set()
        await beside
    log.log(Level.INFO, "after")
    assert log.seen == [{"a": 1, "b": 2}, {"a": 1, "b": 2}, {}, {}]


@pytest.fixture
def bridged(memory: MemoryLogger) -> logging.Logger:
    logger = logging.getLogger("kratos.bridge.test")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.handlers[:] = [LogHandler(memory)]
    return logger


def test_records_of_libraries_arrive_with_level_name_and_exception(
    memory: MemoryLogger, bridged: logging.Logger
) -> None:
    bridged.debug("%s of %d", "one", 2)
    error = ValueError("no")
    try:
        raise error
    except ValueError:
        bridged.exception("failed")
    bridged.critical("end")
    name = {"logger": "kratos.bridge.test"}
    assert memory.records == [
        (Level.DEBUG, "one of 2", name),
        (Level.ERROR, "failed", {**name, "error": error}),
        (Level.FATAL, "end", name),
    ]


def test_fields_survive_the_way_through_logging_and_back(
    memory: MemoryLogger, bridged: logging.Logger
) -> None:
    StdLogger(bridged).log(Level.WARN, "registered", {"port": 80})
    assert memory.records == [
        (Level.WARN, "registered", {"logger": "kratos.bridge.test", "port": 80})
    ]


def test_circle_of_bridges_is_refused() -> None:
    with pytest.raises(ValueError, match="round in circles"):
        LogHandler(StdLogger())


def test_record_that_cannot_be_read_disturbs_nobody(
    memory: MemoryLogger, bridged: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    bridged.info("%d", "x")
    assert memory.records == []
