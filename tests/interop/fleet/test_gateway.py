"""Services of Go Kratos behind our gateway, alone and among ours under one name."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.e2e.gateway_fleet import Load, all_kinds, fleet_of, gateway_of, write

from kratos import Client
from kratos.testing.convergence import holds
from kratos.testing.proxy import FaultProxy

pytestmark = [pytest.mark.go, pytest.mark.slow]

NAMESPACE = "/microservices"  # both have it where none is named; Consul has none


class Registry:
    """A registry: the way to it, which can be cut, and what starts a service of Go in it.

    Attributes:
        direct: Its URL.
        url: The same by the way that can be cut.
        way: That way.
        go: What starts a service of Go, before its name and id.
    """

    def __init__(self, kind: str, address: str, way: FaultProxy, program: Path) -> None:
        self.direct = f"{kind}://{address}"
        self.url = f"{kind}://{way.address}"
        self.way = way
        self.go = (str(program), address, NAMESPACE)


@pytest.fixture(
    params=[
        pytest.param("etcd", marks=pytest.mark.service("etcd")),
        pytest.param("consul", marks=pytest.mark.service("consul")),
    ]
)
async def registry(
    request: pytest.FixtureRequest, go_fleet: Callable[..., Path]
) -> AsyncIterator[Registry]:
    kind: str = request.param
    address = os.environ[f"KRATOS_TEST_{kind.upper()}"]
    if address == "start":
        pytest.skip(f"only tests of kratos-{kind} start one: give its address")
    program = go_fleet(kind, "echo")
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port)) as way:
        yield Registry(kind, address, way, program)


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_calls_and_streams_of_all_kinds_reach_services_of_go(
    registry: Registry, transport: str, tmp_path: Path
) -> None:
    """Their streams over HTTP are events and WebSockets, too."""
    async with (
        fleet_of(registry.direct, ("go-1", *registry.go), ("go-2", *registry.go)) as fleet,
        gateway_of(tmp_path / "gateway.yaml", fleet, registry.url) as port,
        Client(f"127.0.0.1:{port}", transport=transport, timeout=20) as caller,
    ):
        for _ in range(4):  # both have their turn
            await all_kinds(caller)


async def test_no_idempotent_request_fails_whatever_happens_to_a_fleet_of_both(
    registry: Registry, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.yaml"
    members = (("go-1", *registry.go), ("go-2", *registry.go), ("py-1",), ("py-2",))
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(fleet_of(registry.direct, *members))
        port = await stack.enter_async_context(gateway_of(config, fleet, registry.url))
        load = await stack.enter_async_context(Load(port))
        for member in fleet.members:
            await load.heard(member)

        fleet.members["go-1"].kill()  # in the middle of its answers, and still registered
        await fleet.members["go-1"].wait()
        await load.more(200)
        assert load.failures == []

        registry.way.cut()  # the registry has gone, and what it said last is good
        await load.more(200)
        await load.heard("go-2")
        await load.heard("py-1")
        registry.way.restore()
        await fleet.add("go-3", *registry.go)
        await load.heard("go-3")
        assert load.failures == []

        fleet.members["go-2"].send_signal(signal.SIGUSR1)  # slower than an attempt may be
        fleet.members["py-1"].kill()
        await load.more(200)
        assert load.failures == []

        write(config, fleet, release="two")
        await holds(lambda: load.failures or load.releases["two"] > 200, patience=60)
        fleet.members["go-3"].terminate()  # says so to the registry, and ends what it has begun
        assert await fleet.members["go-3"].wait() == 0
        await load.more(200)
    assert load.failures == []
    assert set(load.answers) == {"go-1", "go-2", "go-3", "py-1", "py-2"}
    assert set(load.releases) == {"one", "two"}
