"""The standard library: a semaphore, and a counter that keeps every key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import cycle, islice

from benchmarks.aegis.case import Kept, Timed
from benchmarks.aegis.zipf import ZIPF


def loops() -> Iterable[Timed]:
    semaphore = asyncio.Semaphore(100)

    async def entered(n: int) -> None:
        for _ in range(n):
            async with semaphore:
                pass

    yield Timed("concurrency-async", "asyncio.Semaphore", entered)
    counter, endless = Counter[str](), cycle(ZIPF)

    def count(n: int) -> None:
        for key in islice(endless, n):
            counter[key] += 1

    yield Timed("topk", "Counter, all keys", count)


def keepers() -> Iterable[Kept]:
    return ()
