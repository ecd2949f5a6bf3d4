"""What meters have counted, as data: added up, sent and rendered."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.metrics import (
    Across,
    Distribution,
    Exemplar,
    Family,
    Snapshot,
    exposition,
    from_wire,
    lasting,
    merge,
    to_wire,
)

NAMES = st.text(max_size=5)
NUMBERS = st.integers(-1000, 1000).map(float)
BOUNDS = (0.1, 1.0)
DISTRIBUTIONS = st.builds(
    Distribution,
    bounds=st.just(BOUNDS),
    counts=st.tuples(*[st.integers(0, 1000)] * 3),
    total=NUMBERS,
)


EXEMPLARS = st.builds(
    Exemplar, labels=st.dictionaries(NAMES, NAMES, max_size=2), value=NUMBERS, time=NUMBERS
)


def families(kind: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[Family]:
    return st.builds(
        Family,
        name=st.just(kind),
        kind=st.just(kind),
        description=NAMES,
        unit=NAMES,
        labels=st.just(("a", "b")),
        across=st.sampled_from(["each", "sum", "max", "min"]),
        series=st.dictionaries(st.tuples(NAMES, NAMES), values, max_size=3),
        exemplars=st.dictionaries(
            st.tuples(NAMES, NAMES),
            st.dictionaries(st.integers(0, 2), EXEMPLARS, max_size=2),
            max_size=0 if kind == "gauge" else 2,
        ),
    )


SNAPSHOTS = st.tuples(
    families("counter", NUMBERS), families("gauge", NUMBERS), families("histogram", DISTRIBUTIONS)
)


def counter(value: float, *, labels: tuple[str, ...] = ()) -> Family:
    return Family(name="calls", kind="counter", labels=labels, series={labels: value})


def gauge(value: float, across: Across) -> Family:
    return Family(name="open", kind="gauge", across=across, series={(): value})


@given(SNAPSHOTS)
def test_snapshot_comes_over_the_wire_as_it_was(snapshot: Snapshot) -> None:
    assert from_wire(json.loads(json.dumps(to_wire(snapshot)))) == snapshot


@given(st.lists(SNAPSHOTS, min_size=1, max_size=5), st.integers(0, 5))
def test_sums_do_not_depend_on_how_processes_are_grouped(
    snapshots: list[Snapshot], cut: int
) -> None:
    parts = [("", lasting(each)) for each in snapshots]
    halves = [("", merge(parts[:cut])), ("", merge(parts[cut:]))]
    assert values(merge(halves)) == values(merge(parts))


def values(snapshot: Snapshot) -> dict[str, object]:
    return {family.name: family.series for family in snapshot}


def test_counters_are_added_by_their_labels() -> None:
    one = Family(name="calls", kind="counter", labels=("of",), series={("a",): 1.0, ("b",): 2.0})
    two = Family(name="calls", kind="counter", labels=("of",), series={("b",): 3.0, ("c",): 4.0})
    (merged,) = merge([("0", [one]), ("1", [two])])
    assert merged.series == {("a",): 1.0, ("b",): 5.0, ("c",): 4.0}


def test_histograms_are_added_bucket_by_bucket() -> None:
    one = Distribution(bounds=BOUNDS, counts=(1, 2, 3), total=9.0)
    two = Distribution(bounds=BOUNDS, counts=(1, 0, 1), total=5.0)
    parts = [
        (str(slot), [Family(name="seconds", kind="histogram", series={(): each})])
        for slot, each in enumerate([one, two])
    ]
    (merged,) = merge(parts)
    assert merged.series == {(): Distribution(bounds=BOUNDS, counts=(2, 2, 4), total=14.0)}


@pytest.mark.parametrize(
    ("across", "labels", "series"),
    [
        ("sum", (), {(): 7.0}),
        ("max", (), {(): 5.0}),
        ("min", (), {(): 2.0}),
        ("each", ("worker",), {("0",): 5.0, ("1",): 2.0}),
    ],
)
def test_gauges_are_combined_by_their_rule(
    across: Across, labels: tuple[str, ...], series: dict[tuple[str, ...], float]
) -> None:
    (merged,) = merge([("0", [gauge(5.0, across)]), ("1", [gauge(2.0, across)])])
    assert (merged.labels, merged.series) == (labels, series)


def test_instrument_that_has_changed_is_that_of_the_later_process() -> None:
    later = counter(1.0, labels=("of",))
    assert merge([("0", [counter(5.0)]), ("1", [later])]) == (later,)


def test_histogram_whose_buckets_have_changed_is_that_of_the_later_process() -> None:
    earlier = Distribution(bounds=(1.0,), counts=(5, 5), total=9.0)
    later = Distribution(bounds=(2.0,), counts=(1, 0), total=1.0)
    parts = [
        ("", [Family(name="s", kind="histogram", series={(): each})]) for each in (earlier, later)
    ]
    (merged,) = merge(parts)
    assert merged.series == {(): later}


def seen(trace: str, value: float, time: float) -> Exemplar:
    return Exemplar(labels={"trace_id": trace}, value=value, time=time)


def timed(distribution: Distribution, **exemplars: Exemplar) -> Family:
    told = {int(key[1:]): one for key, one in exemplars.items()}
    return Family(name="s", kind="histogram", series={(): distribution}, exemplars={(): told})


def test_newest_exemplar_of_each_bucket_is_kept_wherever_it_is_from() -> None:
    each = Distribution(bounds=BOUNDS, counts=(1, 1, 0), total=0.55)
    one = timed(each, b0=seen("old", 0.05, 1.0), b1=seen("new", 0.5, 4.0))
    two = timed(each, b0=seen("newer", 0.05, 3.0), b1=seen("older", 0.5, 2.0))
    (merged,) = merge([("0", [one]), ("1", [two])])
    found = {index: one.labels["trace_id"] for index, one in merged.exemplars[()].items()}
    assert found == {0: "newer", 1: "new"}


def test_exemplar_of_a_process_that_counts_without_is_kept() -> None:
    told = Family(name="c", kind="counter", series={(): 1.0}, exemplars={(): {0: seen("a", 1, 1)}})
    plain = Family(name="c", kind="counter", series={(): 2.0})
    for parts in ([told, plain], [plain, told]):
        (merged,) = merge([("", [part]) for part in parts])
        assert (merged.series, merged.exemplars) == ({(): 3.0}, told.exemplars)


def test_exemplar_of_buckets_that_are_no_more_is_left_out() -> None:
    before = timed(
        Distribution(bounds=(0.1, 1.0), counts=(0, 0, 1), total=7.0), b2=seen("a", 7.0, 9.0)
    )
    after = timed(Distribution(bounds=(5.0,), counts=(1, 0), total=1.0), b0=seen("b", 1.0, 1.0))
    (merged,) = merge([("", [before]), ("", [after])])
    assert merged.exemplars == after.exemplars


def test_snapshot_of_a_version_without_exemplars_is_understood() -> None:
    (item,) = to_wire([counter(1.0)])
    del item["exemplars"]
    assert from_wire([item]) == (counter(1.0),)


def test_label_that_a_gauge_has_already_is_kept_beside_that_of_the_worker() -> None:
    """As for celery, which has workers of its own."""
    own = Family(name="tasks", kind="gauge", labels=("worker",), series={("celery@a",): 5.0})
    (merged,) = merge([("0", [own])])
    assert merged.labels == ("exported_worker", "worker")
    assert merged.series == {("celery@a", "0"): 5.0}


def test_gauges_end_with_their_process() -> None:
    assert lasting([counter(1.0), gauge(2.0, "sum")]) == (counter(1.0),)


@pytest.mark.parametrize(
    "wire",
    [
        7,
        [7],
        [{}],
        [{**to_wire([counter(1.0)])[0], "kind": "riddle"}],
        [{**to_wire([counter(1.0)])[0], "series": [[["more"], 1.0]]}],
        [{**to_wire([counter(1.0)])[0], "exemplars": [[[], [[0, "trace", 1.0, 1.0]]]]}],
        [{**to_wire([counter(1.0)])[0], "kind": "histogram", "series": [[[], [[1.0], [1], 0.0]]]}],
        [
            {
                **to_wire([counter(1.0)])[0],
                "kind": "histogram",
                "series": [[[], [[1.0], [1, float("inf")], 0.0]]],
            }
        ],
    ],
)
def test_what_is_no_snapshot_is_refused(wire: object) -> None:
    with pytest.raises(ValueError, match="no snapshot of metrics"):
        from_wire(wire)


def test_label_that_utf8_cannot_carry_costs_no_other_metric() -> None:
    family = Family(
        name="n", kind="counter", labels=("reason",), series={("half a pair \ud800",): 1.0}
    )
    text = exposition([family])
    assert text.encode() == b'# TYPE n counter\nn{reason="half a pair ?"} 1.0\n'


def test_text_for_prometheus_is_as_its_format_says() -> None:
    snapshot = [
        Family(
            name="calls_total",
            kind="counter",
            description="Calls,\nanswered.",
            labels=("of",),
            series={('a "b"\\\n',): 3.0},
        ),
        Family(name="heat", kind="gauge", series={(): math.inf}),
        Family(
            name="seconds",
            kind="histogram",
            labels=("of",),
            series={("a",): Distribution(bounds=BOUNDS, counts=(1, 2, 3), total=9.5)},
        ),
    ]
    assert exposition(snapshot).splitlines() == [
        r"# HELP calls_total Calls,\nanswered.",
        "# TYPE calls_total counter",
        r'calls_total{of="a \"b\"\\\n"} 3.0',
        "# TYPE heat gauge",
        "heat +Inf",
        "# TYPE seconds histogram",
        'seconds_bucket{of="a",le="0.1"} 1',
        'seconds_bucket{of="a",le="1.0"} 3',
        'seconds_bucket{of="a",le="+Inf"} 6',
        'seconds_sum{of="a"} 9.5',
        'seconds_count{of="a"} 6',
    ]
