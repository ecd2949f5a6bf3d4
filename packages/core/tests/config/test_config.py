from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kratos.config import (
    ArgumentsSource,
    Config,
    EnvSource,
    FileSource,
    KeyValue,
    MemorySource,
    Prepared,
    Secret,
    Snapshot,
)
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.metrics import MemoryMeter
from kratos.testing.clock import FakeClock
from kratos.watch import Watcher


@asynccontextmanager
async def loaded(*sources: Any, **options: Any) -> AsyncGenerator[tuple[Config, FakeClock]]:
    clock = FakeClock()
    async with Config(*sources, clock=clock, **options) as config:
        await clock.settle()
        yield config, clock


class SlowClock(FakeClock):
    """Time that passes while somebody computes."""

    def spend(self, seconds: float) -> None:
        self._now += seconds


async def test_source_that_changes_all_the_time_leaves_the_event_loop_to_others() -> None:
    clock, source = SlowClock(), MemorySource.of({"a": 0})

    def check(_snapshot: Snapshot) -> None:
        clock.spend(0.1)

    async with Config(source, clock=clock, validators=[check]) as config:
        await clock.settle()
        seen: list[object] = []
        config.watch("a", lambda _, new: seen.append((clock.time(), new["a"])))
        for number in (1, 2, 3):
            source.set({"a": number})
            await clock.settle()
        await clock.advance(10)
    assert seen == [(1000.2, 1), (pytest.approx(1001.2), 3)]


class Recorder:
    """A participant that writes down what happens to it."""

    def __init__(self, log: list[str], name: str = "p", refuse: str = "") -> None:
        self.log = log
        self.name = name
        self.refuse = refuse
        self.gate: asyncio.Event | None = None
        self.back: Callable[[], Awaitable[None]] | None = None

    async def prepare(self, old: Snapshot, new: Snapshot, /) -> Prepared:
        self.log.append(f"{self.name} prepares")
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse:
            raise ConfigError(self.refuse)
        return self

    def commit(self) -> None:
        self.log.append(f"{self.name} commits")

    async def rollback(self) -> None:
        if self.back is not None:
            await self.back()
        self.log.append(f"{self.name} rolls back")


async def give_up() -> None:
    """End as what cancels a task of its own and awaits it does, though nobody cancelled us."""
    task = asyncio.create_task(asyncio.sleep(0))
    task.cancel()
    await task


def give_up_at_once(*_: object) -> None:
    raise asyncio.CancelledError


def noted(seen: list[tuple[object, object]], key: str) -> Callable[[Snapshot, Snapshot], None]:
    def observe(old: Snapshot, new: Snapshot) -> None:
        seen.append((old.tree.get(key), new.tree.get(key)))

    return observe


async def test_later_sources_lie_on_top_of_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("server: {port: 1, host: a}\nurl: http://${server.host}\n")
    (tmp_path / "b.json").write_text('{"server": {"port": 2}}')
    sources = (
        FileSource(tmp_path),
        EnvSource("APP_", nested="__", environ={"APP_SERVER__HOST": "b"}),
        ArgumentsSource(["server.port=3"]),
    )
    async with loaded(*sources) as (config, _):
        assert config.snapshot.get("server.port", int) == 3
        assert config.snapshot["url"] == "http://b"
        assert config.origins() == {
            "server.port": "command line",
            "server.host": "environment APP_",
            "url": f"{tmp_path}: a.yaml",
        }


async def test_change_of_a_source_makes_a_new_snapshot() -> None:
    source = MemorySource.of({"a": 1, "b": 1})
    async with loaded(source, MemorySource.of({"b": 2})) as (config, clock):
        first = config.snapshot
        source.set({"a": 3, "b": 3})
        await clock.settle()
        assert dict(config.snapshot.tree) == {"a": 3, "b": 2}
        assert config.snapshot.revision == first.revision + 1
        assert dict(first.tree) == {"a": 1, "b": 2}


