"""What happens to ZooKeeper, and that the list of instances follows the truth each time."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from kratos.errors import RegistryUnavailable
from kratos.registry import RegistrationState, ServiceInstance, get_service
from kratos.testing.convergence import eventually, holds
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import RegistryContract
from kratos_zookeeper import ZooKeeperRegistry

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.slow]

Make = Callable[..., ZooKeeperRegistry]

ROOT = "/faults"
SESSION = 1.0  # seconds, the least that a server with ticks of half a second grants

# A process that registers and then does nothing but live.
LIVING = """
import asyncio, sys
from kratos.registry import ServiceInstance
from kratos_zookeeper import ZooKeeperRegistry

async def main():
    registry = ZooKeeperRegistry([sys.argv[1]], root="/faults", session_timeout=1.0)
    await registry.register(ServiceInstance(id=sys.argv[2], name=sys.argv[3]))
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def instance(unique: str) -> ServiceInstance:
    return ServiceInstance(id=unique, name=f"service-{unique}", version="v1")


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    __test__ = False
    patience: ClassVar[float] = 30.0


tools = Tools()


@pytest.fixture
async def make(host: str) -> AsyncIterator[Make]:
    made: list[ZooKeeperRegistry] = []

    def open_(where: str = host, **options: Any) -> ZooKeeperRegistry:
        given: dict[str, Any] = {"root": ROOT, "session_timeout": SESSION, "timeout": 1.0} | options
        registry = ZooKeeperRegistry([where], **given)
        made.append(registry)
        return registry

    yield open_
    for registry in made:
        await registry.aclose()


def session_of(registry: ZooKeeperRegistry) -> Any:
    return registry._connection.session()  # pyright: ignore[reportPrivateUsage]


def over(line: FaultProxy) -> str:
    return f"127.0.0.1:{line.port}"


async def test_server_is_killed_and_restarted(own_server: Any, make: Make, unique: str) -> None:
    one = instance(unique)
    registry, peer = make(own_server.host), make(own_server.host)
    async with tools.watching(peer, one.name) as seen, tools.keeping(registry, one) as kept:
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
        own_server.kill()
        await kept.until_failure()
        assert () not in seen.states[1:]
        await asyncio.to_thread(own_server.start)
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
        two = instance(f"{unique}-2")
        assert await get_service(peer, two.name) == ()
    assert await get_service(peer, one.name) == ()


async def test_server_that_restarts_empty_has_the_same_instance_again(
    own_server: Any, make: Make, unique: str
) -> None:
    one = ServiceInstance(id=unique, name=f"service-{unique}", metadata={"zone": "a"})
    registry, peer = make(own_server.host), make(own_server.host)
    async with tools.watching(peer, one.name) as seen, tools.keeping(registry, one) as kept:
        await seen.until(one)
        own_server.kill()
        await kept.until_failure()
        shutil.rmtree(own_server.folder / "version-2")
        await asyncio.to_thread(own_server.start)
        late = make(own_server.host)  # has seen nothing of what was
        async with tools.watching(late, one.name) as seen_late:
            await seen_late.until(one)
            await kept.until(RegistrationState.HELD)
            await seen.until(one)


