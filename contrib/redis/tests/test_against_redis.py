"""What the limiters do on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from redis.asyncio import Redis

from kratos_redis import RedisGcra, RedisSlidingWindow
from kratos_redis.limiter import Limiter

pytestmark = pytest.mark.service("redis")

Make = Callable[..., Limiter]

# A timeout that a busy machine does not reach: these tests are about answers.
CALM: dict[str, Any] = {"timeout": 10.0, "on_error": "raise"}


@pytest.fixture(params=["gcra", "sliding window"])
def make(request: pytest.FixtureRequest, client: Any, prefix: str) -> Make:
    """Make a limiter of 5 permits, which come back slowly."""

    def gcra(**options: Any) -> Limiter:
        defaults: dict[str, Any] = {"rate": 0.01, "burst": 5, "prefix": prefix}
        return RedisGcra(client, **(defaults | CALM | options))

    def sliding_window(**options: Any) -> Limiter:
        defaults: dict[str, Any] = {"limit": 5, "window": 1000.0, "prefix": prefix}
        return RedisSlidingWindow(client, **(defaults | CALM | options))

    return gcra if request.param == "gcra" else sliding_window


async def test_limit_is_to_be_had_at_once_and_no_more(make: Make) -> None:
    limiter = make()

    assert [await limiter.allow("key") for _ in range(7)] == [True] * 5 + [False] * 2


async def test_keys_do_not_share_their_limit(make: Make) -> None:
    limiter = make()

    assert await limiter.allow("a", 5)
    assert await limiter.allow("b", 5)


@pytest.mark.parametrize("key", ["", "{a}", "}{", "new\r\nline", "\0", "\ud800", "\u00fc"])
async def test_any_text_is_a_key(make: Make, key: str) -> None:
    limiter = make()

    assert await limiter.allow(key, 5)
    assert not await limiter.allow(key)


async def test_processes_share_the_limit(make: Make) -> None:
    first, second = make(), make()

    assert await first.allow("key", 3)
    assert not await second.allow("key", 3)
    assert await second.allow("key", 2)


async def test_more_calls_at_a_time_than_the_client_has_connections_are_answered(
    url: str, prefix: str
) -> None:
    redis: Any = Redis
    async with redis.from_url(url, max_connections=2) as client:
        first = RedisGcra(client, rate=0.01, burst=5, prefix=f"{prefix}1:", **CALM)
        second = RedisSlidingWindow(client, limit=5, window=1000.0, prefix=f"{prefix}2:", **CALM)
        calls = [limiter.allow("key") for _ in range(20) for limiter in (first, second)]

        allowed = await asyncio.gather(*calls)

    assert (sum(allowed[::2]), sum(allowed[1::2])) == (5, 5)
    assert (first.stats().answered, first.stats().failures) == (20, 0)


async def test_concurrent_calls_get_no_more_than_the_limit(make: Make) -> None:
    limiter = make()

    allowed = await asyncio.gather(*(limiter.allow("key") for _ in range(50)))

    assert sum(allowed) == 5


async def test_decision_tells_what_is_left_and_how_long_to_wait(make: Make) -> None:
    limiter = make()

    first = await limiter.take("key", 3)
    second = await limiter.take("key", 3)

    assert (first.allowed, first.limit, first.remaining, first.retry_after) == (True, 5, 2, 0)
    assert first.reset_after > 0
    assert (second.allowed, second.remaining) == (False, 2)
    assert 0 < second.retry_after <= 2000


async def test_refusal_charges_nothing(make: Make) -> None:
    limiter = make()
    await limiter.take("key", 3)
    for _ in range(5):
        await limiter.take("key", 4)

    assert await limiter.allow("key", 2)


async def test_more_than_the_limit_is_never_allowed(make: Make) -> None:
    limiter = make()

    decision = await limiter.take("key", 6)

    assert (decision.allowed, decision.remaining, decision.retry_after) == (False, 5, inf)
    assert await limiter.allow("key", 5)


async def test_key_lives_as_long_as_it_means_something(
    make: Make, client: Any, prefix: str
) -> None:
    limiter = make()
    decision = await limiter.take("key")

    [key] = await client.keys(f"{prefix}*")
    left = await client.pttl(key) / 1000

    assert key == f"{prefix}key".encode()
    assert left == pytest.approx(decision.reset_after, abs=5)


async def test_server_that_has_forgotten_the_script_gets_it_again(make: Make, client: Any) -> None:
    limiter = make()
    await client.script_flush()
    await limiter.take("key")
    assert (await client.info("commandstats")).get("cmdstat_eval", {}).get("calls", 0) > 0
    await client.config_resetstat()

    await limiter.take("key")

    stats = await client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_eval" not in stats


async def test_refusal_is_remembered_instead_of_asked_for_again(make: Make) -> None:
    limiter = make()
    await limiter.take("key", 5)
    first = await limiter.take("key")

    second = await limiter.take("key")

    assert 0 < first.retry_after - second.retry_after < 5
    assert (limiter.stats().answered, limiter.stats().remembered) == (2, 1)


async def test_key_that_holds_something_else_is_an_error_of_that_key_alone(
    make: Make, client: Any, prefix: str
) -> None:
    limiter = make(on_error="deny")
    await client.lpush(f"{prefix}wrong", "list")

    assert not await limiter.allow("wrong")
    assert await limiter.allow("right")
    assert not limiter.stats().is_away
    assert limiter.stats().failures == 1


async def test_clock_of_the_server_that_goes_back_neither_blocks_nor_gives(
    client: Any, prefix: str
) -> None:
    # Slow ones, whose keys are still there when they are read.
    gcra = RedisGcra(client, rate=0.1, burst=5, prefix=f"{prefix}g:", **CALM)
    window = RedisSlidingWindow(client, limit=5, window=50, prefix=f"{prefix}w:", **CALM)
    debt = 50 * 10**6  # microseconds for five permits
    # As they were written an hour later.
    seconds, _ = await client.time()
    await client.set(f"{prefix}g:key", f"{(seconds + 3600) * 10**6} {debt}")
    await client.set(f"{prefix}w:key", f"{(seconds + 3600) // 50} 0 5")

    for limiter in (gcra, window):
        refused = await limiter.take("key", 5)
        assert not refused.allowed
        assert 0 < refused.retry_after <= 100

    # What was charged stands, and counts from now on.
    stamp, owed = (await client.get(f"{prefix}g:key")).split()
    assert int(stamp) < (seconds + 60) * 10**6
    assert int(owed) == debt
    index, previous, current = (await client.get(f"{prefix}w:key")).split()
    assert int(index) < (seconds + 60) // 50 + 1
    assert (int(previous), int(current)) == (0, 5)


async def test_rate_is_kept_over_time(client: Any, prefix: str) -> None:
    limiter = RedisGcra(client, rate=3000, burst=10, prefix=prefix, **CALM)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    admitted = 0
    while loop.time() < begin + 0.5:
        admitted += await limiter.allow("key")
    passed = loop.time() - begin

    assert admitted <= 10 + 3000 * passed


async def test_permits_of_large_numbers_are_counted_exactly(client: Any, prefix: str) -> None:
    most = (1 << 32) - 1
    gcra = RedisGcra(client, rate=1e9, burst=most, prefix=f"{prefix}g:", **CALM)
    window = RedisSlidingWindow(client, limit=most, window=86400.0, prefix=f"{prefix}w:", **CALM)

    assert (await gcra.take("key", most)).remaining < 10**9
    decision = await window.take("key", most - 1)
    assert decision.remaining == 1
    assert await window.allow("key")
    assert not await window.allow("key")
