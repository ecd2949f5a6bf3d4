"""The logger that everything ends in, and what a configuration decides of it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kratos import App, run
from kratos.config import Config, MemorySource, Prepared, Snapshot
from kratos.errors import ConfigError, PluginNotFound
from kratos.log import (
    NO_FIELDS,
    Filter,
    Helper,
    Level,
    Logger,
    LogHandler,
    RootLogger,
    StdLogger,
    caller,
    context_fields,
    extract,
    service,
    service_id,
    service_version,
    setup,
    with_,
    worker,
)
from kratos.plugins import register
from kratos.process import become_worker
from kratos.testing.log import MemoryLogger
from kratos.url import Url


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("shop", "shop.orders", "noisy"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def memory() -> MemoryLogger:
    return MemoryLogger()


def test_all_ways_lead_to_one_logger(memory: MemoryLogger) -> None:
    root = setup(logger=memory, fields={"team": "payments"})
    Helper(root).info("ours")
    Helper(root.named("shop")).info("a module's")
    logging.getLogger("library").info("a library's")
    team = {"team": "payments"}
    assert memory.records == [
        (Level.INFO, "ours", team),
        (Level.INFO, "a module's", {**team, "logger": "shop"}),
        (Level.INFO, "a library's", {**team, "logger": "library"}),
    ]


def test_all_that_an_application_says_has_its_name_to_the_last_word(memory: MemoryLogger) -> None:
    fail: list[bool] = []

    def started(app: App) -> None:
        if fail:
            raise RuntimeError("no")
        app.stop("enough")

    def build() -> App:
        return App(name="greeter", after_start=[started], signals=(), log=root)

    root = setup(logger=memory, fields={"service": service(), "worker": worker()})
    run(build)
    fail.append(True)
    with pytest.raises(SystemExit):
        run(build)
    assert memory.messages()[-1] == "application failed"
    assert "application stops" in memory.messages()
    for _, message, fields in memory.records:
        assert (message, fields.get("service"), "worker" in fields) == (message, "greeter", False)


def test_module_has_the_level_of_the_nearest_name(memory: MemoryLogger) -> None:
    root = setup(
        logger=memory,
        levels={"shop": Level.ERROR, "shop.orders": Level.DEBUG},
    )
    for name in ("shop", "shop.orders", "shop.orders.paid", "shopping", ""):
        assert root.named(name) is root.named(name)
    written = {
        name: next(level.name for level in Level if Helper(root.named(name)).enabled(level))
        for name in ("shop", "shop.cart", "shop.orders", "shop.orders.paid", "shopping")
    }
    assert written == {
        "shop": "ERROR",
        "shop.cart": "ERROR",
        "shop.orders": "DEBUG",
        "shop.orders.paid": "DEBUG",
        "shopping": "INFO",
    }
    Helper(root.named("shop.orders")).debug("wanted")
    logging.getLogger("shop.orders").debug("wanted, too")
    logging.getLogger("shop").warning("not wanted")
    root.named("shop").log(Level.WARN, "not wanted")
    assert memory.messages() == ["wanted", "wanted, too"]


def test_level_that_changes_reaches_helpers_that_are_there_already(memory: MemoryLogger) -> None:
    root = setup(logger=memory)
    log = Helper(with_(Filter(root), a=1))
    log.debug("not wanted")
    root.threshold.set(Level.DEBUG)
    log.debug("wanted")
    assert memory.records == [(Level.DEBUG, "wanted", {"a": 1})]


def in_layers(logger: Logger) -> Logger:
    return Filter(with_(Filter(logger), a=1))


@pytest.mark.parametrize("wrap", [with_, Filter, in_layers])
def test_circle_through_layers_is_refused(wrap: Any) -> None:
    with pytest.raises(ValueError, match="round in circles"):
        LogHandler(wrap(StdLogger()))
    before = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match="round in circles"):
        setup(logger=wrap(StdLogger()))
    assert logging.getLogger().handlers == before


def test_circle_by_ways_unknown_ends_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    class Hidden:
        def log(
            self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /
        ) -> None:
            seen.append(message)
            logging.getLogger("hidden").log(level, message)

    setup(logger=Hidden())
    for number in range(3):
        logging.getLogger("library").info("number %d", number)
    assert seen == ["number 0", "number 1", "number 2"]
    assert capsys.readouterr().err.count("a record of 'hidden' is dropped") == 1


def test_plugin_that_is_not_installed_is_named_with_what_to_install() -> None:
    with pytest.raises(PluginNotFound, match="nosuch"):
        setup(logger="nosuch")


@pytest.mark.parametrize(("options", "error"), [({"format": "xml"}, ValueError)])
def test_setting_that_cannot_be_is_refused(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="format must be"):
        setup(**options)


def test_lines_of_a_worker_carry_its_number(
    memory: MemoryLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kratos import process

    monkeypatch.setattr(process, "_slots", [])
    with_(memory, worker=worker()).log(Level.INFO, "alone")
    become_worker(3)
    setup(logger=memory).log(Level.INFO, "one of them")
    assert [fields.get("worker", "none") for _, _, fields in memory.records] == ["none", 3]


async def test_service_is_told_by_name_id_and_version(memory: MemoryLogger) -> None:
    log = with_(memory, id=service_id(), version=service_version())

    def note(app: App) -> None:
        log.log(Level.INFO, "m")
        app.stop()

    await App(name="greeter", id="g-1", version="1.2", after_start=[note], signals=()).run()
    log.log(Level.INFO, "outside")
    assert [fields for _, _, fields in memory.records] == [
        {"id": "g-1", "version": "1.2"},
        {"id": "", "version": ""},
    ]


def test_caller_of_a_librarys_record_is_the_library(memory: MemoryLogger) -> None:
    setup(logger=memory, fields={"at": caller()})
    logging.getLogger("library").info("m")
    assert str(memory.records[0][2]["at"]).startswith("tests/test_log_root.py:")


def test_caller_is_not_who_listens_to_all_that_is_logged(
    memory: MemoryLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trackers of errors put a function of theirs into ``logging``."""
    call_handlers = logging.Logger.callHandlers

    def listening(self: logging.Logger, record: logging.LogRecord) -> None:
        call_handlers(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", listening)
    setup(logger=memory, fields={"at": caller()})
    logging.getLogger("library").warning("late")
    assert str(memory.records[0][2]["at"]).startswith("tests/test_log_root.py:")
    line = int(str(memory.records[0][2]["at"]).rpartition(":")[2])
    assert "library" in Path(__file__).read_text(encoding="utf-8").splitlines()[line - 1]


def test_extractors_add_up_and_end(memory: MemoryLogger) -> None:
    from kratos.log import current_fields

    undo_first = extract(lambda: {"a": 1, "b": 1})
    undo_second = extract(lambda: {"b": 2, "c": 2})
    with context_fields(c=3):
        assert current_fields() == {"a": 1, "b": 1, "c": 3}
    undo_first()
    undo_first()
    assert current_fields() == {"b": 2, "c": 2}
    undo_second()
    assert current_fields() == {}


def test_extractor_that_fails_costs_no_record() -> None:
    from kratos.log import current_fields

    undo = extract(lambda: {"a": 1 // 0})
    try:
        with context_fields(b=1):
            fields = current_fields()
    finally:
        undo()
    assert isinstance(fields["extractor"], ZeroDivisionError)
    assert fields["b"] == 1


class Following:
    """A root logger that follows a configuration in memory."""

    def __init__(self, memory: MemoryLogger, text: Mapping[str, object]) -> None:
        self.source = MemorySource.of(text)
        self.config = Config(self.source)
        self.root = setup(logger=memory)


async def test_change_in_a_source_is_in_force_when_observers_hear_of_it(
    memory: MemoryLogger,
) -> None:
    told = Following(memory, {"log": {"level": "warn"}})
    log = Helper(told.root)
    changed, refused = asyncio.Event(), asyncio.Event()
    async with told.config, told.root.following(told.config):
        told.config.watch("log", lambda _old, _new: changed.set())
        told.source.set({"log": {"level": "debug"}})
        await changed.wait()
        log.debug("wanted")
        changed.clear()

        def note(_record: logging.LogRecord) -> bool:
            refused.set()
            return True

        class Last:
            async def prepare(self, _old: Snapshot, _new: Snapshot, /) -> Prepared:
                raise AssertionError("the log has refused before")

        told.config.join(Last())
        logging.getLogger("kratos.config").addFilter(note)
        told.source.set({"log": {"level": "loud"}})
        await refused.wait()
        log.debug("wanted still")
    told.source.set({"log": {"level": "fatal"}})
    logging.getLogger("kratos.config").removeFilter(note)
    assert [each for each in memory.messages() if "wanted" in each] == ["wanted", "wanted still"]
    assert "'log.level' must be" in str(told.config.last_error)


async def test_configuration_decides_at_the_start_and_when_it_changes(
    memory: MemoryLogger,
) -> None:
    told = Following(memory, {"log": {"level": "warn", "fields": {"team": "a"}}})
    async with told.config, told.root.following(told.config):
        log = Helper(told.root)
        log.info("not wanted")
        Helper(told.root).warn("first")
        prepared = await _change(told, {"log": {"level": "debug", "levels": {"noisy": "error"}}})
        prepared.commit()
        log.debug("second")
        logging.getLogger("noisy").warning("not wanted")
        assert logging.getLogger("noisy").level == logging.ERROR
        (await _change(told, {})).commit()
        log.debug("not wanted")
        log.info("third")
        assert logging.getLogger("noisy").level == logging.NOTSET
    assert [(message, fields) for _, message, fields in memory.records] == [
        ("first", {"team": "a"}),
        ("second", {}),
        ("third", {}),
    ]


async def _change(told: Following, tree: Mapping[str, object]) -> Prepared:
    return await told.root.following(told.config).prepare(told.config.snapshot, Snapshot(tree))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"level": "loud"}, r"'log\.level' must be debug, info, warn, error or fatal"),
        ({"level": 3}, r"'log\.level' must be"),
        ({"levels": {"a": {"b": "loud"}}}, r"'log\.levels\.a\.b' must be"),
        ({"levels": "debug"}, r"'log\.levels' must be levels by names of modules"),
        ({"format": "xml"}, r"'log\.format' must be auto, json, text or color"),
        ({"fields": "x"}, r"'fields' must be a mapping"),
        ({"lvl": "info"}, r"'log\.lvl' says nothing: there are level, format"),
        (7, r"'log' must be a mapping"),
    ],
)
async def test_configuration_that_asks_for_what_there_is_not_is_refused(
    memory: MemoryLogger, part: object, message: str
) -> None:
    told = Following(memory, {"log": part})
    async with told.config:
        with pytest.raises(ConfigError, match=message):
            async with told.root.following(told.config):
                raise AssertionError
    assert told.root.settings.level is Level.INFO