async def test_outage_is_sat_out_without_haste(
    own_server: Any, make: Make, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration and a watcher, with the suite's short pauses: a few attempts per second."""
    one, connects = instance(unique), 0
    registry, peer = make(own_server.host), make(own_server.host)
    async with tools.watching(peer, one.name) as seen, tools.keeping(registry, one) as kept:
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
        plain = socket.create_connection

        def connect(*args: Any, **options: Any) -> socket.socket:
            nonlocal connects
            connects += 1
            return plain(*args, **options)

        monkeypatch.setattr(socket, "create_connection", connect)
        own_server.kill()
        await asyncio.sleep(3.0)  # an outage takes its time
        assert 2 <= connects <= 40
        monkeypatch.undo()
        await asyncio.to_thread(own_server.start)
        await kept.until(RegistrationState.HELD)
        await seen.until(one)


async def test_session_that_expired_is_replaced(proxy: FaultProxy, make: Make, unique: str) -> None:
    one = instance(unique)
    registry, peer = make(over(proxy)), make()
    async with tools.watching(peer, one.name) as seen, tools.keeping(registry, one) as kept:
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
        proxy.stall()
        await seen.until()
        await kept.until(RegistrationState.LOST)
        proxy.restore()
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
    await seen_nobody(peer, one)


async def test_watcher_whose_session_expired_follows_again(
    proxy: FaultProxy, make: Make, unique: str
) -> None:
    one, marker = instance(unique), instance(f"{unique}-marker")
    two = ServiceInstance(id="2", name=one.name)
    registry, peer = make(over(proxy)), make()
    first = await peer.register(one)
    await registry.register(marker)
    async with tools.watching(registry, one.name) as seen:
        await seen.until(one)
        proxy.cut()
        second = await peer.register(two)
        await first.withdraw()
        await seen_nobody(peer, marker)  # its session has expired
        assert seen.states == [(one,)]
        proxy.restore()
        await seen.until(two)
        await second.withdraw()
        await seen.until()


async def test_read_whose_session_expires_meanwhile_goes_on_in_another(
    proxy: FaultProxy, make: Make
) -> None:
    peer = make(over(proxy), timeout=30.0)
    assert await get_service(peer, "nobody") == ()
    session, lost = session_of(peer), asyncio.Event()

    def hear(_path: str | None) -> None:
        lost.set()

    session.hear("/nobody", hear)
    proxy.cut()
    await lost.wait()
    reading = asyncio.create_task(get_service(peer, "nobody"))
    await holds(lambda: session.over)
    proxy.restore()
    assert await reading == ()
    assert session_of(peer) is not session


async def test_killed_process_disappears_within_its_session_timeout(
    host: str, make: Make, unique: str
) -> None:
    one = instance(unique)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIVING, host, one.id, one.name, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with tools.watching(make(), one.name) as seen:
        assert await process.stdout.readline() == b"registered\n"
        await seen.until(ServiceInstance(id=one.id, name=one.name))
        process.kill()
        await process.wait()
        await seen.until()


async def test_node_that_somebody_deletes_is_told_at_once(
    kazoo: Any, make: Make, unique: str
) -> None:
    one = instance(unique)
    registry = make()
    registration = await registry.register(one)
    losing = asyncio.ensure_future(registration.lost())
    path = f"{ROOT}/{one.name}/{one.id}"
    while path not in session_of(registry)._client._data_watchers:  # noqa: ASYNC110  kazoo tells nobody
        await asyncio.sleep(0)
    assert not losing.done()
    kazoo.delete(path)
    async with asyncio.timeout(tools.patience):
        await losing
    await registration.withdraw()


async def test_registration_given_up_on_a_good_line_is_taken_back(make: Make, unique: str) -> None:
    one, other = instance(unique), instance(f"{unique}-other")
    registry = make()
    await registry.register(other)
    session = session_of(registry)
    commit, done = session.commit, asyncio.Event()

    async def commit_and_wait(transaction: Any) -> Any:
        await commit(transaction)
        done.set()
        await asyncio.Event().wait()

    session.commit = commit_and_wait
    registering = asyncio.ensure_future(registry.register(one))
    await done.wait()
    assert await get_service(registry, one.name) == (one,)
    registering.cancel()
    with suppress(asyncio.CancelledError):
        await registering

    assert await get_service(registry, one.name) == ()
    assert await get_service(registry, other.name) == (other,)


async def test_registration_given_up_on_a_dead_line_goes_with_its_session(
    proxy: FaultProxy, make: Make, unique: str
) -> None:
    one, other = instance(unique), instance(f"{unique}-other")
    registry, peer = make(over(proxy), session_timeout=10.0), make()
    async with tools.keeping(registry, other) as kept:
        await kept.until(RegistrationState.HELD)
        session = session_of(registry)
        commit = session.commit

        async def commit_into_silence(transaction: Any) -> Any:
            proxy.stall()
            return await commit(transaction)

        session.commit = commit_into_silence
        with pytest.raises(RegistryUnavailable, match="no answer within 1 s"):
            await registry.register(one)
        assert session.over
        proxy.restore()
        async with asyncio.timeout(tools.patience):
            while not session.closed:  # noqa: ASYNC110  no event tells of a thread's end
                await asyncio.sleep(0.02)
        assert await get_service(peer, one.name) == ()
        # What else was in that session is published again in another one.
        async with tools.watching(peer, other.name) as seen:
            await seen.until(other)
            await kept.until(RegistrationState.HELD)
    await seen_nobody(peer, other)


async def test_closing_over_a_dead_line_ends_and_leaves_no_thread(
    proxy: FaultProxy, make: Make, unique: str
) -> None:
    threads = set(threading.enumerate())
    registry = make(over(proxy))
    await registry.register(instance(unique))
    proxy.stall()
    async with asyncio.timeout(10):
        await registry.aclose()
    proxy.restore()
    async with asyncio.timeout(tools.patience):
        while set(threading.enumerate()) - threads:  # noqa: ASYNC110  no event tells of a thread's end
            await asyncio.sleep(0.02)


async def test_watcher_of_a_frozen_server_neither_spins_nor_hangs(
    proxy: FaultProxy, make: Make, unique: str
) -> None:
    registry = make(over(proxy), timeout=0.5)
    watcher = await registry.watch(f"service-{unique}")
    state = await eventually(watcher.read)
    proxy.stall()
    with pytest.raises(RegistryUnavailable, match="lost its connection"):
        async with asyncio.timeout(tools.patience):
            await watcher.changed(state.token)
    with pytest.raises(RegistryUnavailable):
        await watcher.read()
    await watcher.aclose()
    proxy.restore()


async def test_many_reads_leave_nothing_behind(make: Make, unique: str) -> None:
    registry = make()
    for _ in range(50):
        await get_service(registry, f"service-{unique}")
    session = session_of(registry)
    assert session._listeners == {}
    client = session._client
    assert sum(map(len, client._data_watchers.values())) <= 1
    assert sum(map(len, client._child_watchers.values())) <= 1


async def seen_nobody(peer: ZooKeeperRegistry, one: ServiceInstance) -> None:
    async with tools.watching(peer, one.name) as seen:
        await seen.until()


async def told(call: Callable[[], Awaitable[object]], message: str) -> None:
    """Call until the error is this one; on a busy machine an attempt may end before its reason."""
    found = ""
    async with asyncio.timeout(tools.patience):
        while not re.search(message, found):
            with pytest.raises(RegistryUnavailable) as refusal:
                await call()
            found = str(refusal.value)


async def test_server_that_is_away_is_named_with_the_reason(make: Make, unique: str) -> None:
    registry = make("127.0.0.1:1", timeout=0.5)
    await told(
        lambda: registry.register(instance(unique)),
        r"zookeeper://127.0.0.1:1/faults did not register .* no answer within 0.5 s "
        r"\(.*[Cc]onnection.*refused",
    )


async def test_host_that_nobody_knows_is_named(make: Make, unique: str) -> None:
    registry = make("nowhere.invalid:2181", timeout=1.0)
    await told(lambda: get_service(registry, unique), r"Cannot resolve nowhere.invalid")


async def test_what_is_no_zookeeper_is_an_error_with_the_reason(make: Make, unique: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    registry = make(f"127.0.0.1:{port}", timeout=1.0)
    await told(lambda: get_service(registry, unique), r"no answer within 1 s \(.+\)")
    server.close()
    await server.wait_closed()


async def test_what_is_no_zookeeper_and_stays_is_doubted(make: Make, unique: str) -> None:
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command\r\n")  # of which kazoo takes four bytes for a length
        await over.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    registry = make(f"127.0.0.1:{port}", timeout=0.5)
    await told(
        lambda: get_service(registry, unique), r"0.5 s \(it has never answered: is that a Zoo"
    )
    over.set()
    server.close()
    await server.wait_closed()


async def test_wrong_password_is_refused_with_advice(make: Make, unique: str) -> None:
    one = instance(unique)
    root = f"/private-{unique}"
    owner = make(root=root, user="orders", password="secret")
    registration = await owner.register(one)
    for options in ({"user": "orders", "password": "wrong"}, {}):
        other = make(root=root, **options)
        with pytest.raises(RegistryUnavailable, match="may not; see the ACL") as refused:
            await get_service(other, one.name)
        assert "wrong" not in str(refused.value)
        with pytest.raises(RegistryUnavailable, match="may not; see the ACL"):
            await other.register(instance(f"{unique}-2"))
    assert await get_service(owner, one.name) == (one,)
    await registration.withdraw()


async def test_no_log_and_no_error_shows_the_password(
    proxy: FaultProxy, make: Make, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    root = f"/private-{unique}"
    registry = make(over(proxy), root=root, user="orders", password="hunter2", timeout=0.5)
    registration = await eventually(lambda: registry.register(instance(unique)))
    proxy.cut()
    with pytest.raises(RegistryUnavailable) as failure:
        await registration.renew()
    proxy.restore()
    shown = f"{registry} {registry!r} {failure.value}"
    assert "hunter2" not in shown + caplog.text
    assert caplog.text


async def test_server_of_several_that_is_down_is_passed_over(host: str, unique: str) -> None:
    one = instance(unique)
    for hosts in (["127.0.0.1:1", host], [host, "127.0.0.1:1"]):
        registry = ZooKeeperRegistry(hosts, root=ROOT)
        registration = await registry.register(one)
        assert await get_service(registry, one.name) == (one,)
        await registration.withdraw()
        await registry.aclose()


def test_program_that_closes_nothing_ends_all_the_same(host: str, unique: str) -> None:
    program = LIVING.replace("    await asyncio.Event().wait()\n", "")
    command = [sys.executable, "-c", program, host, unique, f"service-{unique}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "registered\n", "")
