"""The store on a real Redis."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from aegis import Backoff
from kratos.errors import ConfigError, Error, StoreFull, StoreUnavailable
from kratos.middleware import chain, idempotency
from kratos.store import Store, from_url
from kratos.testing.echo import ECHO, text
from kratos.testing.store_contract import StoreBackend, StoreContract
from kratos.transport import Call, Header, Side
from kratos_redis import RedisStore

pytestmark = pytest.mark.service("redis")

SOON = Backoff(base=0.02, cap=0.1)
CALM = 10.0  # seconds that a busy machine does not reach


class TestRedis(StoreContract):
    @pytest.fixture
    def backend(self, client: Any, url: str, prefix: str) -> StoreBackend:
        async def lapse(seconds: float) -> None:
            """Move every end of a key forward, as time would."""
            async for name in client.scan_iter(match=f"{prefix}*"):
                left = await client.pttl(name)
                await client.pexpire(name, max(0, left - round(seconds * 1000)))

        store = RedisStore(client, prefix=prefix, timeout=CALM)
        made = f"{url}?prefix={prefix}&timeout={CALM}s"
        return StoreBackend(store=store, make=lambda: from_url(made), lapse=lapse)


class TestRedisByUrl(StoreContract):
    @pytest.fixture
    async def backend(self, url: str, prefix: str) -> AsyncIterator[StoreBackend]:
        def make() -> Store:
            return from_url(f"{url}?prefix={prefix}&timeout={CALM}s")

        store = make()
        yield StoreBackend(store=store, make=make)
        await store.aclose()


async def test_entry_is_one_string_with_its_end(client: Any, prefix: str) -> None:
    await RedisStore(client, prefix=prefix, timeout=CALM).set("key", b"value", ttl=0.0001)
    await RedisStore(client, prefix=prefix, timeout=CALM).set("other", b"value", ttl=100)
    assert await client.get(f"{prefix}other") == b"value"
    assert 0 < await client.pttl(f"{prefix}other") <= 100_000


async def test_scripts_come_back_after_a_restart(own_server: Any, own_client: Any) -> None:
    store = RedisStore(own_client, timeout=CALM, backoff=SOON)
    await store.set("key", b"a", ttl=60)
    assert await store.replace("key", b"b", expected=b"a", ttl=60)
    own_server.stop()
    own_server.start()
    async with asyncio.timeout(15):
        while True:
            try:
                await store.set("key", b"a", ttl=60)
                break
            except StoreUnavailable:
                await asyncio.sleep(0)
    assert await store.replace("key", b"b", expected=b"a", ttl=60)
    assert await store.delete("key", expected=b"b")


@pytest.mark.slow
async def test_dead_redis_is_told_at_once_and_asked_again_later(
    own_server: Any, own_client: Any
) -> None:
    store = RedisStore(own_client, timeout=5.0, backoff=SOON)
    await store.set("key", b"value", ttl=60)
    own_server.stop()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"^Redis (fails|is not asked for a while)"):
            await store.get("key")
    own_server.start()
    async with asyncio.timeout(15):
        while True:
            try:
                assert await store.get("key") is None
                break
            except StoreUnavailable:
                await asyncio.sleep(0)


@pytest.mark.slow
async def test_frozen_redis_costs_one_timeout_and_answers_do_not_get_mixed_up(
    own_server: Any, own_client: Any
) -> None:
    hasty = RedisStore(own_client, timeout=0.05, backoff=Backoff(base=60.0, cap=60.0))
    calm = RedisStore(own_client, timeout=CALM)
    await calm.set("a", b"1", ttl=60)
    await calm.set("b", b"2", ttl=60)
    own_server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match=r"fails: no answer within 0\.05 s"):
            await hasty.get("a")
        with pytest.raises(StoreUnavailable, match="not asked for a while, as it failed: no an"):
            await hasty.get("a")
    finally:
        own_server.signal(signal.SIGCONT)
    assert await calm.get("b") == b"2"


async def test_redis_without_memory_says_that_it_is_full(own_client: Any) -> None:
    store = RedisStore(own_client, timeout=CALM)
    await own_client.config_set("maxmemory", 1)
    await own_client.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(StoreFull, match="no memory left"):
        await store.set("key", b"value", ttl=60)
    assert await store.get("key") is None


async def test_key_of_another_kind_is_an_error_of_that_key_alone(client: Any, prefix: str) -> None:
    await client.lpush(f"{prefix}list", "x")
    store = RedisStore(client, prefix=prefix, timeout=CALM)
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await store.get("list")
    assert await store.get("key") is None


async def test_client_that_decodes_is_refused(url: str, prefix: str) -> None:
    redis: Any = Redis
    async with redis.from_url(url, decode_responses=True) as client:
        store = RedisStore(client, prefix=prefix, timeout=CALM)
        await store.set("key", b"value", ttl=60)
        with pytest.raises(ConfigError, match="decode_responses"):
            await store.get("key")


async def test_client_of_the_caller_stays_open(client: Any, prefix: str) -> None:
    store = RedisStore(client, prefix=prefix, timeout=CALM)
    await store.aclose()
    await store.set("key", b"value", ttl=60)


async def test_call_runs_once_over_several_processes(url: str, prefix: str) -> None:
    ran = 0

    async def work(_call: Call, _request: Any) -> Any:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        return text("done")

    stores = [from_url(f"{url}?prefix={prefix}&timeout={CALM}s") for _ in range(4)]
    handlers = [chain([idempotency(store)], ECHO, work) for store in stores]

    def call() -> Call:
        headers = Header.of([("idempotency-key", "k")])
        return Call(ECHO, side=Side.SERVER, transport="test", headers=headers)

    ends = await asyncio.gather(
        *(handlers[number % 4](call(), text("pay")) for number in range(40)),
        return_exceptions=True,
    )
    assert ran == 1
    reasons = {end.reason for end in ends if isinstance(end, Error)}
    assert reasons <= {"IDEMPOTENCY_KEY_IN_USE"}
    assert await handlers[1](call(), text("pay")) == text("done")
    for store in stores:
        await store.aclose()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("redis://a,b", "one host"),
        ("redis://", "write redis://host:port"),
        ("redis://a/first", "number of a database"),
        ("redis://a?timeout=soon", "must be a duration"),
        ("redis://a?timeout=0", "timeout is a number above 0 and finite, not 0.0"),
        ("redis://user:pa55@a?ttl=1", r"\*\*\*@a.*unknown option 'ttl'"),
    ],
)
def test_wrong_url_is_refused(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_url(address)
    assert "pa55" not in str(refusal.value)


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
def test_time_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout is a number above 0 and finite"):
        RedisStore(Redis(), timeout=timeout)
