"""aiolimiter: a leaky bucket that coroutines wait for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.aegis.case import Kept, Timed, load

aiolimiter = load("aiolimiter")


def loops() -> Iterable[Timed]:
    limiter = aiolimiter.AsyncLimiter(1e9, 1.0)

    async def entered(n: int) -> None:
        for _ in range(n):
            async with limiter:
                pass

    yield Timed("token-bucket-async", "aiolimiter", entered)


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        return {key: aiolimiter.AsyncLimiter(100, 1.0) for key in keys}

    yield Kept("memory-limiter", "aiolimiter", fill)
