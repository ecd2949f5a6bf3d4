"""A fleet behind a gateway, found through a real registry, while everything happens to it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.e2e.gateway_fleet import Load, all_kinds, fleet_of, gateway_of, write

from kratos import Client
from kratos.testing.convergence import holds
from kratos.testing.proxy import FaultProxy

pytestmark = [pytest.mark.slow]

OURS = (("a",), ("b",), ("c",))


@pytest.fixture(
    params=[
        pytest.param("etcd", marks=pytest.mark.service("etcd")),
        pytest.param("consul", marks=pytest.mark.service("consul")),
    ]
)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, FaultProxy]]:
    """The URL of a registry, and the way to it, which can be cut."""
    address = os.environ[f"KRATOS_TEST_{request.param.upper()}"]
    if address == "start":
        pytest.skip(f"only tests of kratos-{request.param} start one: give its address")
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port)) as way:
        yield request.param, way


async def test_no_idempotent_request_fails_whatever_happens_to_a_fleet(
    registry: tuple[str, FaultProxy], tmp_path: Path
) -> None:
    scheme, way = registry
    url = f"{scheme}://{os.environ[f'KRATOS_TEST_{scheme.upper()}']}"
    config = tmp_path / "gateway.yaml"
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(fleet_of(url, *OURS))
        port = await stack.enter_async_context(
            gateway_of(config, fleet, f"{scheme}://{way.address}")
        )
        load = await stack.enter_async_context(Load(port))
        for member in fleet.members:
            await load.heard(member)

        fleet.members["a"].kill()  # in the middle of its answers, and still registered
        await fleet.members["a"].wait()
        await load.more(200)
        assert load.failures == []

        way.cut()  # the registry has gone, and what it said last is good
        await load.more(200)
        await load.heard("b")
        way.restore()
        await fleet.add("d")
        await load.heard("d")
        assert load.failures == []

        fleet.members["b"].send_signal(signal.SIGUSR1)
        await load.more(200)
        assert load.failures == []

        write(config, fleet, release="two")
        await holds(lambda: load.failures or load.releases["two"] > 200, patience=60)
        fleet.members["c"].terminate()  # says so to the registry, and ends what it has begun
        assert await fleet.members["c"].wait() == 0
        await load.more(200)
    assert load.failures == []
    assert set(load.answers) == {"a", "b", "c", "d"}
    assert set(load.releases) == {"one", "two"}


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_calls_and_streams_of_all_kinds_reach_a_fleet(
    registry: tuple[str, FaultProxy], transport: str, tmp_path: Path
) -> None:
    scheme, way = registry
    url = f"{scheme}://{way.address}"
    async with (
        fleet_of(url, *OURS) as fleet,
        gateway_of(tmp_path / "gateway.yaml", fleet, url) as port,
        Client(f"127.0.0.1:{port}", transport=transport, timeout=20) as caller,
    ):
        await all_kinds(caller)
