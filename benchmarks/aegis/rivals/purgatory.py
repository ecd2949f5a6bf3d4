"""purgatory: opens after consecutive failures; breakers by name."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, called, empty, load

purgatory = load("purgatory")
model = load("purgatory.domain.model")


def loops() -> Iterable[Timed]:
    factory = purgatory.SyncCircuitBreakerFactory()
    yield Timed("breaker-decorated", "purgatory", called(factory("closed")(empty)))
    breaker = factory.get_breaker("with")

    def entered(n: int) -> None:
        for _ in range(n):
            with breaker:
                pass

    yield Timed("breaker-with", "purgatory", entered)
    later = purgatory.AsyncCircuitBreakerFactory()

    async def entered_later(n: int) -> None:
        breaker = await later.get_breaker("with")
        for _ in range(n):
            async with breaker:
                pass

    yield Timed("breaker-async-with", "purgatory", entered_later)

    def fail() -> None:
        raise ConnectionError

    broken = factory("open", threshold=1, ttl=3600)(fail)
    try:
        broken()
    except ConnectionError:
        pass

    def rejected(n: int) -> None:
        for _ in range(n):
            try:
                broken()
            except model.OpenedState:
                continue

    yield Timed("breaker-rejecting", "purgatory", rejected)


def keepers() -> Iterable[Kept]:
    return ()