@pytest.mark.parametrize("name", ["debug", " DEBUG ", "Debug"])
async def test_levels_are_named_in_any_case(memory: MemoryLogger, name: str) -> None:
    told = Following(memory, {"log": {"level": name, "levels": {"a.b": name, "c": {"d": "info"}}}})
    async with told.config, told.root.following(told.config):
        settings = told.root.settings
    assert settings.level is Level.DEBUG
    assert settings.levels == {"a.b": Level.DEBUG, "c.d": Level.INFO}


async def test_logger_is_chosen_by_its_name_alone() -> None:
    other, given = MemoryLogger(), MemoryLogger()
    formats: list[str] = []

    def make(*, format: str) -> MemoryLogger:  # noqa: A002
        formats.append(format)
        return other

    undo = register("kratos.log", "other", make)
    try:
        told = Following(given, {"log": "other"})
        async with told.config, told.root.following(told.config):
            told.root.log(Level.INFO, "m")
            (await _change(told, {"log": {"logger": "other", "level": "debug"}})).commit()
            (await _change(told, {})).commit()
            told.root.log(Level.INFO, "n")
    finally:
        undo()
    assert (other.messages(), given.messages()) == (["m"], ["n"])
    assert formats == ["auto"]


def test_logger_of_a_url_is_made_by_the_plugin_of_its_scheme(
    memory: MemoryLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, Url | None]] = []

    def make(*, format: str, url: Url | None = None) -> MemoryLogger:  # noqa: A002
        made.append((format, url))
        return memory

    monkeypatch.setenv("FORWARDER", "10.0.0.1:24224")
    undo = register("kratos.log", "other", make)
    try:
        setup(logger="other://${FORWARDER}?tag=shop", format="json").log(Level.INFO, "m")
        setup(logger="other")
    finally:
        undo()
    (told, url), named = made
    assert told == "json"
    assert url is not None
    assert str(url) == "other://10.0.0.1:24224?tag=shop"
    assert named == ("auto", None)
    assert memory.messages() == ["m"]


