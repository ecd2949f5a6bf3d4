"""What happens to etcd, and to those who use it, on a server of one's own."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from kratos.errors import RegistrationLost
from kratos.registry import (
    RegistrationState,
    ServiceInstance,
    get_service,
)
from kratos.testing.convergence import PATIENCE, eventually, following, holds, keeping, sees
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdUnavailable
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import PUT, RANGE, REVOKE

pytestmark = [pytest.mark.service("etcd"), pytest.mark.slow]

ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
TWO = replace(ONE, id="2")

Connect = Callable[..., EtcdClient]


@pytest.fixture
async def registry(own_server: Any) -> AsyncIterator[EtcdRegistry]:
    async with EtcdClient([own_server.address], timeout=1.0) as client:
        yield EtcdRegistry(client, ttl=2.0)


async def test_all_converges_after_the_server_was_killed(
    own_server: Any, registry: EtcdRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.stop()
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        own_server.start()

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)
        assert () not in states[states.index((ONE,)) :]


async def test_all_converges_after_the_server_lost_its_data(
    own_server: Any, registry: EtcdRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.stop()
        shutil.rmtree(own_server.folder / "data")
        own_server.start()

        # Its revisions begin anew, so a client that went on from its own would hear nothing.
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def test_all_converges_after_the_server_was_frozen(
    own_server: Any, registry: EtcdRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.signal(signal.SIGSTOP)
        try:
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            with pytest.raises(EtcdUnavailable, match="does not answer"):
                await get_service(registry, ONE.name)
        finally:
            own_server.signal(signal.SIGCONT)

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def test_outage_is_sat_out_without_haste(
    own_server: Any, registry: EtcdRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration and a watcher, with short pauses here: a few calls per second."""
    calls = 0
    plain = EtcdClient._try  # pyright: ignore[reportPrivateUsage]

    async def count(self: EtcdClient, once: Any) -> Any:
        nonlocal calls
        calls += 1
        return await plain(self, once)

    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.stop()
        monkeypatch.setattr(EtcdClient, "_try", count)
        await asyncio.sleep(3.0)  # an outage takes its time
        assert 2 <= calls <= 60
        monkeypatch.undo()
        own_server.start()
        await holds(lambda: keeper.status.state is RegistrationState.HELD)


async def test_watcher_reads_again_after_a_compaction(
    own_server: Any, registry: EtcdRegistry
) -> None:
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()
    await registry.register(ONE)
    await registry.register(TWO)
    compact(own_server, await revision(registry))

    assert await watcher.changed(state.token) is None
    state = await watcher.read()
    assert list(state.value) == [ONE, TWO]
    registration = await registry.register(replace(ONE, version="v2"))
    seen = await watcher.changed(state.token)
    assert seen is not None
    assert list(seen.value) == [replace(ONE, version="v2"), TWO]
    await watcher.aclose()
    await registration.withdraw()


async def test_publication_that_cannot_hear_the_past_looks_for_itself(
    own_server: Any, registry: EtcdRegistry
) -> None:
    registration = await registry.register(ONE)
    await registry.register(TWO)
    await registry.register(TWO)
    compact(own_server, await revision(registry))

    with pytest.raises(EtcdUnavailable, match="has forgotten"):
        await registration.lost()
    await registration.renew()
    listening = asyncio.ensure_future(registration.lost())
    await registration.withdraw()
    async with asyncio.timeout(PATIENCE):
        await listening


async def test_keeper_hears_at_once_that_its_lease_was_revoked(
    own_server: Any, own_client: EtcdClient
) -> None:
    registry = EtcdRegistry(own_client, ttl=3600.0)
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        (entry,) = (await entries(own_client)).kvs

        await own_client.ask(REVOKE, pb.LeaseRevokeRequest(id=entry.lease))

        await holds(lambda: len(states) >= 3)
        await sees(states, ONE)


