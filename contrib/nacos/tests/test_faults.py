"""What happens to Nacos, and to those who use it, on a server of one's own."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from kratos.registry import (
    RegistrationState,
    ServiceInstance,
    get_service,
)
from kratos.testing.convergence import PATIENCE, eventually, following, holds, keeping, sees
from kratos.testing.leaks import LeakCheck
from kratos.testing.proxy import FaultProxy
from kratos_nacos import NacosClient, NacosRegistry, NacosUnavailable
from kratos_nacos.link import Link

pytestmark = [pytest.mark.service("nacos"), pytest.mark.slow]

ONE = ServiceInstance(
    id="1",
    name="orders",
    version="v1",
    metadata={"weight": "7", "zone": "a"},
    endpoints=("grpc://10.0.0.1:9000", "http://10.0.0.1:8000"),
)
TWO = replace(ONE, id="2", endpoints=("grpc://10.0.0.2:9000",))


@pytest.fixture
async def registry(own_server: Any) -> AsyncIterator[NacosRegistry]:
    async with NacosClient([own_server.address], timeout=1.0) as client:
        registry = NacosRegistry(client)
        yield registry
        await registry.aclose()


@pytest.mark.parametrize("empty", [False, True])
async def test_all_converges_after_the_server_was_killed(
    own_server: Any, registry: NacosRegistry, empty: bool
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.stop()
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        if empty:
            shutil.rmtree(own_server.home)
        own_server.start()

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def test_all_converges_after_the_server_was_frozen(
    own_server: Any, registry: NacosRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.signal(signal.SIGSTOP)
        try:
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            with pytest.raises(NacosUnavailable, match=r"does not answer|was closed"):
                await get_service(registry, ONE.name)
        finally:
            own_server.signal(signal.SIGCONT)

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def test_all_converges_after_the_network_fell_silent(
    client: NacosClient, disturbed: NacosClient, proxy: FaultProxy, group: str
) -> None:
    ours, theirs = NacosRegistry(disturbed, group=group), NacosRegistry(client, group=group)
    async with (
        following(theirs, ONE.name) as seen_by_others,
        following(ours, ONE.name) as states,
        keeping(ours, ONE) as keeper,
    ):
        await sees(states, ONE)
        proxy.stall()
        # By heartbeats without an answer. This Nacos never looks for silent connections itself.
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        await theirs.register(TWO)
        await sees(seen_by_others, ONE, TWO)
        proxy.restore()

        await sees(states, ONE, TWO)
        await sees(seen_by_others, ONE, TWO)
    await ours.aclose()
    await theirs.aclose()


async def test_instance_of_a_killed_process_goes_at_once(
    address: str, client: NacosClient, group: str
) -> None:
    program = f"""
import asyncio
from kratos.registry import ServiceInstance
from kratos_nacos import NacosClient, NacosRegistry

async def main():
    registry = NacosRegistry(NacosClient([{address!r}]), group={group!r})
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
    await registry.register(one)
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"registered\n"
        async with following(NacosRegistry(client, group=group), ONE.name) as states:
            await sees(states, one)
            process.kill()
            await sees(states, patience=15.0)  # and not after the 20 s of silence
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_server_that_asks_to_connect_anew_is_obeyed(
    address: str, connected: Callable[..., NacosClient]
) -> None:
    client = connected(address, namespace=str(uuid4()))
    registry = NacosRegistry(client)
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        watching = await client.shared()
        since = keeper.status.since
        loader = f"http://{address}/nacos/v2/core/loader"
        connections = json.loads(await asyncio.to_thread(fetch, f"{loader}/current"))
        for name, connection in connections.items():
            if connection["metaInfo"]["tenant"] == client.config_namespace:
                await asyncio.to_thread(fetch, f"{loader}/reloadClient?connectionId={name}")
        async with asyncio.timeout(PATIENCE):
            await watching.end()
        assert "asks to connect anew" in watching.why
        await holds(lambda: keeper.status.since > since)
        await holds(lambda: keeper.status.state is RegistrationState.HELD)

        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)
    await registry.aclose()


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
        return content


