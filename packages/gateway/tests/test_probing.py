"""Nodes are asked whether they are well, and get requests while they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from kratos import App
from kratos.errors import ConfigError
from kratos.testing.app import running
from kratos.testing.clock import FakeClock
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Backend
from kratos_gateway.backend.probing import plan_of
from kratos_gateway.config.check import problems
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

    async def serve(self, number: int, head: Head, wire: Wire) -> None:
        if head.path != b"/health":
            await say(wire, 200, b"%d" % number)
            return
        self.asked[number] += 1
        await say(wire, 500 if number in self.ill else 204)

    async def look(self, gateway: Proxied) -> None:
        """Let all nodes be asked once more, and wait for their answers."""
        probes = gateway.proxy.probes
        before = probes.answered
        await self.clock.advance(INTERVAL)
        await eventually(lambda: probes.answered == before + self.count)

    async def answering(self, gateway: Proxied) -> set[bytes]:
        peer = await gateway.connect()
        return {(await peer.request("GET", "/")).body for _ in range(10)}


@asynccontextmanager
async def fleet_of(count: int, **check: Any) -> AsyncGenerator[tuple[Fleet, Proxied]]:
    fleet = Fleet(count)
    check = {"interval": "1s", "path": "/health", "unhealthyThreshold": 2, **check}
    async with AsyncExitStack() as stack:
        for number in range(count):
            node = await stack.enter_async_context(backend(partial(fleet.serve, number)))
            fleet.addresses.append(node.address)
        backends = [{"target": each, "healthCheck": check} for each in fleet.addresses]
        # Of two endpoints, so that it shows whether nodes are asked once.
        endpoints = [
            {"path": path, "timeout": "5s", "backends": backends, "balancer": {"name": "wrr"}}
            for path in ("/other", "/*")
        ]
        gateway = await stack.enter_async_context(proxied(*endpoints, clock=fleet.clock))
        await eventually(lambda: gateway.proxy.probes.answered == count)
        yield fleet, gateway


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
