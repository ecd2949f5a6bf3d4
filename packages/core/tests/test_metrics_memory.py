"""The meter that keeps its figures in this process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from kratos.log import Level
from kratos.metrics import (
    Collecting,
    Distribution,
    Family,
    Including,
    MemoryMeter,
    Meter,
    Snapshot,
    Snapshotting,
)
from kratos.testing.log import MemoryLogger

TAKERS: tuple[Callable[[MemoryMeter], object], ...] = (
    lambda meter: meter.gauge("taken"),
    lambda meter: meter.counter("taken", labels=("of",)),
    lambda meter: meter.histogram("taken"),
)


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


def series(snapshot: Snapshot, name: str) -> object:
    return next(family.series for family in snapshot if family.name == name)


def test_it_has_all_that_a_meter_can_have(meter: MemoryMeter) -> None:
    _: Meter = meter
    assert isinstance(meter, Collecting)
    assert isinstance(meter, Snapshotting)
    assert isinstance(meter, Including)


def test_what_is_counted_is_in_the_snapshot(meter: MemoryMeter) -> None:
    calls = meter.counter("calls_total", labels=("of",)).labels("a")
    calls.inc()
    calls.inc(2.0)
    heat = meter.gauge("heat")
    heat.set(5.0)
    heat.add(-1.0)
    assert series(meter.snapshot(), "calls_total") == {("a",): 3.0}
    assert series(meter.snapshot(), "heat") == {(): 4.0}


@pytest.mark.parametrize("buckets", [(2, 1), (1, 1), (1, math.inf), (math.nan,)])
def test_buckets_that_count_wrong_are_refused(
    meter: MemoryMeter, buckets: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="buckets of seconds must be finite and rise"):
        meter.histogram("seconds", buckets=buckets)


def test_value_on_a_bound_is_in_the_bucket_below(meter: MemoryMeter) -> None:
    seconds = meter.histogram("seconds", buckets=(1, 2))
    for value in (0.5, 1.0, 1.5, 9.0):
        seconds.observe(value)
    expected = Distribution(bounds=(1.0, 2.0), counts=(2, 1, 1), total=12.0)
    assert series(meter.snapshot(), "seconds") == {(): expected}


def test_same_name_and_labels_give_the_same_series(meter: MemoryMeter) -> None:
    for _ in range(2):
        meter.counter("calls_total", labels=("of",)).labels("a").labels().inc()
    assert series(meter.snapshot(), "calls_total") == {("a",): 2.0}


def test_rule_that_would_combine_no_gauges_is_refused(meter: MemoryMeter) -> None:
    rule: Any = "avg"
    with pytest.raises(ValueError, match="across of heat is one of each, sum, max, min, not 'avg'"):
        meter.gauge("heat", across=rule)


@pytest.mark.parametrize("make", TAKERS)
def test_name_that_something_else_has_is_refused(
    make: Callable[[MemoryMeter], object], meter: MemoryMeter
) -> None:
    meter.counter("taken")
    with pytest.raises(ValueError, match="taken is taken by another counter"):
        make(meter)


def test_wrong_number_of_values_for_labels_is_refused(meter: MemoryMeter) -> None:
    calls = meter.counter("calls_total", labels=("of",))
    for values in ((), ("a", "b")):
        with pytest.raises(ValueError, match="calls_total has the labels"):
            calls.labels(*values)
    with pytest.raises(ValueError, match="more values than there are labels"):
        calls.labels("a").labels("b")


@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError])
def test_gauges_are_asked_for_before_they_are_read(error: type[BaseException]) -> None:
    log = MemoryLogger()
    meter = MemoryMeter(log=log)
    heat = meter.gauge("heat")

    def fail() -> None:
        raise error("no luck today")

    meter.on_collect(fail)
    meter.on_collect(lambda: heat.set(7.0))
    assert series(meter.snapshot(), "heat") == {(): 7.0}
    assert log.messages(Level.ERROR) == ["a gauge could not be set"]


async def test_what_others_have_counted_is_rendered_with_it(meter: MemoryMeter) -> None:
    async def others() -> Snapshot:
        return [Family(name="calls_total", kind="counter", series={(): 40.0})]

    meter.include(others)
    meter.counter("calls_total").inc(2.0)
    assert await meter.render() == "# TYPE calls_total counter\ncalls_total 42.0\n"
    assert series(meter.snapshot(), "calls_total") == {(): 2.0}


@pytest.mark.parametrize(
    ("name", "labels"), [("a b", ()), ("1st", ()), ("", ()), ("ok", ("a-b",)), ("ok", ("a:b",))]
)
def test_name_that_would_keep_a_scraper_from_all_others_is_refused(
    name: str, labels: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="is no name to Prometheus"):
        MemoryMeter().counter(name, labels=labels)


def test_text_is_no_list_of_labels() -> None:
    with pytest.raises(TypeError, match=r"write \['kind'\]"):
        MemoryMeter().gauge("queued", labels="kind")
