"""Redis stops, freezes and comes back while it is asked."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from aegis import Backoff
from kratos_redis import RedisGcra

pytestmark = [pytest.mark.service("redis"), pytest.mark.slow]

SOON = Backoff(base=0.02, cap=0.1)


async def answered(limiter: RedisGcra) -> None:
    """Call until Redis decides again."""
    before = limiter.stats().answered
    async with asyncio.timeout(15):
        while limiter.stats().answered == before:
            await limiter.allow("other")
            await asyncio.sleep(0)


async def test_calls_go_on_locally_while_redis_is_dead_and_with_it_afterwards(
    own_server: Any, own_client: Any
) -> None:
    turns: list[BaseException | None] = []
    limiter = RedisGcra(
        own_client,
        rate=0.001,
        burst=4,
        replicas=2,
        timeout=2.0,
        backoff=SOON,
        on_turn=turns.append,
    )
    assert [await limiter.allow("key") for _ in range(5)] == [True] * 4 + [False]
    assert [await limiter.allow("second") for _ in range(4)] == [True] * 4

    own_server.stop()
    assert [await limiter.allow("second") for _ in range(4)] == [True] * 2 + [False] * 2
    stats = limiter.stats()
    assert stats.is_away
    assert stats.unanswered == 4

    own_server.start()
    await answered(limiter)
    assert not limiter.stats().is_away
    assert [turn is None for turn in turns] == [False, True]
    # It came back empty, and without the script.
    assert [await limiter.allow("second") for _ in range(5)] == [True] * 4 + [False]


async def test_frozen_redis_costs_one_timeout_and_answers_do_not_get_mixed_up(
    own_server: Any, own_client: Any
) -> None:
    limiter = RedisGcra(own_client, rate=0.001, burst=100, timeout=2.0, backoff=SOON)
    hasty = RedisGcra(own_client, rate=0.001, burst=7, timeout=0.02, on_error="allow", prefix="h:")
    await limiter.take("key", 40)
    await hasty.take("key")

    own_server.signal(signal.SIGSTOP)
    try:
        assert await hasty.allow("key")
    finally:
        own_server.signal(signal.SIGCONT)

    assert hasty.stats().failures == 1
    # The late answer to that call is not taken for the answer to this one.
    assert (await limiter.take("key", 10)).remaining == 50