def test_logger_that_has_no_url_says_so() -> None:
    with pytest.raises(ConfigError, match="line://host: the logger line has no URL, only its name"):
        setup(logger="line://host")
    with pytest.raises(ConfigError, match="the environment variable 'NO_SUCH_NAME' is not set"):
        setup(logger="line://${NO_SUCH_NAME}")


def test_root_logger_is_what_setup_returns() -> None:
    assert isinstance(setup(logger=MemoryLogger()), RootLogger)


WORKERS = """
import signal, os
from kratos import App, run
from kratos.log import Helper, setup
from kratos.process import worker_slot

log = setup(format="json", fields={"team": "payments"})

def build() -> App:
    async def note(app: App) -> None:
        for number in range(200):
            Helper(log.named("shop")).info("works", number=number, text="x" * 500)
        Helper(log).info("noted")
    return App(name="shop", log=log, after_start=[note])

if __name__ == "__main__":
    run(build, workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
def test_lines_of_workers_stay_whole_and_carry_their_numbers(tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    program.write_text(WORKERS, encoding="utf-8")
    lines: list[dict[str, Any]] = []
    noted = 0
    with subprocess.Popen([sys.executable, str(program)], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["msg"] == "noted":
                noted += 1
                if noted == 2:
                    process.terminate()
    assert process.returncode == 0
    works = [(each["worker"], each["number"]) for each in lines if each["msg"] == "works"]
    assert sorted(works) == [(slot, number) for slot in (0, 1) for number in range(200)]
    assert {each["team"] for each in lines} == {"payments"}
    assert None in {each.get("worker") for each in lines}  # the supervisor's
