"""A cluster of three members, of which some leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aegis.backoff import Backoff
from kratos.registry import (
    Keeper,
    RegistrationState,
    ServiceInstance,
    instance_feed,
    same_instances,
)
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdUnavailable

pytestmark = [pytest.mark.service("etcd"), pytest.mark.slow]

QUICK = Backoff(base=0.1, cap=0.5)
PATIENCE = 60.0  # seconds
ONE = ServiceInstance(id="1", name="orders")
TWO = replace(ONE, id="2")


@pytest.fixture
def members(server_class: Any, tmp_path: Path) -> Iterator[Sequence[Any]]:
    """The running members of a cluster."""
    made = [server_class(tmp_path / f"m{number}") for number in range(3)]
    together = ",".join(f"m{number}={member.peer}" for number, member in enumerate(made))
    for number, member in enumerate(made):
        member.options += ["--name", f"m{number}", "--initial-cluster", together]
        member.launch()
    for member in made:
        member.wait()
    yield made
    for member in made:
        member.stop()


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  several events may make it true
            await asyncio.sleep(0.02)


async def register(registry: EtcdRegistry, instance: ServiceInstance) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await registry.register(instance)
            except EtcdUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_all_goes_on_with_the_members_that_are_left(members: Sequence[Any]) -> None:
    endpoints = [member.address for member in members]
    async with EtcdClient(endpoints, timeout=1.0) as client, EtcdClient(endpoints[1:]) as other:
        registry = EtcdRegistry(client)
        keeper = Keeper(registry, ONE, backoff=QUICK)
        feed = instance_feed(registry, ONE.name, backoff=QUICK)
        await keeper.start()
        await feed.first()
        await until(lambda: list(feed.current or ()) == [ONE])

        members[0].stop()
        await register(EtcdRegistry(other, ttl=60.0), TWO)

        await until(lambda: same_instances(feed.current or (), [ONE, TWO]))
        await until(lambda: keeper.status.state is RegistrationState.HELD)
        await feed.aclose()
        await keeper.aclose()


async def test_member_that_lost_its_leader_is_no_silent_source(members: Sequence[Any]) -> None:
    async with EtcdClient([members[0].address], timeout=1.0) as client:
        registry = EtcdRegistry(client)
        feed = instance_feed(registry, ONE.name, backoff=QUICK)
        await feed.first()
        members[1].stop()
        members[2].stop()

        await until(lambda: feed.stale_since is not None)

        for member in members[1:]:
            member.launch()
        await register(registry, ONE)
        await until(lambda: feed.stale_since is None and list(feed.current or ()) == [ONE])
        await feed.aclose()