async def test_change_that_another_source_hides_is_none() -> None:
    source = MemorySource.of({"a": 1})
    async with loaded(source, MemorySource.of({"a": 2})) as (config, clock):
        first = config.snapshot
        source.set({"a": 3})
        await clock.settle()
        assert config.snapshot is first


@pytest.mark.parametrize(
    ("before", "after"),
    [({"a": 1}, {"a": 2}), ({}, {"a": 1}), ({"a": 1}, {}), ({"a": 1}, {"a": "1"})],
)
async def test_observer_hears_of_values_that_change_come_or_go(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    seen: list[tuple[object, object]] = []
    source = MemorySource.of(before)
    async with loaded(source) as (config, clock):
        config.watch("a", noted(seen, "a"))
        source.set(after)
        await clock.settle()
    assert seen == [(before.get("a"), after.get("a"))]


async def test_observer_hears_of_its_key_only_and_until_it_stops() -> None:
    seen: list[tuple[object, object]] = []
    every: list[tuple[object, object]] = []
    source = MemorySource.of({"a": 1, "b": 1})
    async with loaded(source) as (config, clock):
        stop = config.watch("a", noted(seen, "a"))
        config.watch("", noted(every, "a"))
        for tree in ({"a": 1, "b": 2}, {"a": 2, "b": 2}):
            source.set(tree)
            await clock.settle()
        stop()
        stop()
        source.set({"a": 3, "b": 2})
        await clock.settle()
    assert seen == [(1, 2)]
    assert every == [(1, 1), (1, 2), (2, 3)]


async def test_failing_observer_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(old: Snapshot, new: Snapshot) -> None:
        raise RuntimeError("on purpose")

    seen: list[tuple[object, object]] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        config.watch("a", fail)
        config.watch("a", noted(seen, "a"))
        with caplog.at_level(logging.ERROR, "kratos.config"):
            source.set({"a": 2})
            await clock.settle()
    assert seen == [(1, 2)]
    assert "observer of configuration key 'a' failed" in caplog.text


async def test_bad_change_leaves_the_old_snapshot_with_one_line_and_one_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = MemoryMeter()
    source = MemorySource.of({"a": 1})
    seen: list[tuple[object, object]] = []
    async with loaded(source, meter=meter) as (config, clock):
        config.watch("", noted(seen, "a"))
        first = config.snapshot
        with caplog.at_level(logging.INFO, "kratos"):
            source.put("x.json", "{")
            await clock.settle()
        assert config.snapshot is first
        assert seen == []
        assert "memory: x.json: line 1" in str(config.last_error)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert meter.value("config_reload_total", result="refused") == 1

        source.set({"a": 2})
        await clock.settle()
        assert config.snapshot["a"] == 2
        assert config.last_error is None
        assert seen == [(1, 2)]
        assert meter.value("config_reload_total", result="applied") == 1
        assert meter.value("config_reload_total", result="refused") == 1


async def test_validator_refuses_a_change_and_a_start() -> None:
    def positive(snapshot: Snapshot) -> None:
        if snapshot.get("a", int) <= 0:
            raise ConfigError("a must be positive")

    source = MemorySource.of({"a": 1})
    async with loaded(source, validators=[positive]) as (config, clock):
        source.set({"a": 0})
        await clock.settle()
        assert config.snapshot["a"] == 1
        assert str(config.last_error) == "a must be positive"
    with pytest.raises(ConfigError, match="a must be positive"):
        await Config(source, validators=[positive]).load()


async def test_all_participants_prepare_before_any_commits_and_observers_come_last() -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        config.join(Recorder(log, "one"))
        config.join(Recorder(log, "two"))
        config.watch("a", lambda _old, _new: log.append("told"))
        source.set({"a": 2})
        await clock.settle()
    assert log == ["one prepares", "two prepares", "one commits", "two commits", "told"]


async def test_refusal_rolls_back_in_reverse_and_changes_nothing() -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        for participant in (Recorder(log, "one"), Recorder(log, "two"), Recorder(log, "no", "no!")):
            config.join(participant)
        source.set({"a": 2})
        await clock.settle()
        assert config.snapshot["a"] == 1
        assert str(config.last_error) == "no!"
    assert log == [
        *("one prepares", "two prepares", "no prepares"),
        *("two rolls back", "one rolls back"),
    ]


async def test_participant_that_takes_too_long_refuses_the_change() -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source, prepare_timeout=5.0) as (config, clock):
        slow = Recorder(log, "slow")
        slow.gate = asyncio.Event()
        config.join(Recorder(log, "one"))
        config.join(slow)
        source.set({"a": 2})
        await clock.advance(5)
        assert "was not ready within 5 s" in str(config.last_error)
        assert config.snapshot["a"] == 1
    assert log == ["one prepares", "slow prepares", "one rolls back"]


