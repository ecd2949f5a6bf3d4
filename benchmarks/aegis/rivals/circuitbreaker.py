"""circuitbreaker: opens after consecutive failures; no lock, and no clock while it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.aegis.case import Kept, Timed, awaited, called, empty, empty_later, load

circuitbreaker = load("circuitbreaker")


def loops() -> Iterable[Timed]:
    decorate = circuitbreaker.CircuitBreaker(name="sync")
    yield Timed("breaker-decorated", "circuitbreaker", called(decorate(empty)))
    later = circuitbreaker.CircuitBreaker(name="async")
    yield Timed("breaker-async", "circuitbreaker", awaited(later(empty_later)))
    with_block = circuitbreaker.CircuitBreaker(name="with")

    def entered(n: int) -> None:
        for _ in range(n):
            with with_block:
                pass

    yield Timed("breaker-with", "circuitbreaker", entered)

    def fail() -> None:
        raise ConnectionError

    broken = circuitbreaker.CircuitBreaker(1, 3600, name="broken")(fail)
    try:
        broken()
    except ConnectionError:
        pass

    def rejected(n: int) -> None:
        for _ in range(n):
            try:
                broken()
            except circuitbreaker.CircuitBreakerError:
                continue

    yield Timed("breaker-rejecting", "circuitbreaker", rejected)


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        return {key: circuitbreaker.CircuitBreaker(name=key) for key in keys}

    yield Kept("memory-breaker", "circuitbreaker", fill)
