"""Nodes are asked whether they are well, and get requests while they are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kratos import App
from kratos.errors import ConfigError
from kratos.testing.app import running
from kratos.testing.clock import FakeClock
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Backend
from kratos_gateway.assembly import assemble
from kratos_gateway.backend import Findings
from kratos_gateway.backend.probing import plan_of
from kratos_gateway.config.check import problems
from kratos_gateway.proxy import Proxy
from kratos_gateway.settings import Settings
from kratos_gateway.testing import Proxied, backend, config_of, proxied, say
from kratos_grpc import GrpcServer
from kratos_http.testing import eventually

INTERVAL = 1.0  # seconds


class Fleet:
    """Nodes that tell their number, and whether they are well."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ill: set[int] = set()
        self.asked: Counter[int] = Counter()
        self.addresses: list[str] = []
        self.clock = FakeClock()
        self.findings = Findings()

    async def serve(self, number: int, head: Head, wire: Wire) -> None:
        if head.path != b"/health":
            await say(wire, 200, b"%d" % number)
            return
        self.asked[number] += 1
        await say(wire, 500 if number in self.ill else 204)

    async def look(self, gateway: Proxied, *, after: float = INTERVAL) -> None:
        """Let all nodes be asked once more, and wait for their answers."""
        probes = gateway.proxy.probes
        before = probes.answered
        await self.clock.advance(after)
        await eventually(lambda: probes.answered == before + self.count)

    async def answering(self, gateway: Proxied) -> set[bytes]:
        peer = await gateway.connect()
        return {(await peer.request("GET", "/")).body for _ in range(10)}


@asynccontextmanager
async def gateway_of(fleet: Fleet, **check: Any) -> AsyncGenerator[Proxied]:
    check = {"interval": "1s", "path": "/health", "unhealthyThreshold": 2, **check}
    backends = [{"target": each, "healthCheck": check} for each in fleet.addresses]
    # Of two endpoints, so that it shows whether nodes are asked once.
    endpoints = [
        {"path": path, "timeout": "5s", "backends": backends, "balancer": {"name": "wrr"}}
        for path in ("/other", "/*")
    ]
    async with proxied(*endpoints, clock=fleet.clock, findings=fleet.findings) as gateway:
        await eventually(lambda: gateway.proxy.probes.answered == fleet.count)
        yield gateway


@asynccontextmanager
async def fleet_of(count: int, **check: Any) -> AsyncGenerator[tuple[Fleet, Proxied]]:
    fleet = Fleet(count)
    async with AsyncExitStack() as stack:
        for number in range(count):
            node = await stack.enter_async_context(backend(partial(fleet.serve, number)))
            fleet.addresses.append(node.address)
        yield fleet, await stack.enter_async_context(gateway_of(fleet, **check))


async def test_a_node_that_is_not_well_gets_no_requests_until_it_is() -> None:
    async with fleet_of(2) as (fleet, gateway):
        assert await fleet.answering(gateway) == {b"0", b"1"}
        fleet.ill.add(0)
        await fleet.look(gateway)
        assert await fleet.answering(gateway) == {b"0", b"1"}  # once may be by chance
        await fleet.look(gateway)
        assert await fleet.answering(gateway) == {b"1"}
        fleet.ill.clear()
        await fleet.look(gateway)
        assert await fleet.answering(gateway) == {b"0", b"1"}
        assert set(fleet.asked.values()) == {4}


async def test_after_a_change_a_node_that_is_known_to_be_ill_gets_no_requests_either() -> None:
    async with fleet_of(2) as (fleet, gateway):
        fleet.ill.add(0)
        await fleet.look(gateway)
        await fleet.look(gateway)
        async with gateway_of(fleet) as other, gateway_of(fleet) as after:
            await other.proxy.aclose()  # one that was refused in the end, for instance
            await gateway.proxy.aclose()
            assert await fleet.answering(after) == {b"1"}
            fleet.ill.clear()
            await fleet.look(after)
            assert await fleet.answering(after) == {b"0", b"1"}


async def test_a_gateway_hands_what_it_knows_of_nodes_to_its_next_configuration(
    tmp_path: Path,
) -> None:
    silence = asyncio.Event()

    async def ill(_head: Head, wire: Wire) -> None:
        if silence.is_set():
            await asyncio.Event().wait()
        await say(wire, 500)

    path = tmp_path / "config.yaml"
    path.write_text("name: shop", encoding="utf-8")
    settings = Settings(conf=str(path), addresses=["127.0.0.1:0"], dial_timeout=5.0)
    gateway = assemble(settings, environ={}).gateway

    def is_well() -> bool:
        assert isinstance(gateway.serving, Proxy)
        (found,) = gateway.serving.show()[0]["nodes"]
        return bool(found["well"])

    check = {"interval": "1s", "timeout": "3600s", "unhealthyThreshold": 1}
    async with backend(ill) as node, running(App(name="gw", servers=[gateway], signals=())):
        backends = [{"target": node.address, "healthCheck": check}]
        await gateway.apply(config_of({"path": "/a", "backends": backends}))
        await eventually(lambda: not is_well())
        silence.set()  # so that the next one has no answer of its own
        await gateway.apply(config_of({"path": "/b", "backends": backends}))
        assert not is_well()