async def test_participant_that_does_not_roll_back_keeps_no_other_from_it_and_hides_no_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source, prepare_timeout=5.0) as (config, clock):
        slow, endless, no = Recorder(log, "slow"), Recorder(log, "endless"), Recorder(log, "no")
        slow.back = lambda: clock.sleep(4)
        endless.back = lambda: clock.sleep(6)
        no.refuse = "no!"
        for participant in (Recorder(log, "one"), slow, endless, no):
            config.join(participant)
        source.set({"a": 2})
        await clock.advance(5)
        assert config.last_error is None  # not before all others had their time
        await clock.advance(4)
        assert str(config.last_error) == "no!"
    assert log[4:] == ["slow rolls back", "one rolls back"]
    assert caplog.messages == [
        f"{endless!r} did not roll a change back within 5 s",
        "a change of the configuration is refused: ConfigError: no!",
    ]


async def test_participant_that_is_cancelled_as_it_rolls_back_ends_no_later_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        cancelled = Recorder(log, "cancelled")
        cancelled.back = give_up
        config.join(Recorder(log, "one"))
        config.join(cancelled)
        leave = config.join(Recorder(log, "no", "no!"))
        source.set({"a": 2})
        await clock.settle()
        assert str(config.last_error) == "no!"
        assert log[3:] == ["one rolls back"]
        leave()
        source.set({"a": 3})
        await clock.settle()
        assert config.snapshot["a"] == 3
        config.check()
    assert caplog.messages == [
        f"{cancelled!r} failed to roll a change back",
        "a change of the configuration is refused: ConfigError: no!",
    ]


async def test_validator_that_is_cancelled_refuses_the_change() -> None:
    source = MemorySource.of({"a": 1})
    told: list[Snapshot] = []

    def validate(snapshot: Snapshot) -> None:
        told.append(snapshot)
        if snapshot["a"] == 2:
            give_up_at_once()

    async with loaded(source, validators=[validate]) as (config, clock):
        for number in (2, 3):
            source.set({"a": number})
            await clock.settle()
            assert (config.last_error is None) is (number == 3)
        assert config.snapshot["a"] == 3
    assert len(told) == 3


async def test_what_is_cancelled_as_a_change_comes_into_force_ends_no_later_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Cancelled(Recorder):
        def commit(self) -> None:
            give_up_at_once()

    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        log: list[str] = []
        for participant in (Cancelled([]), Recorder(log, "one")):
            config.join(participant)
        config.watch("a", give_up_at_once)
        config.watch("a", lambda _old, new: log.append(f"a is {new['a']}"))
        for number in (2, 3):
            source.set({"a": number})
            await clock.settle()
    assert log == [
        *("one prepares", "one commits", "a is 2"),
        *("one prepares", "one commits", "a is 3"),
    ]
    assert [message.rpartition(" failed")[2] for message in caplog.messages] == [
        *(" to commit what it had prepared", "") * 2
    ]


async def test_meter_that_fails_ends_no_later_change(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryMeter):
        def counter(self, *_args: Any, **_options: Any) -> Any:
            return None

    source = MemorySource.of({"a": 1})
    async with loaded(source, meter=Broken()) as (config, clock):
        for number in (2, 3):
            source.set({"a": number})
            await clock.settle()
            assert config.snapshot["a"] == number
    assert caplog.messages == ["a change of the configuration failed"] * 2


