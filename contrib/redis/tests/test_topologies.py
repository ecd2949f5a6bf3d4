"""Clusters, sentinels and TLS, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from kratos.config import from_url as source_from_url
from kratos.config.config import read
from kratos.errors import RegistryUnavailable
from kratos.registry import (
    Keeper,
    RegistrationState,
    ServiceInstance,
    from_url,
    get_service,
    instance_feed,
    same_instances,
)
from kratos.store import Entry, get_many, set_many
from kratos.store import from_url as store_from_url
from kratos.testing.convergence import PATIENCE, QUICK, holds
from kratos_redis import RedisSource

pytestmark = [pytest.mark.service("redis"), pytest.mark.slow]

SERVICES = [
    ServiceInstance(id=f"{name}-{number}", name=name)
    for name in ("orders", "users", "stock", "größe", "with/slash")
    for number in range(3)
]

Serve = Callable[..., Any]
Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


async def test_services_on_all_nodes_of_a_cluster_are_registered_and_followed(
    cluster: list[Any], connect: Callable[[str], Any]
) -> None:
    url = "redis+cluster://" + ",".join(node.address for node in cluster[:2])
    registry = from_url(f"{url}?ttl=30s")
    for one in SERVICES:
        await (await registry.register(one)).renew()
    for name in {one.name for one in SERVICES}:
        found = await get_service(registry, name)
        assert same_instances(found, [one for one in SERVICES if one.name == name])

    feed = instance_feed(registry, "orders", backoff=QUICK)
    states: list[Sequence[ServiceInstance]] = []
    feed.subscribe(states.append)
    await holds(lambda: bool(states) and len(states[-1]) == 3)
    other = from_url(url)
    registration = await other.register(ServiceInstance(id="new", name="orders"))
    await holds(lambda: len(states[-1]) == 4)
    await registration.withdraw()
    await holds(lambda: len(states[-1]) == 3)
    await feed.aclose()

    used = 0
    for node in cluster:
        used += await connect(node.url).dbsize() > 0
    assert used > 1
    await other.aclose()
    await registry.aclose()


async def test_store_reads_and_writes_many_keys_of_all_nodes(cluster: list[Any]) -> None:
    store = store_from_url(f"redis+cluster://{cluster[0].address}?timeout=10s")
    values = {f"key-{number}": b"%d" % number for number in range(100)}
    await set_many(store, {key: Entry(value, 60) for key, value in values.items()})
    assert await get_many(store, [*values, "absent"]) == values
    await store.aclose()


async def test_source_and_store_are_on_a_cluster_too(cluster: list[Any]) -> None:
    url = f"redis+cluster://{cluster[0].address}"
    for path in ("config/orders", "config/users", "%7Ba%7D/b"):
        source = RedisSource.from_url(f"{url}?path={path}")
        watcher = await source.watch()
        state = await watcher.read()
        await source.put("a.json", b"1")
        await watcher.changed(state.token)
        assert [entry.key for entry in (await watcher.read()).value] == ["a.json"]
        await watcher.aclose()
    store = store_from_url(f"{url}?timeout=5s")
    for number in range(20):
        await store.set(f"key-{number}", b"x", ttl=60)
        assert await store.delete(f"key-{number}", expected=b"x")
    await store.aclose()


@pytest.fixture
async def sentinel(
    serve: Serve, tmp_path: Path, connect: Callable[[str], Any], until: Until
) -> tuple[Any, Any, Any]:
    """A primary, its replica, and a sentinel that watches over them."""
    primary = serve("--repl-diskless-sync-delay", "0", "--requirepass", "pw", "--masterauth", "pw")
    replica = serve(
        "--replicaof", f"127.0.0.1 {primary.port}", "--requirepass", "pw", "--masterauth", "pw"
    )
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1\n"
        "sentinel auth-pass mymaster pw\n"
        "sentinel down-after-milliseconds mymaster 1000\n"
        "sentinel failover-timeout mymaster 5000\n"
    )
    guard = serve(file=str(file))
    await until(lambda: connect(guard.url).sentinel_slaves("mymaster"))
    return primary, replica, guard


async def test_all_goes_on_at_the_replica_when_the_primary_has_died(
    sentinel: tuple[Any, Any, Any],
) -> None:
    primary, replica, guard = sentinel
    registry = from_url(f"redis+sentinel://:pw@{guard.address}/mymaster/0?ttl=3s&timeout=1s")
    one = ServiceInstance(id="1", name="orders")
    keeper = Keeper(registry, one, timeout=2.0, backoff=QUICK)
    await keeper.start(require=True)
    feed = instance_feed(registry, "orders", backoff=QUICK)
    states: list[Sequence[ServiceInstance]] = []
    feed.subscribe(states.append)
    await holds(lambda: bool(states) and len(states[-1]) == 1)
    primary.stop()
    await holds(lambda: keeper.status.state is not RegistrationState.HELD)
    await holds(lambda: keeper.status.state is RegistrationState.HELD)

    alone = from_url(f"redis://:pw@{replica.address}")
    assert list(await get_service(alone, "orders")) == [one]
    await (await alone.register(ServiceInstance(id="2", name="orders"))).renew()
    await holds(lambda: len(states[-1]) == 2)
    await alone.aclose()
    await feed.aclose()
    await keeper.aclose()
    await registry.aclose()


class Certificates:
    """An authority, and the files of a server and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renew()

    def renew(self) -> None:
        """Make all files anew, by another authority."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        for name, host in (("server", "127.0.0.1"), ("client", "app")):
            made = authority.issue_cert(host)
            made.private_key_pem.write_to_path(self.folder / f"{name}-key.pem")
            chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
            (self.folder / f"{name}.pem").write_bytes(chain)

    def options(self, port: int, *, clients: bool) -> list[str]:
        files = {
            "--tls-ca-cert-file": "ca.pem",
            "--tls-cert-file": "server.pem",
            "--tls-key-file": "server-key.pem",
        }
        words = [word for name, file in files.items() for word in (name, str(self.folder / file))]
        asked = "yes" if clients else "no"
        return ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", asked, *words]

    def query(self, *names: str) -> str:
        files = {"ca": "ca.pem", "certificate": "client.pem", "key": "client-key.pem"}
        return "&".join(f"{name}={self.folder / files[name]}" for name in names)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    (tmp_path / "tls").mkdir()
    return Certificates(tmp_path / "tls")


ONE = ServiceInstance(id="1", name="orders")


async def test_registry_source_and_store_speak_tls(
    serve: Serve, certificates: Certificates
) -> None:
    server = serve(tls=partial(certificates.options, clients=True))
    query = certificates.query("ca", "certificate", "key")
    registry = from_url(f"rediss://{server.address}?{query}")
    await registry.register(ONE)
    assert list(await get_service(registry, "orders")) == [ONE]
    await registry.aclose()

    source = source_from_url(f"rediss://{server.address}?{query}&path=config")
    assert list(await read(source)) == []
    store = store_from_url(f"rediss://{server.address}?{query}&timeout=5s")
    await store.set("a", b"1", ttl=60)
    await store.aclose()

    without = from_url(f"rediss://{server.address}?{certificates.query('ca')}")
    with pytest.raises(RegistryUnavailable, match="did not register orders-1"):
        await without.register(ONE)
    await without.aclose()


async def test_certificate_that_is_not_trusted_is_told(
    serve: Serve, certificates: Certificates, tmp_path: Path
) -> None:
    server = serve(tls=partial(certificates.options, clients=False))
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    registry = from_url(f"rediss://{server.address}?ca={tmp_path / 'other.pem'}")
    with pytest.raises(RegistryUnavailable, match="its certificate is not trusted: check ca="):
        await registry.register(ONE)
    await registry.aclose()


async def test_tls_where_there_is_none_is_told(own_server: Any) -> None:
    registry = from_url(f"rediss://{own_server.address}?timeout=1s")
    with pytest.raises(RegistryUnavailable, match="within 1 s; does it speak TLS there"):
        await registry.register(ONE)
    await registry.aclose()


async def test_new_connections_take_up_files_that_have_changed(
    serve: Serve, certificates: Certificates
) -> None:
    server = serve(tls=partial(certificates.options, clients=True))
    query = certificates.query("ca", "certificate", "key")
    registry = from_url(f"rediss://{server.address}?{query}&ttl=60s")
    await registry.register(ONE)

    certificates.renew()  # what was read before is worth nothing now
    server.stop()
    server.start()

    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await registry.register(ONE)
                break
            except RegistryUnavailable:
                await asyncio.sleep(0.05)
    await registry.aclose()