async def test_watching_spins_never_and_leaves_nothing(
    client: NacosClient, disturbed: NacosClient, proxy: FaultProxy, group: str
) -> None:
    asked: list[str] = []
    plain = Link.ask

    async def ask(self: Link, kind: str, body: Any, /) -> Any:
        asked.append(kind)
        return await plain(self, kind, body)

    await client.shared()
    leaks = LeakCheck()
    registry = NacosRegistry(disturbed, group=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Link, "ask", ask)
        other = NacosRegistry(client, group=group)
        async with following(registry, ONE.name) as states:
            registration = await other.register(ONE)
            await sees(states, ONE)
            # What comes and goes is pushed, and nothing is asked for it.
            before = asked.count("ServiceQueryRequest"), asked.count("SubscribeServiceRequest")
            for version in ("v2", "v3", "v4"):
                registration = await other.register(replace(ONE, version=version))
                await sees(states, replace(ONE, version=version))
            after = asked.count("ServiceQueryRequest"), asked.count("SubscribeServiceRequest")
            assert before == after == (5, 5)
            for _ in range(3):
                proxy.reset()
                await sees(states, replace(ONE, version="v4"))
            await registration.withdraw()
            await sees(states)
    assert asked.count("ServiceQueryRequest") <= 5 * 8
    await registry.aclose()
    await disturbed.aclose()
    await leaks.nothing_left()


async def test_closed_watcher_is_pushed_nothing_more(client: NacosClient, group: str) -> None:
    registry = NacosRegistry(client, group=group)
    watchers = [await registry.watch(ONE.name) for _ in range(2)]
    states = [await watcher.read() for watcher in watchers]
    waiting = [
        asyncio.ensure_future(watcher.changed(state.token))
        for watcher, state in zip(watchers, states, strict=True)
    ]
    link = await client.shared()
    place = f"{group}@@{ONE.name}.grpc"
    await holds(lambda: link.is_heard(place))

    await watchers[0].aclose()
    with pytest.raises(NacosUnavailable, match="the watcher is closed"):
        await waiting[0]
    assert link.is_heard(place)
    registration = await registry.register(ONE)
    assert await waiting[1] is not None  # the other one still is

    await watchers[1].aclose()
    assert not link.is_heard(place)
    heard: list[object] = []
    link.hear(place, heard.append)
    await registration.withdraw()
    watcher = await NacosRegistry(client, group=group).watch(ONE.name)
    async with asyncio.timeout(PATIENCE):
        while (await watcher.read()).value:  # noqa: ASYNC110  that it is told nothing is the point
            await asyncio.sleep(0.1)
    assert heard == []


async def test_several_endpoints_of_one_scheme_are_all_there(
    client: NacosClient, group: str
) -> None:
    registry = NacosRegistry(client, group=group)
    several = replace(ONE, endpoints=tuple(f"http://10.0.0.1:{port}" for port in (1, 2, 3)))
    async with following(registry, ONE.name) as states:
        await registry.register(several)
        await sees(states, several)
        fewer = replace(several, endpoints=several.endpoints[:1])
        registration = await registry.register(fewer)
        await sees(states, fewer)
        elsewhere = replace(several, endpoints=("grpc://10.0.0.1:4", "grpc://10.0.0.1:5"))
        registration = await registry.register(elsewhere)
        await sees(states, elsewhere)
        await registration.withdraw()
        await sees(states)


async def test_entry_that_nobody_can_read_hides_no_other(
    client: NacosClient, group: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = NacosRegistry(client, group=group)
    name = f"orders-{uuid4()}"
    link = await client.connect("naming")
    entry = {"ip": "", "port": 9000, "ephemeral": True, "healthy": True, "enabled": True}
    body = {"namespace": "public", "serviceName": f"{name}.grpc", "groupName": group}
    register = {**body, "type": "registerInstance", "instance": entry}
    await link.ask("InstanceRequest", register)
    one = replace(ONE, name=name)
    await registry.register(one)

    async with following(registry, name) as states:
        await sees(states, one)

    assert registry.skipped == 1
    assert len([record for record in caplog.records if "left out" in record.message]) == 1
