"""resilient-circuit: opens at a ratio of failures among the last calls."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, called, empty, load

resilient_circuit = load("resilient_circuit")


def loops() -> Iterable[Timed]:
    decorate = resilient_circuit.CircuitProtectorPolicy(resource_key="bench")
    yield Timed("breaker-decorated", "resilient-circuit", called(decorate(empty)))


def keepers() -> Iterable[Kept]:
    return ()
