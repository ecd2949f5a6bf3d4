"""aiobreaker: opens after consecutive failures, for both worlds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from benchmarks.aegis.case import Kept, Timed, awaited, called, empty, empty_later, load

aiobreaker = load("aiobreaker")


def loops() -> Iterable[Timed]:
    breaker = aiobreaker.CircuitBreaker()
    yield Timed("breaker", "aiobreaker", called(lambda: breaker.call(empty)))
    yield Timed("breaker-async", "aiobreaker", awaited(lambda: breaker.call_async(empty_later)))
    opened = aiobreaker.CircuitBreaker(timeout_duration=timedelta(hours=1))
    opened.open()

    def rejected(n: int) -> None:
        for _ in range(n):
            try:
                opened.call(empty)
            except aiobreaker.CircuitBreakerError:
                continue

    yield Timed("breaker-rejecting", "aiobreaker", rejected)


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        return {key: aiobreaker.CircuitBreaker() for key in keys}

    yield Kept("memory-breaker", "aiobreaker", fill)