async def test_check_fails_when_nothing_is_followed_any_more() -> None:
    async with loaded(MemorySource.of({"a": 1})) as (config, _):
        config.check()
        await cancel_and_wait(*(t for t in asyncio.all_tasks() if t.get_name() == "kratos-config"))
        with pytest.raises(ConfigError, match="changes are followed no more"):
            config.check()
    config.check()


async def test_source_that_is_cancelled_ends_the_start_with_an_error_that_names_it() -> None:
    class Cancelled(MemorySource):
        async def watch(self) -> Watcher[Sequence[KeyValue]]:
            await give_up()
            return await super().watch()

    with pytest.raises(ConfigError, match="memory: it cannot be read: CancelledError"):
        await Config(Cancelled.of({"a": 1})).load()


async def test_participant_that_left_is_not_asked() -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        leave = config.join(Recorder(log, refuse="no"))
        leave()
        leave()
        source.set({"a": 2})
        await clock.settle()
        assert config.snapshot["a"] == 2


async def test_changes_during_a_change_become_the_next_one() -> None:
    seen: list[tuple[object, object]] = []
    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        slow = Recorder([])
        slow.gate = asyncio.Event()
        config.join(slow)
        config.watch("a", noted(seen, "a"))
        for number in (2, 3, 4):
            source.set({"a": number})
            await clock.settle()
        assert seen == []
        slow.gate.set()
        await clock.settle()
        assert config.snapshot["a"] == 4
    assert seen == [(1, 2), (2, 4)]


async def test_closing_during_a_change_rolls_it_back() -> None:
    log: list[str] = []
    source = MemorySource.of({"a": 1})
    clock = FakeClock()
    config = Config(source, clock=clock)
    await config.load()
    slow = Recorder(log, "slow")
    slow.gate = asyncio.Event()
    config.join(Recorder(log, "one"))
    config.join(slow)
    await clock.settle()
    source.set({"a": 2})
    await clock.settle()
    await config.aclose()
    await config.aclose()
    assert log == ["one prepares", "slow prepares", "one rolls back"]
    assert config.snapshot["a"] == 1


async def test_closing_as_the_last_one_has_prepared_rolls_it_back_too() -> None:
    log: list[str] = []

    class Closing(Recorder):
        async def prepare(self, old: Snapshot, new: Snapshot, /) -> Prepared:
            closing.append(asyncio.create_task(config.aclose()))
            return await super().prepare(old, new)

    closing: list[asyncio.Task[None]] = []
    source = MemorySource.of({"a": 1})
    clock = FakeClock()
    config = Config(source, clock=clock)
    await config.load()
    config.join(Closing(log, "one"))
    await clock.settle()
    source.set({"a": 2})
    await clock.settle()
    await closing[0]
    assert log == ["one prepares", "one rolls back"]
    assert config.snapshot["a"] == 1


class Away:
    """A source that can be reached when told so."""

    def __init__(self, tree: dict[str, Any], *, here: bool) -> None:
        self.inner = MemorySource.of(tree)
        self.here = here

    def __str__(self) -> str:
        return "away"

    async def watch(self) -> Any:
        if not self.here:
            raise ConnectionError("no route")
        return await self.inner.watch()


class Silent(Away):
    """Never answers."""

    async def watch(self) -> Any:
        await asyncio.Event().wait()


async def test_source_that_cannot_be_reached_ends_the_start() -> None:
    with pytest.raises(ConfigError, match="away: it cannot be read: ConnectionError: no route"):
        await Config(Away({}, here=False)).load()


async def test_source_that_does_not_answer_ends_the_start_in_time() -> None:
    clock = FakeClock()
    loading = asyncio.create_task(Config(Silent({}, here=True), clock=clock).load())
    await clock.advance(10)
    with pytest.raises(ConfigError, match="away: no answer within 10 s"):
        await loading


async def test_start_that_fails_over_one_source_stops_reading_the_others() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ConfigError, match="no route"):
        await Config(Silent({}, here=True), Away({}, here=False), clock=FakeClock()).load()
    assert asyncio.all_tasks() == before


