"""An ensemble of three servers, whose leader is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kratos.registry import RegistrationState, ServiceInstance
from kratos.testing.registry_contract import RegistryContract
from kratos_zookeeper import ZooKeeperRegistry

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.slow]

SESSION = 8.0  # seconds, longer than an election takes


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    __test__ = False
    patience: ClassVar[float] = 60.0
    limit: ClassVar[float] = 5.0


tools = Tools()


@pytest.fixture
def servers(server_class: Any, free_port: Any, tmp_path: Path) -> Iterator[Sequence[Any]]:
    """The running servers of an ensemble."""
    together = {
        f"server_{number}": f"127.0.0.1:{free_port()}:{free_port()}" for number in (1, 2, 3)
    }
    made = [
        server_class(tmp_path / str(number), initLimit=20, syncLimit=10, **together)
        for number in (1, 2, 3)
    ]
    for number, server in enumerate(made, 1):
        (server.folder / "myid").write_text(str(number))
        server.launch()
    for server in made:
        server.wait()
    yield made
    for server in made:
        server.kill()


async def test_session_and_list_outlive_the_leader(servers: Sequence[Any], unique: str) -> None:
    one, two, three = (ServiceInstance(id=key, name=unique) for key in ("1", "2", "3"))
    hosts = [server.host for server in servers]
    leader = next(server for server in servers if server.mode() == "leader")
    # One whose server is the leader, and one whose server only loses it.
    registries = [
        ZooKeeperRegistry(first, session_timeout=SESSION)
        for first in ([leader.host], [host for host in hosts if host != leader.host], hosts)
    ]
    on_leader, elsewhere, moving = registries
    await on_leader.register(three)
    async with (
        tools.watching(elsewhere, unique) as seen,
        tools.keeping(moving, one) as kept,
    ):
        await kept.until(RegistrationState.HELD)
        await seen.until(one, three)
        before = [session_of(each).number for each in (elsewhere, moving)]

        await asyncio.to_thread(leader.kill)
        async with tools.keeping(elsewhere, two) as kept_too:
            await kept_too.until(RegistrationState.HELD)
            await seen.until(one, two)  # the session of three had nobody but the leader
            await kept.until(RegistrationState.HELD)

            assert [session_of(each).number for each in (elsewhere, moving)] == before
            assert all(one in state for state in seen.states[1:]), seen.states
            await asyncio.to_thread(leader.start)
            assert leader.mode() == "follower"
    for registry in registries:
        await registry.aclose()


def session_of(registry: ZooKeeperRegistry) -> Any:
    return registry._connection.session()  # pyright: ignore[reportPrivateUsage]
