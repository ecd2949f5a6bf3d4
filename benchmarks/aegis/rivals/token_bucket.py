"""token-bucket: token buckets for keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.aegis.case import Kept, Timed, keyed, load

token_bucket = load("token_bucket")


def limiter() -> Any:
    return token_bucket.Limiter(10**9, 10**9, token_bucket.MemoryStorage())


def loops() -> Iterable[Timed]:
    yield Timed("gcra", "token-bucket", keyed(limiter().consume))


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        kept = limiter()
        for key in keys:
            kept.consume(key)
        return kept

    yield Kept("memory-limiter", "token-bucket", fill)