async def test_start_without_a_source_goes_by_what_it_said_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "last-good"
    async with loaded(Away({"a": 1}, here=True), last_good=kept):
        pass
    assert kept.stat().st_mode & 0o777 == 0o600

    source = Away({"a": 2}, here=False)
    async with loaded(source, last_good=kept) as (config, clock):
        assert config.snapshot.get("a", int) == 1
        assert list(config.stale) == ["away"]
        assert "starting with what" in caplog.text
        source.here = True
        await clock.advance(60)
        assert config.snapshot.get("a", int) == 2
        assert not config.stale


async def test_what_is_kept_follows_each_change_that_was_applied(tmp_path: Path) -> None:
    kept = tmp_path / "last-good"
    source = Away({"a": 1}, here=True)
    async with loaded(source, last_good=kept) as (_, clock):
        source.inner.set({"a": 2})
        await clock.settle()
        source.inner.put("x.json", "{")
        await clock.settle()
    source.here = False
    async with loaded(source, last_good=kept) as (config, _):
        assert config.snapshot["a"] == 2


async def test_what_comes_while_a_change_is_prepared_is_not_kept_with_it(tmp_path: Path) -> None:
    kept = tmp_path / "last-good"
    source = Away({"a": 1}, here=True)
    participant = Recorder([])
    participant.gate = asyncio.Event()
    async with loaded(source, last_good=kept) as (config, clock):
        config.join(participant)
        source.inner.set({"a": 2})
        await clock.settle()
        source.inner.put("x.json", "{")
        await clock.settle()
        participant.gate.set()
        await clock.settle()
        assert config.snapshot["a"] == 2
        assert config.last_error is not None
    source.here = False
    async with loaded(source, last_good=kept) as (config, _):
        assert config.snapshot["a"] == 2


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"version": 2}', "[]", '{"version": 1, "sources": 5}', "[" * 100_000],
    ids=range(6),
)
async def test_kept_file_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    with pytest.raises(ConfigError, match="kept: no configuration kept there"):
        await Config(MemorySource(), last_good=tmp_path / "kept").load()


async def test_configuration_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with loaded(MemorySource.of({"a": 1}), last_good=tmp_path / "no" / "file") as (config, _):
        assert config.snapshot["a"] == 1
    assert "cannot be written: No such file" in caplog.text


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    async with loaded(MemorySource(), EnvSource(environ={})):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before


def test_snapshot_before_loading_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"await config\.load\(\)"):
        _ = Config(MemorySource()).snapshot


def test_config_without_a_source_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="needs a source"):
        Config()


async def test_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    sources = MemorySource.of({"a": 1}), MemorySource.of({"b": 2})
    async with loaded(*sources, last_good=kept) as (config, _):
        assert dict(config.snapshot.tree) == {"a": 1, "b": 2}
        assert config.origins() == {"a": "memory", "b": "memory (2)"}


def test_value_that_is_not_there_is_told_with_the_one_like_it() -> None:
    snapshot = Snapshot({"server": {"port": 80}})
    with pytest.raises(ConfigError, match=r"a whole number; did you mean 'server\.port'\?"):
        snapshot.get("server.prot", int)


