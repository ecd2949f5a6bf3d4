"""A snapshot of metrics in parts: each is encoded at once, and calls go on in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from kratos.metrics import Family, Snapshot

__all__ = ["MOST", "joined", "parted"]

MOST: Final = 500  # series; as histograms, of which this many take two milliseconds


def parted(snapshot: Snapshot, /, *, most: int = MOST) -> Iterator[Snapshot]:
    """Cut a snapshot into parts of so many series; there is at least one, and it may be empty."""
    part: list[Family] = []
    room = most
    for family in snapshot:
        series = iter(family.series.items())
        while found := dict(islice(series, room)):
            told = family.exemplars
            exemplars = {values: told[values] for values in found if values in told} if told else {}
            part.append(replace(family, series=found, exemplars=exemplars))
            room -= len(found)
            if not room:
                yield tuple(part)
                part, room = [], most
    yield tuple(part)


def joined(parts: Iterable[Snapshot], /) -> Snapshot:
    """Return the snapshot of which these are the parts."""
    found: dict[str, list[Family]] = {}
    for part in parts:
        for family in part:
            found.setdefault(family.name, []).append(family)
    return tuple(
        replace(
            pieces[0],
            series=dict(chain.from_iterable(piece.series.items() for piece in pieces)),
            exemplars=dict(chain.from_iterable(piece.exemplars.items() for piece in pieces)),
        )
        for pieces in found.values()
    )
