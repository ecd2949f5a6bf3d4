"""pycircuitbreaker: opens after consecutive failures, closes after consecutive successes."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, called, empty, load

pycircuitbreaker = load("pycircuitbreaker")


def loops() -> Iterable[Timed]:
    breaker = pycircuitbreaker.CircuitBreaker()
    yield Timed("breaker", "pycircuitbreaker", called(lambda: breaker.call(empty)))


def keepers() -> Iterable[Kept]:
    return ()
