"""Users and roles, on servers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kratos.registry import ServiceInstance, get_service
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdUnavailable
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import RANGE

pytestmark = [pytest.mark.service("etcd"), pytest.mark.slow]

ONE = ServiceInstance(id="1", name="orders")

Connect = Callable[..., EtcdClient]


async def ask(client: EtcdClient) -> pb.RangeResponse:
    return await client.ask(RANGE, pb.RangeRequest(key=b"/microservices"))


async def test_user_registers_and_is_seen(guarded: Any, connected: Connect) -> None:
    registry = EtcdRegistry(connected(guarded.address, username="app", password="hunter2"))
    watcher = await registry.watch("orders")
    state = await watcher.read()

    registration = await registry.register(ONE)
    await registration.renew()

    seen = await watcher.changed(state.token)
    assert seen is not None
    assert list(seen.value) == [ONE]
    await watcher.aclose()
    await registration.withdraw()
    assert list(await get_service(registry, "orders")) == []


async def test_wrong_password_is_told_without_showing_it(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address, username="app", password="hunter3")

    with pytest.raises(EtcdUnavailable, match="refuses user 'app': wrong name or password") as told:
        await ask(client)

    assert "hunter" not in str(told.value)


async def test_missing_user_is_asked_for(guarded: Any, connected: Connect) -> None:
    with pytest.raises(EtcdUnavailable, match="asks for a user: give username and password"):
        await ask(connected(guarded.address))


async def test_missing_permission_is_told(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address, username="app", password="hunter2")
    registry = EtcdRegistry(client, namespace="/elsewhere")

    with pytest.raises(EtcdUnavailable, match="does not permit Put for user 'app'"):
        await registry.register(ONE)
    with pytest.raises(EtcdUnavailable, match="does not permit Range for user 'app'"):
        await get_service(registry, "orders")
    with pytest.raises(EtcdUnavailable, match="permission denied"):
        await (await client.watch(b"/elsewhere", since=0)).next()


async def test_token_that_etcd_has_forgotten_is_renewed(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address, username="app", password="hunter2")
    registry = EtcdRegistry(client)
    registration = await registry.register(ONE)

    guarded.stop()
    guarded.start()

    await until_answered(registration.renew)
    assert list(await get_service(registry, "orders")) == [ONE]


async def test_watch_with_a_token_that_etcd_has_forgotten_works_the_next_time(
    guarded: Any, connected: Connect
) -> None:
    registry = EtcdRegistry(connected(guarded.address, username="app", password="hunter2"))
    watcher = await registry.watch("orders")
    state = await watcher.read()

    guarded.stop()
    guarded.start()
    waiting = asyncio.ensure_future(until_answered(lambda: watcher.changed(state.token)))
    peer = EtcdRegistry(connected(guarded.address, username="app", password="hunter2"))
    registration = await until_answered(lambda: peer.register(ONE))

    seen = await waiting
    assert list(seen.value) == [ONE]
    await watcher.aclose()
    await registration.withdraw()


async def test_many_who_need_a_token_get_one(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address, username="app", password="hunter2", timeout=10.0)
    registry = EtcdRegistry(client)

    found = await asyncio.gather(*(get_service(registry, f"s{i}") for i in range(50)))

    assert [list(each) for each in found] == [[]] * 50


async def until_answered(call: Callable[[], Any]) -> Any:
    """Call until etcd, which was restarted, answers."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except EtcdUnavailable:
                await asyncio.sleep(0.05)
