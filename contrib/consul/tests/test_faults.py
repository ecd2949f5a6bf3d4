"""What happens to an agent, and to those who use it, on an agent of one's own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kratos.errors import RegistrationLost
from kratos.registry import (
    Keeper,
    RegistrationState,
    ServiceInstance,
    get_service,
    instance_feed,
)
from kratos.testing import convergence
from kratos.testing.convergence import PATIENCE, QUICK, following, holds, sees
from kratos.testing.proxy import FaultProxy
from kratos_consul import ConsulClient, ConsulRegistry, ConsulUnavailable
from kratos_consul.agent import Answer, Question
from kratos_consul.watch import HERE

pytestmark = [pytest.mark.service("consul"), pytest.mark.slow]

ONE = ServiceInstance(
    id="1",
    name="orders",
    version="v1",
    metadata={"zone": "a", "weight": "7"},
    endpoints=("grpc://127.0.0.1:9000", "http://127.0.0.1:8000"),
)
TWO = replace(ONE, id="2")

keeping = partial(convergence.keeping, verify_every=0.5)

Connect = Callable[..., ConsulClient]


def registry_of(client: ConsulClient, **options: Any) -> ConsulRegistry:
    return ConsulRegistry(client, health_check=False, health_check_interval=1.0, **options)


@pytest.fixture
def registry(own_client: ConsulClient) -> ConsulRegistry:
    return registry_of(own_client)


def described(server: Any) -> tuple[Any, Any]:
    """Return what the agent has of the instance: the service, and its checks without results."""
    service = server.api("GET", "/agent/service/1")
    names = ("CheckID", "Name", "Type", "Definition", "Interval", "Timeout", "ServiceTags")
    checks = {
        check["CheckID"]: {name: check.get(name) for name in names}
        for check in server.api("GET", "/agent/checks").values()
        if check["ServiceID"] == "1"
    }
    return service, checks


async def test_agent_that_restarts_empty_is_told_the_same_again(
    own_server: Any, own_client: ConsulClient
) -> None:
    # Checked by TCP too, where nobody listens: what is registered counts here, not its state.
    registry = ConsulRegistry(own_client, health_check_interval=1.0, tags=["blue"])
    async with keeping(registry, ONE) as keeper:
        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        before = described(own_server)
        own_server.kill()
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        own_server.start()

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        assert described(own_server) == before
        service, checks = before
        assert (service["ID"], service["Meta"]) == (ONE.id, ONE.metadata)
        assert service["Tags"] == ["version=v1", "blue"]
        assert checks.keys() == {"service:1", "service:1:1", "service:1:2"}


async def test_all_converges_after_the_agent_restarted_empty(
    own_server: Any, registry: ConsulRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.kill()
        own_server.start()

        # Its indexes begin anew, so a client that went on from its own would hear nothing.
        async with keeping(registry, TWO):
            await sees(states, ONE, TWO)
        await sees(states, ONE)


async def test_all_converges_after_the_agent_was_killed(
    server_class: Any, connected: Connect, tmp_path: Path
) -> None:
    server = server_class(tmp_path / "kept", keep=True)
    server.start()
    try:
        registry = registry_of(connected(server.address, timeout=1.0))
        async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
            await sees(states, ONE)
            server.kill()
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            await asyncio.to_thread(server.start)

            await holds(lambda: keeper.status.state is RegistrationState.HELD)
            async with keeping(registry, TWO):
                await sees(states, ONE, TWO)
    finally:
        server.kill()


async def test_all_converges_after_the_agent_was_frozen(
    own_server: Any, registry: ConsulRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.freeze()
        try:
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            with pytest.raises(ConsulUnavailable, match="does not answer"):
                await get_service(registry, ONE.name)
        finally:
            own_server.thaw()

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        async with keeping(registry, TWO):
            await sees(states, ONE, TWO)


async def test_server_that_restarts_empty_behind_a_living_agent_is_noticed(
    server_class: Any, connected: Connect, tmp_path: Path
) -> None:
    server = server_class(tmp_path / "server", name="server")
    server.start()
    agent = server_class(tmp_path / "agent", name="agent", joins=server.lan)
    agent.start()
    try:
        for number in range(100):  # so that the index is far from the next one's
            server.api("PUT", f"/kv/{number}", b"")
        client = connected(agent.address, timeout=1.0)
        registry = registry_of(client, wait=1.0)
        watcher = await registry.watch(ONE.name)
        async with following(registry, ONE.name) as states, keeping(registry, ONE):
            await sees(states, ONE)
            state: Any = await watcher.read()
            server.kill()
            await asyncio.to_thread(server.start)
            agent.api("PUT", f"/agent/join/{server.lan}")

            # An agent looks once a minute whether its server still knows what it told it.
            async with keeping(registry, TWO):
                await sees(states, ONE, TWO, patience=150.0)
            later: Any = await watcher.read()
            assert later.token[HERE] < state.token[HERE]
            await sees(states, ONE)
        await watcher.aclose()
    finally:
        agent.kill()
        server.kill()


async def test_stop_while_the_agent_is_away_ends_in_time(
    own_server: Any, registry: ConsulRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(registry, ONE, timeout=2.0, backoff=QUICK)
    await keeper.start(require=True)
    own_server.kill()

    async with asyncio.timeout(PATIENCE):
        await keeper.aclose()

    assert keeper.status.state is RegistrationState.GONE
    assert "does not answer" in caplog.text


async def test_heartbeat_after_the_withdrawal_brings_nothing_back(
    own_server: Any, registry: ConsulRegistry
) -> None:
    registration = await registry.register(ONE)
    await registration.withdraw()

    with pytest.raises(RegistrationLost, match="Unknown check ID"):
        await registration.renew()
    assert own_server.api("GET", "/agent/services") == {}


async def test_service_without_its_heartbeat_is_registered_again(
    own_server: Any, registry: ConsulRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.api("PUT", "/agent/check/deregister/service:1")

        await holds(lambda: "service:1" in own_server.api("GET", "/agent/checks"))
        await sees(states, ONE)


async def test_service_that_was_rewritten_is_set_right(
    own_server: Any, registry: ConsulRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.api("PUT", "/agent/service/register", {"ID": "1", "Name": "orders"})

        await holds(lambda: len(states) > 1)
        await sees(states, ONE)


async def test_instance_without_a_heartbeat_is_looked_after_too(
    own_server: Any, own_client: ConsulClient
) -> None:
    registry = registry_of(own_client, heartbeat=False)
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.api("PUT", "/agent/service/deregister/1")

        await sees(states)
        await sees(states, ONE)


async def test_changed_instance_is_never_critical_in_between(
    own_server: Any, registry: ConsulRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        for weight in range(5):
            changed = replace(ONE, metadata={"weight": str(weight)})
            keeper.update(changed)
            await sees(states, changed)

        first = states.index((ONE,))
        assert all(len(state) == 1 for state in states[first:]), states


async def test_checks_of_a_predecessor_with_more_endpoints_go(
    own_server: Any, own_client: ConsulClient
) -> None:
    registry = ConsulRegistry(own_client)
    await registry.register(ONE)
    assert described(own_server)[1].keys() == {"service:1", "service:1:1", "service:1:2"}

    registration = await registry.register(replace(ONE, endpoints=ONE.endpoints[:1]))

    assert described(own_server)[1].keys() == {"service:1", "service:1:1"}
    await registration.withdraw()


async def test_change_that_fails_leaves_what_stood(
    own_server: Any, registry: ConsulRegistry
) -> None:
    await registry.register(ONE)
    own_server.freeze()
    changing = asyncio.ensure_future(registry.register(replace(ONE, version="v2")))
    for _ in range(20):  # on its way to the agent, or there
        await asyncio.sleep(0)
    changing.cancel()
    await asyncio.wait({changing})
    own_server.thaw()

    found = await get_service(registry, ONE.name)

    assert [one.id for one in found] == ["1"]


async def test_instance_of_a_killed_process_expires(
    own_server: Any, registry: ConsulRegistry
) -> None:
    program = f"""
