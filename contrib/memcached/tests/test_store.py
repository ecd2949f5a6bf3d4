"""The store on a real memcached."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aegis import Backoff
from kratos.errors import StoreFull, StoreUnavailable
from kratos.store import Entry, Store, from_url, get_many, set_many
from kratos.testing.store_contract import StoreBackend, StoreContract
from kratos_memcached import MemcachedStore

pytestmark = pytest.mark.service("memcached")

SOON = Backoff(base=0.02, cap=0.1)
CALM = 10.0  # seconds that a busy machine does not reach

Serve = Callable[..., Any]


class TestMemcached(StoreContract):
    @pytest.fixture
    async def backend(self, url: str, prefix: str) -> AsyncIterator[StoreBackend]:
        def make() -> Store:
            return from_url(f"{url}?prefix={prefix}&timeout={CALM}s")

        store = make()
        yield StoreBackend(store=store, make=make)
        await store.aclose()


class TestThreeServers(StoreContract):
    @pytest.fixture
    async def backend(self, serve: Serve) -> AsyncIterator[StoreBackend]:
        addresses = [serve().address for _ in range(3)]

        def make() -> Store:
            return MemcachedStore(*addresses, timeout=CALM)

        store = make()
        yield StoreBackend(store=store, make=make)
        await store.aclose()


async def gone(store: Store, key: str) -> None:
    """Return when a key has no value any more."""
    async with asyncio.timeout(CALM):
        while await store.get(key) is not None:  # noqa: ASYNC110  a server has no events
            await asyncio.sleep(0.05)


async def answering(store: Store) -> None:
    """Return when the store answers."""
    async with asyncio.timeout(CALM):
        while True:
            try:
                await store.get("any")
                return
            except StoreUnavailable:
                await asyncio.sleep(0)


async def test_entry_ends_by_itself_and_not_early(url: str, prefix: str) -> None:
    store = MemcachedStore(url.removeprefix("memcached://"), prefix=prefix, timeout=CALM)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await store.set("key", b"value", ttl=1.0)
    await gone(store, "key")
    assert loop.time() - began >= 1.0
    assert await store.set_if_absent("key", b"other", ttl=60)
    await store.aclose()


async def test_time_of_more_than_a_month_is_no_date_of_long_ago(url: str, prefix: str) -> None:
    store = from_url(f"{url}?prefix={prefix}&timeout={CALM}s")
    await store.set("key", b"value", ttl=90 * 24 * 3600)
    assert await store.get("key") == b"value"
    await store.aclose()


async def test_keys_of_many_servers_are_shared_out(serve: Serve) -> None:
    servers = [serve() for _ in range(3)]
    all_of_them = MemcachedStore(*(one.address for one in servers), timeout=CALM)
    values = {f"key-{number}": b"%d" % number for number in range(1000)}
    await set_many(all_of_them, {key: Entry(value, 60) for key, value in values.items()})
    assert await get_many(all_of_them, [*values, "absent"]) == values
    shares: list[int] = []
    for one in servers:
        alone = MemcachedStore(one.address, timeout=CALM)
        shares.append(len(await get_many(alone, list(values))))
        await alone.aclose()
    assert sum(shares) == 1000
    assert min(shares) > 150
    await all_of_them.aclose()


@pytest.mark.slow
async def test_dead_server_is_told_at_once_and_asked_again_later(serve: Serve) -> None:
    server = serve()
    store = MemcachedStore(server.address, timeout=CALM, backoff=SOON)
    await store.set("key", b"value", ttl=60)
    server.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"^memcached .* (fails|is not asked for a)"):
            await store.get("key")
    server.start()
    await answering(store)
    assert await store.get("key") is None
    await store.aclose()


async def test_restart_that_nobody_noticed_costs_no_call(serve: Serve) -> None:
    server = serve()
    store = MemcachedStore(server.address, timeout=CALM)
    await store.set("key", b"value", ttl=60)
    server.kill()
    server.start()
    assert await store.get("key") is None
    await store.aclose()


@pytest.mark.slow
async def test_frozen_server_costs_one_timeout_and_answers_do_not_get_mixed_up(
    serve: Serve,
) -> None:
    server = serve()
    hasty = MemcachedStore(server.address, timeout=0.05, backoff=Backoff(base=60.0, cap=60.0))
    calm = MemcachedStore(server.address, timeout=CALM)
    await calm.set("a", b"1", ttl=60)
    await calm.set("b", b"2", ttl=60)
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match=r"fails: no answer within 0\.05 s"):
            await hasty.get("a")
        with pytest.raises(StoreUnavailable, match="not asked for a while, as it failed: no an"):
            await hasty.get("a")
        left = asyncio.ensure_future(calm.get("a"))
        await asyncio.sleep(0.01)
        left.cancel()
    finally:
        server.signal(signal.SIGCONT)
    assert await calm.get("b") == b"2"
    await hasty.aclose()
    await calm.aclose()


async def test_one_dead_server_of_several_leaves_the_keys_of_the_others(serve: Serve) -> None:
    servers = [serve() for _ in range(3)]
    store = MemcachedStore(*(one.address for one in servers), timeout=CALM)
    servers[0].kill()
    ends = await asyncio.gather(
        *(store.set(str(number), b"", ttl=60) for number in range(100)), return_exceptions=True
    )
    told = [str(end) for end in ends if isinstance(end, StoreUnavailable)]
    assert ends.count(None) == 100 - len(told)
    assert 0 < len(told) < 80
    assert all(servers[0].address in each for each in told)
    await store.aclose()


async def test_value_that_is_too_large_says_so_and_others_go_on(url: str, prefix: str) -> None:
    store = from_url(f"{url}?prefix={prefix}&timeout={CALM}s")
    with pytest.raises(StoreFull, match="too large"):
        await store.set("key", bytes(3 * 1024 * 1024), ttl=60)
    await store.set("key", b"small", ttl=60)
    assert await store.get("key") == b"small"
    await store.aclose()


async def test_password_is_told_and_a_wrong_one_is_refused(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("app:secret\n")
    server = serve("-Y", str(tmp_path / "users"))
    store = from_url(f"memcached://app:secret@{server.address}?timeout=10s")
    await store.set("key", b"value", ttl=60)
    assert await store.get("key") == b"value"
    wrong = from_url(f"memcached://app:pa55@{server.address}?timeout=10s")
    with pytest.raises(StoreUnavailable, match="password are not taken") as refusal:
        await wrong.get("key")
    assert "pa55" not in str(refusal.value)
    await store.aclose()
    await wrong.aclose()


async def test_many_calls_at_once_share_one_connection(serve: Serve) -> None:
    server = serve()
    store = MemcachedStore(server.address, timeout=CALM)
    await asyncio.gather(*(store.set(str(n), b"%d" % n, ttl=60) for n in range(500)))
    found = await asyncio.gather(*(store.get(str(n)) for n in range(500)))
    assert found == [b"%d" % n for n in range(500)]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"stats\r\n")
    stats = (await reader.readuntil(b"END\r\n")).decode()
    opened = int(stats.partition("total_connections ")[2].split()[0])
    # That of the fixture, that of the store, this one, and those that memcached counts for itself.
    assert opened < 10
    writer.close()
    await store.aclose()
