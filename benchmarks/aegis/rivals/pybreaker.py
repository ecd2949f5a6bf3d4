"""pybreaker: opens after consecutive failures; holds a lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.aegis.case import Kept, Timed, called, empty, load

pybreaker = load("pybreaker")


def loops() -> Iterable[Timed]:
    breaker = pybreaker.CircuitBreaker()
    yield Timed("breaker", "pybreaker", called(lambda: breaker.call(empty)))
    opened = pybreaker.CircuitBreaker(reset_timeout=3600)
    opened.open()

    def rejected(n: int) -> None:
        for _ in range(n):
            try:
                opened.call(empty)
            except pybreaker.CircuitBreakerError:
                continue

    yield Timed("breaker-rejecting", "pybreaker", rejected)


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        return {key: pybreaker.CircuitBreaker() for key in keys}

    yield Kept("memory-breaker", "pybreaker", fill)
