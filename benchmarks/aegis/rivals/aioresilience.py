"""aioresilience: breaker, adaptive limit of concurrency and load shedder for coroutines."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, awaited, empty_later, load

aioresilience = load("aioresilience")


def loops() -> Iterable[Timed]:
    breaker = aioresilience.CircuitBreaker("bench")
    yield Timed("breaker-async", "aioresilience", awaited(lambda: breaker.call(empty_later)))
    limit = aioresilience.AdaptiveConcurrencyLimiter("bench")

    async def entered(n: int) -> None:
        for _ in range(n):
            async with limit:
                pass

    yield Timed("concurrency-async", "aioresilience AIMD", entered)
    shedder = aioresilience.BasicLoadShedder()

    async def shed(n: int) -> None:
        for _ in range(n):
            if await shedder.acquire():
                await shedder.release()

    yield Timed("concurrency-async", "aioresilience shedder", shed)


def keepers() -> Iterable[Kept]:
    return ()
