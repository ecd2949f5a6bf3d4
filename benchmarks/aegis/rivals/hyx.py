"""hyx: breaker, bulkhead, token bucket and retry for coroutines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.aegis.case import Kept, Loop, Timed, awaited, empty_later, load

breakers = load("hyx.circuitbreaker")
bulkheads = load("hyx.bulkhead")
rates = load("hyx.ratelimit")
retries = load("hyx.retry")


def entered(manager: Any) -> Loop:
    async def loop(n: int) -> None:
        for _ in range(n):
            async with manager:
                pass

    return loop


def loops() -> Iterable[Timed]:
    yield Timed("breaker-async-with", "hyx", entered(breakers.consecutive_breaker()))
    yield Timed("concurrency-async", "hyx bulkhead", entered(bulkheads.bulkhead(100, 100)))
    yield Timed("token-bucket-async", "hyx", entered(rates.tokenbucket(1e9, 1.0, 1e9)))
    yield Timed("retry-async", "hyx", awaited(retries.retry()(empty_later)))


def keepers() -> Iterable[Kept]:
    return ()
