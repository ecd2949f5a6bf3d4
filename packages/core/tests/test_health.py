from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from kratos.errors import ConfigError
from kratos.health import Health, Kind, Phase, Status
from kratos.testing.clock import FakeClock
from kratos.transport import server_call


class Dependency:
    """Something that is up or down and counts how often it was asked."""

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        self.asked += 1
        await self.answers.wait()
        if not self.up:
            raise ConnectionError("no route to data base")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def health(clock: FakeClock) -> AsyncIterator[Health]:
    table = Health(clock=clock)
    yield table
    await table.aclose()


@pytest.fixture
async def database() -> Dependency:
    return Dependency()


async def test_application_is_ready_while_it_serves_and_only_then(health: Health) -> None:
    seen = [health.ready]
    health.advance(Phase.SERVING)
    seen.append(health.ready)
    health.advance(Phase.STOPPING)
    seen.append(health.ready)
    assert seen == [False, True, False]


async def test_application_stays_alive_while_it_stops(health: Health) -> None:
    health.advance(Phase.STOPPING)
    assert (await health.report(Kind.LIVE)).ok


async def test_phases_never_go_back(health: Health) -> None:
    health.advance(Phase.STOPPING)
    with pytest.raises(RuntimeError, match="from stopping to serving"):
        health.advance(Phase.SERVING)


async def test_failing_dependency_makes_unready_but_not_dead(
    health: Health, database: Dependency
) -> None:
    health.add_check("database", database.check)
    health.advance(Phase.SERVING)
    database.up = False
    ready = await health.report(Kind.READY)
    assert not ready.ok
    assert [(r.name, r.message) for r in ready.failed] == [
        ("database", "ConnectionError: no route to data base")
    ]
    assert (await health.report(Kind.LIVE)).ok


async def test_async_check_of_liveness_is_refused(health: Health, database: Dependency) -> None:
    with pytest.raises(ConfigError, match="'database': a check of liveness must be a plain"):
        health.add_check("database", database.check, kind=Kind.LIVE)


async def test_awaitable_from_a_check_of_liveness_fails_it(
    health: Health, database: Dependency
) -> None:
    health.add_check("hidden", lambda: database.check(), kind=Kind.LIVE)
    report = await health.report(Kind.LIVE)
    assert "must be a plain function" in report.failed[0].message
    assert database.asked == 0


async def test_future_from_a_check_of_liveness_fails_it_and_is_cancelled(health: Health) -> None:
    future = asyncio.get_running_loop().create_future()
    health.add_check("hidden", lambda: future, kind=Kind.LIVE)
    report = await health.report(Kind.LIVE)
    assert "must be a plain function" in report.failed[0].message
    assert future.cancelled()


async def test_failing_check_of_liveness_is_reported(health: Health) -> None:
    health.add_check("deadlock", lambda: False, kind=Kind.LIVE)
    report = await health.report(Kind.LIVE)
    assert not report.ok
    assert report.results[0].message == "the check returned False"


async def test_uncritical_failure_is_shown_and_does_not_count(
    health: Health, database: Dependency
) -> None:
    health.add_check("cache", database.check, critical=False)
    health.advance(Phase.SERVING)
    database.up = False
    report = await health.report(Kind.READY)
    assert report.ok
    assert [result.ok for result in report.results] == [False]


async def test_check_without_a_result_yet_says_not_ready(
    health: Health, database: Dependency
) -> None:
    health.advance(Phase.SERVING)
    health.add_check("database", database.check)
    before = health.ready
    await health.report(Kind.READY)
    assert (before, health.ready) == (False, True)