async def test_instance_of_a_killed_process_expires(
    own_server: Any, registry: EtcdRegistry
) -> None:
    program = f"""
import asyncio
from kratos.registry import ServiceInstance
from kratos_etcd import EtcdClient, EtcdRegistry

async def main():
    registry = EtcdRegistry(EtcdClient([{own_server.address!r}]), ttl=2.0)
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


async def test_what_was_given_up_is_refused_where_it_comes_after_its_lease(
    own_server: Any, registry: EtcdRegistry, own_client: EtcdClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ask = own_client.ask

    async def hold(call: Any, request: Any) -> Any:
        if call is PUT:
            sent.set_result(request)
            await asyncio.Event().wait()
        return await ask(call, request)

    monkeypatch.setattr(own_client, "ask", hold)
    registering = asyncio.ensure_future(EtcdRegistry(own_client, ttl=3600).register(ONE))
    late = await sent
    registering.cancel()
    await asyncio.wait({registering})

    with pytest.raises(EtcdUnavailable, match="lease not found"):
        await ask(PUT, late)
    assert list(await get_service(registry, ONE.name)) == []


async def test_lease_that_ran_out_is_a_loss(own_server: Any, registry: EtcdRegistry) -> None:
    registration = await registry.register(ONE)
    async with asyncio.timeout(PATIENCE):
        await registration.lost()

    with pytest.raises(RegistrationLost, match="its lease is gone"):
        await registration.renew()
    await registration.withdraw()


async def test_entry_that_nobody_can_read_hides_no_other(
    own_client: EtcdClient, registry: EtcdRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("bad", b"\xff{"), ("list", b"[]"), ("go", GO)):
        key = f"/microservices/orders/{name}".encode()
        await own_client.ask(PUT, pb.PutRequest(key=key, value=value))

    found = [await get_service(registry, "orders") for _ in range(2)]

    assert [list(each) for each in found] == [[ServiceInstance(id="go", name="orders")]] * 2
    assert registry.skipped == 2
    assert len(caplog.records) == 2


async def test_entry_that_becomes_unreadable_goes_and_comes_back(
    own_client: EtcdClient, registry: EtcdRegistry
) -> None:
    key = b"/microservices/orders/go"
    await own_client.ask(PUT, pb.PutRequest(key=key, value=GO))
    async with following(registry, ONE.name) as states:
        await sees(states, ServiceInstance(id="go", name="orders"))
        await own_client.ask(PUT, pb.PutRequest(key=key, value=b"{"))
        await sees(states)
        await own_client.ask(PUT, pb.PutRequest(key=key, value=GO))
        await sees(states, ServiceInstance(id="go", name="orders"))


async def test_change_costs_one_message_and_no_read(
    own_client: EtcdClient, registry: EtcdRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()
    asked: list[str] = []

    async def ask(self: EtcdClient, rpc: Any, request: Any, /) -> Any:
        asked.append(rpc.path)
        return await plain(self, rpc, request)

    plain = EtcdClient.ask
    monkeypatch.setattr(EtcdClient, "ask", ask)
    other = EtcdRegistry(own_client)
    for version in ("1", "2", "3"):
        await other.register(replace(ONE, version=version))
        changed = await watcher.changed(state.token)
        assert changed is not None
        state = changed

    assert state.value[0].version == "3"
    assert RANGE.path not in asked
    await watcher.aclose()


async def test_wait_that_was_cancelled_goes_on_where_it_was(
    own_client: EtcdClient, registry: EtcdRegistry
) -> None:
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()
    for number in range(20):
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        for _ in range(number):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await EtcdRegistry(own_client).register(ONE)

    async with asyncio.timeout(PATIENCE):
        seen = await watcher.changed(state.token)

    assert seen is not None
    assert list(seen.value) == [ONE]
    await watcher.aclose()


async def test_past_that_comes_in_parts_is_heard_whole(
    own_client: EtcdClient, registry: EtcdRegistry
) -> None:
    watcher = await registry.watch(ONE.name)
    state: Any = await watcher.read()
    other = EtcdRegistry(own_client)
    key = b"/microservices/orders/go"
    for number in range(2500):  # etcd tells a late watcher of a thousand revisions at a time
        value = GO.replace(b"null", b'{"n":"%d"}' % number, 1)
        await own_client.ask(PUT, pb.PutRequest(key=key, value=value))

    async with asyncio.timeout(PATIENCE):
        while not state.value or state.value[0].metadata["n"] != "2499":
            state = await watcher.changed(state.token)
            # Broken off after each part, and taken up again behind it.
            waiting = asyncio.ensure_future(watcher.changed(state.token))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})

    assert list(await get_service(other, "orders")) == list(state.value)
    await watcher.aclose()


GO = b'{"id":"go","name":"orders","version":"","metadata":null,"endpoints":null}'


async def entries(client: EtcdClient) -> pb.RangeResponse:
    return await client.ask(
        RANGE, pb.RangeRequest(key=b"/microservices/", range_end=b"/microservices0")
    )


async def revision(registry: EtcdRegistry) -> int:
    state = await (await registry.watch(ONE.name)).read()
    assert isinstance(state.token, int)
    return state.token


def compact(server: Any, at: int) -> None:
    server.control("compaction", str(at))
