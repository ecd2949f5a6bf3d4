"""stamina: tenacity with opinions; no budget."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, awaited, called, empty, empty_later, load

stamina = load("stamina")


def loops() -> Iterable[Timed]:
    decorate = stamina.retry(on=ConnectionError, attempts=3)
    yield Timed("retry", "stamina", called(decorate(empty)))
    yield Timed("retry-async", "stamina", awaited(decorate(empty_later)))


def keepers() -> Iterable[Kept]:
    return ()