async def test_slow_check_fails_at_its_limit(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("database", database.check, timeout=2.0)
    database.answers.clear()
    asking = asyncio.create_task(health.report(Kind.READY))
    await clock.advance(2.0)
    result = (await asking).results[0]
    assert (result.ok, result.message, result.duration) == (False, "no answer within 2 s", 2.0)


async def test_own_timeout_of_a_check_is_not_taken_for_its_limit(health: Health) -> None:
    async def check() -> None:
        raise TimeoutError("inner")

    health.add_check("database", check)
    assert (await health.report(Kind.READY)).results[0].message == "TimeoutError: inner"


async def test_check_that_raises_cancelled_error_fails(health: Health) -> None:
    async def check() -> None:
        raise asyncio.CancelledError

    health.add_check("call", check)
    assert (await health.report(Kind.READY)).results[0].message == "CancelledError"


async def test_result_is_kept_for_its_time(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("database", database.check, ttl=10.0)
    await health.report(Kind.READY)
    await clock.advance(9.0)
    await health.report(Kind.READY)
    kept = database.asked
    await clock.advance(1.0)
    await health.report(Kind.READY)
    assert (kept, database.asked) == (1, 2)


async def test_probes_at_one_time_share_one_run(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("database", database.check, ttl=0.0)
    database.answers.clear()
    asking = [asyncio.create_task(health.report(Kind.READY)) for _ in range(3)]
    await clock.settle()
    database.answers.set()
    await asyncio.gather(*asking)
    assert database.asked == 1


async def test_prober_that_goes_away_does_not_end_the_run_of_others(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("database", database.check)
    database.answers.clear()
    leaving, staying = (asyncio.create_task(health.report(Kind.READY)) for _ in range(2))
    await clock.settle()
    leaving.cancel()
    await clock.settle()
    database.answers.set()
    assert (await staying).results[0].ok


async def test_run_belongs_to_no_call(health: Health) -> None:
    calls: list[object] = []
    health.add_check("call", lambda: calls.append(server_call()))
    await health.report(Kind.READY)
    assert calls == [None]


async def test_closing_ends_a_run_under_way(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("database", database.check)
    database.answers.clear()
    asking = asyncio.create_task(health.report(Kind.READY))
    await clock.settle()
    await health.aclose()
    assert (await asyncio.wait({asking}))[0] == {asking}
    assert asking.cancelled()


async def test_run_that_was_ended_before_it_began_is_followed_by_another(
    health: Health, database: Dependency
) -> None:
    health.add_check("database", database.check)
    asking = asyncio.create_task(health.report(Kind.READY))
    await asyncio.sleep(0)
    await health.aclose()
    await asyncio.wait({asking})
    assert database.asked == 0
    assert [result.ok for result in (await health.report(Kind.READY)).results] == [True]


async def test_startup_stands_once_the_application_has_started(
    health: Health, clock: FakeClock, database: Dependency
) -> None:
    health.add_check("migrated", database.check, kind=Kind.STARTUP)
    starting = await health.report(Kind.STARTUP)
    health.advance(Phase.SERVING)
    database.up = False
    await clock.advance(60.0)
    started = await health.report(Kind.STARTUP)
    assert (starting.ok, started.ok, database.asked) == (False, True, 1)


async def test_name_is_taken_once(health: Health, database: Dependency) -> None:
    health.add_check("database", database.check)
    with pytest.raises(ConfigError, match="'database' already"):
        health.add_check("database", database.check)


@pytest.mark.parametrize(("timeout", "ttl"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -1.0)])
async def test_wrong_limits_are_refused(health: Health, timeout: float, ttl: float) -> None:
    with pytest.raises(ConfigError, match="health check 'x'"):
        health.add_check("x", lambda: None, timeout=timeout, ttl=ttl)


async def test_check_needs_a_name(health: Health) -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        health.add_check("", lambda: None)


async def test_removed_check_no_longer_counts(health: Health, database: Dependency) -> None:
    health.advance(Phase.SERVING)
    database.up = False
    remove = health.add_check("database", database.check)
    await health.report(Kind.READY)
    remove()
    remove()
    assert (await health.report(Kind.READY)).ok


async def test_removing_twice_spares_a_successor(health: Health) -> None:
    remove = health.add_check("x", lambda: None)
    remove()
    health.add_check("x", lambda: None)
    remove()
    assert [result.name for result in (await health.report(Kind.READY)).results] == ["x"]


async def test_service_has_the_status_that_was_set_while_the_application_is_ready(
    health: Health,
) -> None:
    health.set("a.A", Status.SERVING)
    health.set("b.B", Status.UNKNOWN)
    starting = health.status("a.A")
    health.advance(Phase.SERVING)
    assert starting is Status.NOT_SERVING
    assert health.status("a.A") is Status.SERVING
    assert health.status("b.B") is Status.UNKNOWN
    assert health.status("unknown.C") is None
    assert health.services == ("", "a.A", "b.B")


async def test_application_can_be_taken_out_by_hand(health: Health) -> None:
    health.advance(Phase.SERVING)
    health.set("a.A", Status.SERVING)
    health.set("", Status.NOT_SERVING)
    assert health.status() is Status.NOT_SERVING
    assert health.status("a.A") is Status.NOT_SERVING
    assert not (await health.report(Kind.READY)).ok


async def test_subscriber_hears_the_present_status_and_each_new_one(health: Health) -> None:
    heard: list[Status | None] = []
    unsubscribe = health.subscribe("a.A", heard.append)
    health.set("a.A", Status.SERVING)
    health.advance(Phase.SERVING)
    health.set("other.B", Status.SERVING)
    health.advance(Phase.STOPPING)
    unsubscribe()
    unsubscribe()
    health.set("a.A", Status.UNKNOWN)
    assert heard == [None, Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_failing_listener_is_logged_and_spares_others(
    error: type[BaseException], health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Status | None] = []

    def fail(_status: Status | None) -> None:
        raise error("bad listener")

    health.subscribe("", fail)
    health.subscribe("", heard.append)
    health.advance(Phase.SERVING)
    assert heard == [Status.NOT_SERVING, Status.SERVING]
    assert "a listener of health failed" in caplog.text


async def test_monitor_notices_a_failing_dependency_without_probes(
    health: Health, clock: FakeClock, database: Dependency, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kratos.health")
    heard: list[Status | None] = []
    health.add_check("database", database.check)
    health.advance(Phase.SERVING)
    health.subscribe("", heard.append)
    monitor = asyncio.create_task(health.monitor(10.0))
    await clock.settle()
    database.up = False
    await clock.advance(30.0)
    database.up = True
    await clock.advance(10.0)
    monitor.cancel()
    await asyncio.wait({monitor})
    assert heard == [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING, Status.SERVING]
    assert [record.message for record in caplog.records] == [
        "health check database fails: ConnectionError: no route to data base",
        "health check database passes again",
    ]


async def test_failure_that_several_ask_for_at_once_is_logged_once(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("no luck today")

    remove = health.add_check("late", fail, ttl=0.0)
    await asyncio.gather(*(health.report(Kind.READY) for _ in range(3)))
    assert caplog.text.count("health check late fails") == 1
    remove()
    health.add_check("late", fail, ttl=0.0)
    await health.report(Kind.READY)
    assert caplog.text.count("health check late fails") == 2
