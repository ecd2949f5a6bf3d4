"""throttled-py: five algorithms for keys, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.aegis.case import Kept, Timed, keyed, load

throttled = load("throttled")

_CASES = {
    "gcra": "gcra",
    "token-bucket": "token_bucket",
    "fixed-window": "fixed_window",
    "sliding-window": "sliding_window",
}


def limiter(using: str, *, room: int = 1024) -> Any:
    return throttled.Throttled(
        using=using,
        quota=throttled.per_sec(10**6, burst=10**6),
        store=throttled.MemoryStore(options={"MAX_SIZE": room}),
    )


def loops() -> Iterable[Timed]:
    for case, using in _CASES.items():
        yield Timed(case, "throttled-py", keyed(limiter(using).limit))


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        kept = limiter("gcra", room=10**6)
        for key in keys:
            kept.limit(key)
        return kept

    yield Kept("memory-limiter", "throttled-py GCRA", fill)
