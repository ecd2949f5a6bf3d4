"""Snapshots of metrics in parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.metrics import Exemplar, Family, Snapshot
from kratos.workers._parts import joined, parted

SEEN = Exemplar(labels={"trace_id": "a"}, value=1.0, time=1.0)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    families: list[Family] = []
    for number, count in enumerate(draw(st.lists(st.integers(1, 7), max_size=4))):
        keys = [(str(key),) for key in range(count)]
        seen = draw(st.lists(st.sampled_from(keys), unique=True))
        families.append(
            Family(
                name=f"family_{number}",
                kind="counter",
                labels=("key",),
                series=dict.fromkeys(keys, float(number)),
                exemplars={key: {0: SEEN} for key in seen},
            )
        )
    return tuple(families)


@given(snapshots(), st.integers(1, 6))
def test_parts_are_small_and_together_what_was_cut(snapshot: Snapshot, most: int) -> None:
    parts = list(parted(snapshot, most=most))
    assert joined(parts) == snapshot
    assert parts, "also of nothing there is a part, which says so"
    assert all(sum(len(family.series) for family in part) <= most for part in parts)


@pytest.mark.parametrize("count", [1, 2])
def test_exemplars_go_with_their_series(count: int) -> None:
    family = Family(
        name="f",
        kind="counter",
        labels=("a",),
        series={("x",): 1.0, ("y",): 2.0},
        exemplars={("y",): {0: SEEN}},
    )
    parts = [part for part in parted([family], most=count) if part]
    assert [dict(part[0].exemplars) for part in parts][-1] == {("y",): {0: SEEN}}
