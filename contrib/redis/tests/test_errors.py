"""What is told when Redis does not do what it is asked for; each on a real one that does so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from kratos.config import from_url as source_from_url
from kratos.config.config import read
from kratos.errors import ConfigError, RegistryUnavailable, StoreUnavailable
from kratos.registry import ServiceInstance, from_url, get_service
from kratos.store import from_url as store_from_url

pytestmark = pytest.mark.service("redis")

ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PATIENCE = 15.0  # seconds

Serve = Callable[..., Any]
Connect = Callable[[str], Any]
Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


async def refusal(url: str, *, reading: bool = False) -> str:
    """Return what is told to whoever registers there, or reads."""
    registry = from_url(url)
    try:
        asking = get_service(registry, "orders") if reading else registry.register(ONE)
        with pytest.raises(RegistryUnavailable) as told:
            await asking
    finally:
        await registry.aclose()
    return str(told.value)


async def is_refused(client: Any) -> bool:
    try:
        await client.get("key")
    except RedisError:
        return True
    return False


async def test_server_that_is_not_there(own_server: Any) -> None:
    own_server.stop()
    told = await refusal(own_server.url)
    assert told.startswith(f"{own_server.url} did not register orders-1: ConnectionError")
    assert "refused" in told or "111" in told


async def test_password_that_is_missing_or_wrong(serve: Serve) -> None:
    at = serve("--requirepass", "s3cret").address
    assert "it wants a password: write redis://:password@host" in await refusal(f"redis://{at}")
    told = await refusal(f"redis://:wr0ng@{at}")
    assert "it does not take this user or password" in told
    assert "wr0ng" not in told
    told = await refusal(f"redis://somebody:wr0ng@{at}")
    assert "it does not take this user or password" in told

    registry = from_url(f"redis://:s3cret@{at}")
    await (await registry.register(ONE)).withdraw()
    await registry.aclose()


async def test_password_where_there_is_none(own_server: Any) -> None:
    told = await refusal(f"redis://:s3cret@{own_server.address}")
    assert "it has no password, and was given one: leave it out" in told


async def test_user_who_may_not(own_server: Any, own_client: Any) -> None:
    await own_client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+ping")
    told = await refusal(f"redis://reader:pw@{own_server.address}")
    assert "this user may not; see the ACL of the user" in told


async def test_user_of_the_readme_may(own_server: Any, own_client: Any) -> None:
    found = re.search(r"needs `~<namespace>/\*`, and `([^`]*)`", README)
    assert found is not None
    await own_client.execute_command(
        "ACL", "SETUSER", "app", "on", ">pw", "~microservices/*", *found[1].split()
    )
    registry = from_url(f"redis://app:pw@{own_server.address}")
    registration = await registry.register(ONE)
    await registration.renew()
    watcher = await registry.watch("orders")
    state = await watcher.read()
    assert list(state.value) == [ONE]
    await registration.withdraw()
    await watcher.changed(state.token)
    await watcher.aclose()
    await registry.aclose()


@pytest.mark.slow
async def test_replica_can_be_read_and_not_written(
    serve: Serve, connect: Connect, until: Until
) -> None:
    primary = serve("--repl-diskless-sync-delay", "0")
    replica = serve("--replicaof", f"127.0.0.1 {primary.port}")
    registry = from_url(primary.url)
    registration = await registry.register(ONE)
    await until(lambda: connect(primary.url).wait(1, 100))

    assert "it is a replica, which cannot be written" in await refusal(replica.url)
    reader = from_url(replica.url)
    await until(lambda: get_service(reader, "orders"))
    watcher = await reader.watch("orders")
    state = await watcher.read()
    await registration.withdraw()
    async with asyncio.timeout(PATIENCE):
        await watcher.changed(state.token)
    assert (await watcher.read()).value == ()
    await watcher.aclose()
    await registry.aclose()
    await reader.aclose()


@pytest.mark.slow
async def test_replica_that_has_lost_its_primary(
    serve: Serve, connect: Connect, until: Until
) -> None:
    primary = serve("--repl-diskless-sync-delay", "0")
    replica = serve("--replicaof", f"127.0.0.1 {primary.port}")
    client = connect(replica.url)
    await until(lambda: connect(primary.url).wait(1, 100))
    await client.config_set("replica-serve-stale-data", "no")
    primary.stop()
    await until(lambda: is_refused(client))

    assert "it is a replica that has lost its primary" in await refusal(replica.url, reading=True)


async def test_server_that_is_loading(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server.url)
    await client.mset({f"key-{number}": "x" for number in range(20_000)})
    await client.save()
    server.stop()
    server.options = ["--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024"]
    server.launch()
    told = ""
    async with asyncio.timeout(PATIENCE):
        while "still loading" not in told:
            told = await refusal(server.url, reading=True)


async def test_server_without_memory(own_server: Any, own_client: Any) -> None:
    await own_client.config_set("maxmemory", 1)
    assert "it has no memory left: raise maxmemory" in await refusal(own_server.url)
    registry = from_url(own_server.url)
    assert list(await get_service(registry, "orders")) == []
    await registry.aclose()


async def test_database_that_is_not_there(own_server: Any) -> None:
    told = await refusal(f"redis://{own_server.address}/99")
    assert "it has no database of that number" in told


async def test_key_of_another_kind(own_server: Any, own_client: Any) -> None:
    await own_client.set("microservices/{orders}", "something else")
    assert "the key is used for something else" in await refusal(own_server.url)
    assert "the key is used for something else" in await refusal(own_server.url, reading=True)


async def test_cluster_that_is_not_whole(serve: Serve, unused_tcp_port: int) -> None:
    node = serve("--cluster-enabled", "yes", "--cluster-port", str(unused_tcp_port))
    assert "the cluster does not serve all slots" in await refusal(node.url)


@pytest.mark.slow
async def test_node_of_a_cluster(cluster: list[Any]) -> None:
    told: list[str] = []
    for node in cluster:
        try:
            told.append(await refusal(node.url))
        except pytest.fail.Exception:  # the one that has the slot
            continue
    assert len(told) == 2
    assert all("it is a node of a cluster: write redis+cluster://" in each for each in told)


async def test_cluster_that_is_none(own_server: Any) -> None:
    told = await refusal(f"redis+cluster://{own_server.address}")
    assert "it is no cluster: write redis://" in told


async def test_what_is_no_redis() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await refusal(f"redis://127.0.0.1:{port}")
    assert "what answers there is no Redis" in told


async def test_server_that_says_nothing() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await refusal(f"redis://127.0.0.1:{port}?timeout=200ms")
    assert told.endswith("did not register orders-1: no answer within 0.2 s")


async def test_server_that_is_no_sentinel(serve: Serve) -> None:
    told = await refusal(f"redis+sentinel://{serve().address}/mymaster")
    assert "did not register orders-1: it is no sentinel: write redis://" in told


async def test_source_and_store_tell_alike(own_server: Any) -> None:
    own_server.stop()
    with pytest.raises(ConnectionError, match="did not read config/a: ConnectionError"):
        await read(source_from_url(f"{own_server.url}?path=config/a"))
    store = store_from_url(own_server.url)
    with pytest.raises(StoreUnavailable, match=f"^{re.escape(own_server.url)} fails: Connection"):
        await store.get("a")
    with pytest.raises(StoreUnavailable, match="is not asked for a while, as it failed: Connec"):
        await store.get("a")
    await store.aclose()


async def test_store_tells_a_wrong_password_from_silence(serve: Serve) -> None:
    at = serve("--requirepass", "s3cret").address
    store = store_from_url(f"redis://:hunter2@{at}")
    with pytest.raises(StoreUnavailable, match="does not take this user or password") as told:
        await store.get("a")
    assert "hunter2" not in str(told.value)
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://", "write redis://host:port"),
        ("redis://a,b", r"redis\+cluster:// or redis\+sentinel:// for more"),
        ("redis://a/first", "number of a database"),
        ("redis://a?ca=/x", "write rediss:// for TLS"),
        ("redis://a?ttl=0", "ttl=0.0 must be 0.1 to"),
        ("redis://a?timeout=0", "timeout is a number above 0 and finite, not 0.0"),
        ("redis://a?namespace=", "namespace='' must not be empty"),
        ("redis://a?namespace=a%7Bb", "nor hold a brace"),
        ("redis://a?path=x", "unknown option 'path'"),
        ("rediss://a?ca=/nowhere.pem", "/nowhere.pem"),
        ("redis+cluster://a/0", "a cluster has no path"),
        ("redis+sentinel://a", "the path names the primary"),
        ("redis+sentinel://a/m/x", "number of a database"),
    ],
)
def test_wrong_url_of_a_registry_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_url(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://a", "path is empty"),
        ("redis://a?path=a%7Bb", "begins no hash tag"),
        ("redis://a?path=x&look_every=0", "look_every=0.0 must be more than 0"),
        ("redis://a?path=x&ttl=1", "unknown option 'ttl'"),
    ],
)
def test_wrong_url_of_a_source_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source_from_url(url)


@pytest.mark.parametrize("name", ["", "a{b", "a}b"])
async def test_name_that_would_take_keys_apart_is_refused(own_server: Any, name: str) -> None:
    registry = from_url(own_server.url)
    with pytest.raises(ValueError, match="nor hold a brace"):
        await registry.watch(name)
    await registry.aclose()