def test_value_of_another_kind_is_called_by_its_name_in_the_file() -> None:
    with pytest.raises(ConfigError, match="must be a whole number; this mapping is not"):
        Snapshot({"server": {}}).get("server", int)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("app.yaml", r"sources\[1\]: a path is no source; write FileSource"),
        ({"password": "hunter2"}, r"a mapping is no source; write MemorySource\.of"),
        (7, "type int is no source"),
    ],
)
def test_what_is_no_source_is_refused_at_once_and_not_shown(given: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        Config(MemorySource(), given)
    assert "hunter2" not in str(raised.value)


def test_one_text_in_place_of_keys_to_append_is_refused() -> None:
    with pytest.raises(ConfigError, match="append must be a list"):
        Config(MemorySource(), append="server.middleware")


async def test_document_that_is_nested_too_deeply_is_named() -> None:
    source = ArgumentsSource(["a." * 2000 + "a=1"])
    with pytest.raises(ConfigError, match="command line: it is nested too deeply"):
        await Config(source).load()


def test_participant_that_cannot_prepare_is_refused() -> None:
    function: Any = print
    with pytest.raises(TypeError, match="cannot take part: it has no prepare"):
        Config(MemorySource()).join(function)


@dataclass
class Server:
    port: int
    password: Secret


@pytest.mark.parametrize("where", ["start", "change"])
async def test_state_that_does_not_fit_its_schema_is_refused_with_document_key_and_type(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = "port: 1\npassword: hunter2"
    source = MemorySource({"app.yaml": "port: hunter2" if where == "start" else good})
    told = r"configuration value 'port' \(from memory: app.yaml\) must be a whole number"
    if where == "start":
        with pytest.raises(ConfigError, match=told) as caught:
            await Config(source, schema=Server).load()
        assert "hunter2" not in str(caught.value)
        return
    async with loaded(source, schema=Server) as (config, clock):
        source.put("app.yaml", "port: hunter2\npassword: x")
        await clock.settle()
        assert re.search(told, str(config.last_error))
        assert config.snapshot["port"] == 1
    assert "hunter2" not in caplog.text


async def test_loading_twice_at_once_reads_once() -> None:
    source = CountingSource(MemorySource.of({"a": 1}))
    config = Config(source)
    first, second = await asyncio.gather(config.load(), config.load())
    await config.aclose()
    assert first is second
    assert source.opened <= 2  # one read, and the feed that follows


async def test_loading_that_failed_may_be_tried_again() -> None:
    source = MemorySource.of({"a": 1})
    source.fail(ConnectionError("away"))
    config = Config(source)
    with pytest.raises(ConfigError, match="away"):
        await config.load()
    source.fail(None)
    assert (await config.load())["a"] == 1
    await config.aclose()


async def test_what_is_closed_is_not_loaded_again_and_keeps_its_snapshot() -> None:
    config = Config(MemorySource.of({"a": 1}))
    async with config:
        pass
    await config.aclose()
    with pytest.raises(RuntimeError, match="the configuration is closed: make another Config"):
        await config.load()
    assert config.snapshot["a"] == 1


async def test_closing_while_it_loads_leaves_nothing_running() -> None:
    source = CountingSource(MemorySource.of({"a": 1}))
    source.gate = asyncio.Event()
    config = Config(source)
    loading = asyncio.create_task(config.load())
    await asyncio.sleep(0)
    await config.aclose()
    source.gate.set()
    with pytest.raises(RuntimeError, match="closed"):
        await loading
    assert asyncio.all_tasks() == {asyncio.current_task()}


class CountingSource:
    """Counts how often it is asked, and answers when a test says so."""

    def __init__(self, inner: MemorySource) -> None:
        self.inner = inner
        self.opened = 0
        self.gate: asyncio.Event | None = None

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        self.opened += 1
        if self.gate is not None:
            await self.gate.wait()
        return await self.inner.watch()


async def test_observer_may_change_who_observes() -> None:
    source = MemorySource.of({"a": 1})
    heard: list[str] = []
    async with loaded(source) as (config, clock):

        def first(_old: Snapshot, _new: Snapshot) -> None:
            heard.append("first")
            end_second()
            config.watch("a", lambda _old, _new: heard.append("third"))

        config.watch("a", first)
        end_second = config.watch("a", lambda _old, _new: heard.append("second"))
        source.set({"a": 2})
        await clock.settle()
        assert heard == ["first"]
        source.set({"a": 3})
        await clock.settle()
        assert heard == ["first", "first", "third"]


async def test_observer_that_changes_a_source_begins_another_change() -> None:
    source = MemorySource.of({"a": 1})
    seen: list[object] = []
    async with loaded(source) as (config, clock):

        def count_up(_old: Snapshot, new: Snapshot) -> None:
            seen.append(new["a"])
            if new.get("a", int) < 4:
                source.set({"a": new.get("a", int) + 1})

        config.watch("a", count_up)
        source.set({"a": 2})
        await clock.settle()
        assert seen == [2, 3, 4]


async def test_participant_that_prepares_nothing_refuses_the_change() -> None:
    class Forgetful:
        async def prepare(self, old: Snapshot, new: Snapshot, /) -> Any:
            return None

    source = MemorySource.of({"a": 1})
    async with loaded(source) as (config, clock):
        config.join(Forgetful())
        source.set({"a": 2})
        await clock.settle()
        assert config.snapshot["a"] == 1
        assert "returned NoneType; it must return an object with commit()" in str(config.last_error)


async def wait(_old: object, _new: object = None) -> None:
    """What nobody awaits."""


def test_observer_that_would_have_to_be_awaited_is_refused() -> None:
    with pytest.raises(TypeError, match="no async def"):
        Config(MemorySource()).watch("a", wait)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decoders": [str]}, r"decoders must be a mapping such as \{'ini': read_ini\}, not list"),
        ({"decoders": {"ini": "secret"}}, r"decoders\['ini'\] must be a function from bytes"),
        ({"decoders": {7: str}}, r"decoders\[7\] must be a function"),
        ({"validators": print}, "validators must be a list of functions"),
        ({"validators": [wait]}, r"validators\[0\] must be a function .* no async def"),
        ({"load_timeout": float("nan")}, "is a number above 0"),
    ],
)
def test_option_that_cannot_work_is_refused_at_once(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Config(MemorySource(), **options)


async def test_decoder_that_fails_in_any_way_is_told_with_its_document_and_without_values() -> None:
    def decode(data: bytes) -> Any:
        raise KeyError(data.decode())

    source = MemorySource({"app.ini": "hunter2"})
    with pytest.raises(ConfigError, match=r"memory: app\.ini: the decoder of 'ini' failed: Key"):
        await Config(source, decoders={"ini": decode}).load()


async def test_age_of_what_is_in_force_and_sources_that_are_away_are_shown() -> None:
    meter = MemoryMeter()
    source = MemorySource.of({"a": 1})
    async with loaded(source, meter=meter) as (config, clock):
        began = meter.value("config_last_success_timestamp_seconds")
        assert began == clock.wall()
        config.check()
        await clock.advance(5)
        source.set({"a": 2})
        await clock.settle()
        assert meter.value("config_last_success_timestamp_seconds") == began + 5
        source.fail(ConnectionError("away"))
        await clock.settle()
        assert meter.value("config_stale_sources") == 1
        with pytest.raises(ConfigError, match="not to be reached: memory for 0 s"):
            config.check()
        source.fail(None)
        await clock.advance(60)
        assert meter.value("config_stale_sources") == 0
        config.check()


async def test_check_tells_of_a_change_that_was_refused_until_one_is_applied() -> None:
    source = MemorySource({"app.yaml": "a: 1"})
    async with loaded(source) as (config, clock):
        source.put("app.yaml", "a: [")
        await clock.settle()
        with pytest.raises(ConfigError, match=r"the newest change is refused: .*app\.yaml"):
            config.check()
        source.put("app.yaml", "a: 2")
        await clock.settle()
        config.check()


def test_factory_reads_once_without_an_event_loop() -> None:
    config = Config(MemorySource.of({"server": {"port": 1, "password": "x"}}))
    assert config.read(Server, key="server").port == 1
    assert not config.loaded


async def test_factory_reads_once_within_an_event_loop_too(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("{port: 1, password: x}")
    config = Config(FileSource(tmp_path))
    assert config.read(Server).port == 1
    async with config:
        assert config.scan(Server).port == 1


def test_factory_is_told_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: No such file"):
        Config(FileSource(tmp_path / "app.yaml")).read(Server)


async def test_sources_are_told_in_their_order_to_whoever_looks_closely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "kratos.config")
    async with Config(MemorySource(name="weak"), MemorySource(name="strong")):
        assert "configuration loaded, the weakest first: weak, strong" in caplog.text