async def test_whoever_has_the_newest_answer_of_a_node_knows_best() -> None:
    async with fleet_of(2) as (fleet, gateway):
        await fleet.clock.advance(INTERVAL / 2)
        async with gateway_of(fleet) as after:
            fleet.ill.add(0)
            # They ask in turns, and the first of them is the first to have two bad answers.
            for each in (gateway, after, gateway):
                await fleet.look(each, after=INTERVAL / 2)
            async with gateway_of(fleet) as last:
                assert await fleet.answering(last) == {b"1"}


async def test_what_is_known_of_nodes_that_nobody_asks_any_more_is_forgotten() -> None:
    async with fleet_of(2) as (fleet, gateway):
        fleet.ill.add(0)
        await fleet.look(gateway)
        await fleet.look(gateway)
        await gateway.proxy.aclose()
        async with gateway_of(fleet) as after:  # once may be by chance
            assert await fleet.answering(after) == {b"0", b"1"}


async def test_nodes_that_are_asked_in_another_way_begin_as_well() -> None:
    async with fleet_of(2) as (fleet, gateway):
        fleet.ill.add(0)
        await fleet.look(gateway)
        await fleet.look(gateway)
        async with gateway_of(fleet, path="/health?deep") as after:
            assert await fleet.answering(after) == {b"0", b"1"}


async def test_good_answers_between_bad_ones_begin_the_count_anew() -> None:
    async with fleet_of(2) as (fleet, gateway):
        for ill in ({0}, set[int](), {0}):
            fleet.ill = ill
            await fleet.look(gateway)
        assert await fleet.answering(gateway) == {b"0", b"1"}


async def test_where_none_is_well_all_get_requests() -> None:
    async with fleet_of(2) as (fleet, gateway):
        fleet.ill = {0, 1}
        await fleet.look(gateway)
        await fleet.look(gateway)
        assert await fleet.answering(gateway) == {b"0", b"1"}


async def test_a_node_that_does_not_answer_in_time_is_not_well() -> None:
    clock = FakeClock()

    async def silent(head: Head, wire: Wire) -> None:
        if head.path == b"/health":
            await clock.sleep(1e9)
        await say(wire, 200, b"late")

    async def hello(_head: Head, wire: Wire) -> None:
        await say(wire, 200, b"hello")

    check = {"interval": "1s", "timeout": "2s", "path": "/health", "unhealthyThreshold": 1}
    async with backend(silent) as one, backend(hello) as two:
        backends = [{"target": one.address, "healthCheck": check}, {"target": two.address}]
        told = {"path": "/*", "timeout": "5s", "backends": backends, "balancer": {"name": "wrr"}}
        async with proxied(told, clock=clock) as gateway:
            await eventually(lambda: one.heads)
            await clock.advance(2.0)
            await eventually(lambda: not gateway.proxy.show()[0]["nodes"][0]["well"])
            peer = await gateway.connect()
            assert {(await peer.request("GET", "/")).body for _ in range(6)} == {b"hello"}


@pytest.mark.parametrize(("service", "well"), [("", True), ("no.such.Service", False)])
async def test_servers_of_grpc_are_asked_by_their_own_service(service: str, well: bool) -> None:
    clock = FakeClock()
    async with running(App(name="health", servers=[GrpcServer("127.0.0.1:0")], signals=())) as app:
        address = app.endpoints[0].rpartition("/")[2]
        check = {"interval": "1s", "timeout": "60s", "service": service, "unhealthyThreshold": 1}
        told = {"path": "/*", "protocol": "GRPC"}
        backends = [{"target": address, "healthCheck": check}]
        async with proxied({**told, "backends": backends}, clock=clock) as gateway:
            await eventually(lambda: gateway.proxy.probes.answered)
            assert gateway.proxy.show()[0]["nodes"][0]["well"] is well


async def test_nobody_is_asked_without_an_interval() -> None:
    fleet = Fleet(1)
    async with backend(partial(fleet.serve, 0)) as node:
        backends = [{"target": node.address, "healthCheck": {"path": "/health"}}]
        async with proxied({"path": "/*", "backends": backends}) as gateway:
            peer = await gateway.connect()
            assert (await peer.request("GET", "/")).status == 200
    assert not fleet.asked


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ({"interval": "0s"}, "more than 0"),
        ({"interval": "1s", "timeout": "-1s"}, "more than 0"),
        ({"interval": "1s", "path": "health"}, "must start with a slash"),
        ({"interval": "1s", "service": "s" * 128}, "too long"),
    ],
)
def test_what_is_no_health_check_is_refused_with_its_place(
    check: dict[str, Any], complaint: str
) -> None:
    config = config_of({"path": "/*", "backends": [{"target": "a:1", "healthCheck": check}]})
    with pytest.raises(ConfigError, match=complaint):
        plan_of(config.endpoints[0].backends[0], grpc=False)
    (problem,) = problems(config)
    assert problem.place == "endpoints[0].backends[0].health_check"
    assert complaint in problem.text
    assert problem.fatal


def test_a_back_end_of_go_is_not_asked() -> None:
    assert plan_of(Backend(), grpc=False) is None
