"""rush: GCRA for keys, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.aegis.case import Kept, Timed, keyed, load

quotas = load("rush.quota")
throttles = load("rush.throttle")
gcra = load("rush.limiters.gcra")
stores = load("rush.stores.dictionary")


def throttle() -> Any:
    return throttles.Throttle(
        limiter=gcra.GenericCellRatelimiter(store=stores.DictionaryStore()),
        rate=quotas.Quota.per_second(count=10**5, maximum_burst=10**6),
    )


def loops() -> Iterable[Timed]:
    check = throttle().check
    yield Timed("gcra", "rush", keyed(lambda key: check(key, 1)))


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        kept = throttle()
        for key in keys:
            kept.check(key, 1)
        return kept

    yield Kept("memory-limiter", "rush GCRA", fill)
