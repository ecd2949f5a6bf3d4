"""A registry that is away for minutes: everybody is back in time, and calls go on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aegis.backoff import Backoff
from kratos import App
from kratos.health import Kind
from kratos.registry import Registration, Registry, ServiceInstance
from kratos.registry.file import FileRegistry
from kratos.registry.memory import MemoryRegistry
from kratos.testing import FakeServer
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.topology import Replica, Topology
from kratos.testing.virtual_time import in_virtual_time

TTL = 15.0
OUTAGE = 600.0
CAP = Backoff().cap
BACK = 2 * TTL + CAP
"""Seconds in which every instance has to be listed again."""


def echo() -> App:
    return App(
        name="echo",
        version="v1",
        services=[EchoService()],
        servers=[FakeServer(endpoint="http://x:1")],
    )


ATTEMPT = echo().options.registrar_timeout
"""Seconds of one attempt, such as the one that is under way when the registry is well again."""


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Registry]:
    if request.param == "memory":
        return lambda: MemoryRegistry(ttl=TTL)
    return lambda: FileRegistry(tmp_path, ttl=TTL)


AWAY: dict[str, Callable[[Topology], None]] = {
    "refusing": lambda t: t.registry.down(),
    "silent": lambda t: t.registry.silent(),
    "slower than the limit": lambda t: t.registry.slow(60),
}
every_outage = pytest.mark.parametrize("away", AWAY.values(), ids=AWAY)


@every_outage
@in_virtual_time
async def test_everybody_is_registered_again_after_ten_minutes(
    make: Callable[[], Registry], away: Callable[[Topology], None]
) -> None:
    async with Topology(registry=make()) as t:
        replicas = await t.start(echo, replicas=3)
        await t.registered("echo", 3, within=1)
        before = {each.id for each in await t.registry.instances("echo")}
        away(t)
        await t.pass_time(OUTAGE)
        assert await t.registry.instances("echo") == ()
        t.registry.up()
        await t.registered("echo", 3, within=BACK)
        assert {each.id for each in await t.registry.instances("echo")} == before
        assert all(replica.running for replica in replicas)
        await t.until(lambda: replicas.ready, within=1)


@every_outage
@in_virtual_time
async def test_start_during_an_outage_ends_in_the_registry(
    make: Callable[[], Registry], away: Callable[[Topology], None]
) -> None:
    async with Topology(registry=make()) as t:
        away(t)
        replicas = await t.start(echo, replicas=2)
        await t.pass_time(OUTAGE)
        assert not any(replica.ready for replica in replicas)
        t.registry.up()
        await t.registered("echo", 2, within=ATTEMPT + CAP)


@in_virtual_time
async def test_start_with_a_registry_that_answers_warns_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Topology(ttl=TTL) as t:
        (replica,) = await t.start(echo)
        await t.until(lambda: replica.ready, within=1)
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


@in_virtual_time
async def test_readiness_metric_and_state_show_the_outage_while_it_lasts() -> None:
    async with Topology(ttl=TTL) as t:
        (replica,) = await t.start(echo)
        await t.until(lambda: replica.ready, within=1)
        t.registry.down()
        await t.until(lambda: not replica.ready, within=TTL + 1)
        report = await replica.app.health.report(Kind.READY)
        (check,) = report.failed
        assert check.name == "registration"
        assert "the line is cut" in check.message
        await t.pass_time(OUTAGE)
        assert replica.meter.value("kratos_registration_state", state="lost") == 1
        assert replica.meter.value("kratos_registration_state", state="held") == 0
        assert replica.meter.value("kratos_registration_failures_total") > 10
        assert replica.app.registration is not None
        assert replica.app.registration.last_error is not None
        t.registry.up()
        await t.until(lambda: replica.ready, within=BACK)
        assert replica.meter.value("kratos_registration_state", state="held") == 1


@in_virtual_time
async def test_outage_that_ends_before_the_ttl_takes_nobody_out_of_service() -> None:
    random.seed(7)
    async with Topology(ttl=TTL) as t:
        replicas = await t.start(echo, replicas=20)
        await t.until(lambda: replicas.ready, within=1)
        unready: list[str] = []
        for each in replicas:
            note = partial(_note_unready, each, unready)
            each.app.health.subscribe("", note)
        for length in (0.1, 3.0, 5.0, 7.5, 9.0, 9.8):
            t.registry.down()
            await t.pass_time(length)
            t.registry.up()
            await t.pass_time(TTL)
        assert unready == []
        assert len(await t.registry.instances("echo")) == 20


def _note_unready(replica: Replica, unready: list[str], _status: object) -> None:
    if not replica.ready:
        unready.append(replica.app.id)


@in_virtual_time
async def test_clients_go_on_with_the_last_good_list_and_say_that_it_is_old() -> None:
    async with Topology(ttl=TTL) as t:
        await t.start(echo, replicas=3)
        caller = await t.connect("echo")
        await t.registered("echo", 3, within=1)
        await caller.unary(ECHO, text("hello"))
        assert caller.nodes.stale_since is None
        began = asyncio.get_running_loop().time()
        t.registry.down()
        for _ in range(60):
            await t.pass_time(OUTAGE / 60)
            await caller.unary(ECHO, text("hello"))
        assert len(caller.nodes.nodes) == 3
        assert caller.nodes.stale_since == pytest.approx(began, abs=1)
        assert t.meter.value("client_nodes_stale") == 1
        t.registry.up()
        await t.until(lambda: caller.nodes.stale_since is None, within=BACK)
        assert t.meter.value("client_nodes_stale") == 0
        await t.until(lambda: len(caller.nodes.nodes) == 3, within=BACK)
        t.calls.assert_none_failed()


@in_virtual_time
async def test_registry_that_comes_back_empty_empties_no_client() -> None:
    async with Topology(ttl=TTL) as t:
        await t.start(echo, replicas=2)
        caller = await t.connect("echo")
        await t.registered("echo", 2, within=1)
        await t.until(lambda: len(caller.nodes.nodes) == 2, within=1)
        t.registry.down()
        await t.registry.lose()
        await t.pass_time(OUTAGE)
        t.registry.up()
        for _ in range(100):
            await caller.unary(ECHO, text("hello"))
            await t.pass_time(BACK / 100)
        await t.registered("echo", 2, within=0)
        assert len(caller.nodes.nodes) == 2
        assert caller.nodes.stale_since is None
        t.calls.assert_none_failed()


@in_virtual_time
async def test_instance_that_died_in_the_outage_is_gone_after_it() -> None:
    async with Topology(ttl=TTL) as t:
        replicas = await t.start(echo, replicas=3)
        caller = await t.connect("echo")
        await t.registered("echo", 3, within=1)
        await t.until(lambda: len(caller.nodes.nodes) == 3, within=1)
        t.registry.down()
        await replicas[0].kill()
        for _ in range(20):  # it is on the list, but nobody is there: calls go to the others
            await caller.unary(ECHO, text("hello"))
        await t.pass_time(OUTAGE)
        t.registry.up()
        await t.registered("echo", 2, within=BACK)
        await t.until(lambda: len(caller.nodes.nodes) == 2, within=BACK)
        t.calls.assert_none_failed()


class Herd(MemoryRegistry):
    """A registry that writes down when it is asked to register, by whom ever."""

    def __init__(self) -> None:
        super().__init__(ttl=TTL)
        self.arrivals: list[float] = []

    async def register(self, instance: ServiceInstance, /) -> Registration:
        self.arrivals.append(asyncio.get_running_loop().time())
        return await super().register(instance)


@pytest.mark.slow
@in_virtual_time
async def test_hundred_instances_come_back_without_a_stampede() -> None:
    random.seed(7)
    registry = Herd()
    async with Topology(registry=registry) as t:
        replicas = await t.start(echo, replicas=100)
        t.registry.down()
        await t.pass_time(OUTAGE)
        registry.arrivals.clear()
        up = asyncio.get_running_loop().time()
        t.registry.up()
        took = await t.registered("echo", 100, within=BACK)
        assert replicas.registered
    assert took <= CAP + 0.1
    # What is left of waits that are spread evenly over 30 s: 6.7 in the first second, then fewer.
    arrivals = [each - up for each in registry.arrivals]
    assert len(set(arrivals)) == 100
    assert max(Counter(int(each) for each in arrivals).values()) <= 14
    assert len({int(each / 3) for each in arrivals}) >= 8


# --- what else befalls a registration


@in_virtual_time
async def test_lease_that_is_lost_in_silence_is_taken_again(make: Callable[[], Registry]) -> None:
    async with Topology(registry=make()) as t:
        replicas = await t.start(echo, replicas=2)
        await t.registered("echo", 2, within=1)
        await t.registry.lose(replicas[0].app.id)
        await t.registered("echo", 2, within=TTL / 3 + 1.1)


@in_virtual_time
async def test_instance_whose_id_was_taken_over_takes_it_back(make: Callable[[], Registry]) -> None:
    async with Topology(registry=make()) as t:
        (replica,) = await t.start(echo)
        await t.registered("echo", 1, within=1)
        await t.registry.take_over(replica.app.id, version="stranger")

        async def own() -> bool:
            return [each.version for each in await t.registry.instances("echo")] == ["v1"]

        await t.until(own, within=TTL / 3 + 1.1)
        await t.pass_time(60)
        assert await own()


@every_outage
@in_virtual_time
async def test_instance_that_changes_in_an_outage_comes_back_changed(
    make: Callable[[], Registry], away: Callable[[Topology], None]
) -> None:
    async with Topology(registry=make()) as t:
        (replica,) = await t.start(echo)
        await t.registered("echo", 1, within=1)
        away(t)
        await t.pass_time(60)
        replica.app.update_metadata({"weight": "7"})
        await t.pass_time(OUTAGE)
        t.registry.up()
        await t.registered("echo", 1, within=BACK)
        (found,) = await t.registry.instances("echo")
        assert found.metadata == {"weight": "7"}


@every_outage
@in_virtual_time
async def test_stop_in_an_outage_ends_in_time_and_leaves_nothing_for_good(
    make: Callable[[], Registry], away: Callable[[Topology], None]
) -> None:
    async with Topology(registry=make()) as t:
        replicas = await t.start(echo, replicas=2)
        await t.registered("echo", 2, within=1)
        away(t)
        began = asyncio.get_running_loop().time()
        await replicas[0].stop()
        took = asyncio.get_running_loop().time() - began
        assert took <= 10.1  # registrar_timeout; the rest has nothing to wait for
        t.registry.up()
        await t.registered("echo", 1, within=BACK)
        await t.pass_time(60)
        assert [each.id for each in await t.registry.instances("echo")] == [replicas[1].app.id]