import asyncio
from kratos.registry import ServiceInstance, from_url

async def main():
    registry = from_url("consul://{own_server.address}?health_check_interval=1s")
    await registry.register(ServiceInstance(id="1", name="orders"))
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"registered\n"
        async with following(registry, ONE.name) as states:
            await sees(states, ServiceInstance(id="1", name="orders"))
            process.kill()
            await sees(states)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_index_that_went_back_is_followed_by_a_fresh_read(
    own_client: ConsulClient,
) -> None:
    registry = registry_of(own_client, wait=0.2)
    watcher = await registry.watch(ONE.name)
    state: Any = await watcher.read()

    # As after a restart of the servers behind an agent, whose connections last.
    assert await watcher.changed({HERE: state.token[HERE] + 10_000}) is None

    await registry.register(ONE)
    state = await watcher.read()
    assert list(state.value) == [ONE]
    await watcher.aclose()


async def test_busy_neighbours_keep_no_watcher_busy(
    own_server: Any, own_client: ConsulClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(own_client)
    asked: list[str] = []

    async def ask(self: ConsulClient, question: Question, /) -> Answer:
        asked.append(str(question))
        return await plain(self, question)

    plain = ConsulClient.ask
    began = time.monotonic()
    monkeypatch.setattr(ConsulClient, "ask", ask)
    async with following(registry, ONE.name) as states:
        await sees(states)
        for number in range(200):  # each wakes those who wait for a service that is not there
            await asyncio.to_thread(
                own_server.api,
                "PUT",
                "/agent/service/register",
                {"ID": "x", "Name": f"neighbour-{number}"},
            )
        await holds(lambda: len(asked) > 1)
        busy, seconds = len(asked), time.monotonic() - began
        async with keeping(registry, ONE):
            await sees(states, ONE)

    assert busy <= 8 + seconds


async def test_line_that_died_without_a_sign_is_noticed_in_time(
    address: str, proxy: FaultProxy, connected: Connect, unique: str
) -> None:
    one = replace(ONE, id=unique, name=unique)
    peer = ConsulRegistry(connected(address), health_check=False)
    registry = registry_of(connected(proxy.address, timeout=0.5), wait=1.0)
    feed = instance_feed(registry, unique, backoff=QUICK)
    states: list[Sequence[ServiceInstance]] = []
    feed.subscribe(states.append)
    await sees(states)
    proxy.stall()
    registration = await peer.register(one)

    await holds(lambda: feed.stale_since is not None)
    assert "does not answer" in str(feed.last_error)
    proxy.restore()
    await sees(states, one)

    await registration.withdraw()
    await sees(states)
    await feed.aclose()


async def test_closed_clients_leave_no_connection(
    proxy: FaultProxy, connected: Connect, unique: str
) -> None:
    client = connected(proxy.address)
    registry = registry_of(client)
    one = replace(ONE, id=unique, name=unique)
    async with following(registry, ONE.name) as states, keeping(registry, one):
        await sees(states)
        await holds(lambda: proxy.connections > 1)

    await client.aclose()

    await holds(lambda: proxy.connections == 0)


async def test_instance_that_stays_critical_is_removed_and_a_living_one_comes_back(
    own_server: Any, own_client: ConsulClient
) -> None:
    # Consul takes a minute for the least, and looks twice a minute.
    registry = registry_of(own_client, deregister_critical_service_after=1.0)
    registration = await registry.register(ONE)

    def is_there() -> bool:
        return "1" in own_server.api("GET", "/agent/services")

    async with asyncio.timeout(150.0):
        while is_there():  # noqa: ASYNC110  an agent tells nobody
            await asyncio.sleep(0.5)

    with pytest.raises(RegistrationLost):
        await registration.renew()
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
