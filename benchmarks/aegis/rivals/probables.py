"""pyprobables: heavy hitters by a count-min sketch."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, keyed, load
from benchmarks.aegis.zipf import ZIPF

probables = load("probables")


def loops() -> Iterable[Timed]:
    add = probables.HeavyHitters(num_hitters=100, width=4096, depth=4).add
    yield Timed("topk", "pyprobables", keyed(add, ZIPF))


def keepers() -> Iterable[Kept]:
    return ()
