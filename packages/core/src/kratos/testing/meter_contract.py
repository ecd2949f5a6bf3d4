"""The contract of meters, as a suite that the tests of every adapter run.

Derive a test class from ``MeterContract`` and give it a fixture ``meter``::

    class TestPrometheus(MeterContract):
        @pytest.fixture
        def meter(self) -> Meter:
            return PrometheusMeter(registry=CollectorRegistry())

A meter that is not ``Snapshotting`` is read by ``read``, which its tests then override. For a meter
that keeps nothing there is ``UsableMeterContract``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, ClassVar

import pytest

from kratos.metrics import (
    Collecting,
    Distribution,
    Family,
    Including,
    Meter,
    Snapshot,
    Snapshotting,
    from_wire,
    to_wire,
)

__all__ = ["MeterContract", "UsableMeterContract"]

_numbers = count()
_BOUNDS = (0.1, 1.0)


def _name() -> str:
    # Never given twice: a back end may keep instruments for good.
    return f"contract_{next(_numbers)}_total"


class UsableMeterContract:
    """What any meter takes, one that drops everything too. Provide a fixture ``meter``."""

    async def test_instruments_with_and_without_labels_take_values(self, meter: Meter) -> None:
        counter = meter.counter(_name(), description="Calls.", unit="{call}")
        counter.inc()
        counter.inc(2.5)
        counter.inc(0)
        meter.counter(_name(), labels=("kind",)).labels("http").inc()
        gauge = meter.gauge(_name(), labels=("kind",), across="sum").labels("http")
        gauge.set(7)
        gauge.add(-1.5)
        meter.gauge(_name()).set(-1)
        meter.histogram(_name(), unit="s", buckets=_BOUNDS).observe(0.5)
        meter.histogram(_name(), labels=("kind",)).labels("http").observe(0.5)

    async def test_child_without_further_labels_is_itself(self, meter: Meter) -> None:
        child = meter.counter(_name(), labels=("kind",)).labels("http")
        child.labels().inc()

    async def test_labels_may_hold_any_text(self, meter: Meter) -> None:
        counter = meter.counter(_name(), labels=("reason",))
        for text in ("", 'a "quoted"\nline\\', "ünï", "x" * 10_000, "\udc80"):
            counter.labels(text).inc()

    async def test_equal_arguments_may_be_given_twice(self, meter: Meter) -> None:
        name, gauge, histogram = _name(), _name(), _name()
        for _ in range(2):
            meter.counter(name, description="d", unit="s", labels=("a", "b")).labels("1", "2").inc()
            meter.gauge(gauge, labels=("a",), across="max").labels("1").set(1)
            meter.histogram(histogram, labels=["a"], buckets=list(_BOUNDS)).labels("1").observe(1)


class MeterContract(UsableMeterContract):
    """What a meter that keeps its figures has to show, too. Provide a fixture ``meter``.

    Attributes:
        threads: Whether its instruments may be used from any thread.
    """

    threads: ClassVar[bool] = False

    async def read(self, meter: Meter) -> Snapshot:
        """Return what the meter has counted."""
        assert isinstance(meter, Snapshotting), "override read() for a meter without snapshot()"
        return meter.snapshot()

    async def test_counter_adds_up(self, meter: Meter) -> None:
        name = _name()
        child = meter.counter(name, labels=("kind", "code")).labels("http", "200")
        child.inc()
        child.inc(2.5)
        meter.counter(name, labels=("kind", "code")).labels("http", "500").inc()
        family = await self._family(meter, name)
        assert (family.kind, family.labels) == ("counter", ("kind", "code"))
        assert _of(family) == {("http", "200"): 3.5, ("http", "500"): 1.0}

    @pytest.mark.parametrize("amount", [-1.0, -1e-9, -math.inf, math.nan])
    async def test_counter_never_falls(self, meter: Meter, amount: float) -> None:
        name = _name()
        child = meter.counter(name, labels=("kind",)).labels("http")
        child.inc(5)
        with pytest.raises(ValueError, match=r"."):
            child.inc(amount)
        assert _of(await self._family(meter, name)) == {("http",): 5.0}

    async def test_gauge_is_what_it_was_set_to_and_what_was_added_since(self, meter: Meter) -> None:
        name = _name()
        child = meter.gauge(name, labels=("kind",), across="sum").labels("http")
        child.add(3)
        child.set(10)
        child.add(-4.5)
        family = await self._family(meter, name)
        assert (family.kind, family.across) == ("gauge", "sum")
        assert _of(family) == {("http",): 5.5}

    async def test_value_on_a_bound_is_in_the_bucket_below(self, meter: Meter) -> None:
        name = _name()
        child = meter.histogram(name, labels=("kind",), buckets=_BOUNDS).labels("http")
        for value in (0.05, 0.1, 0.5, 1.0, 7.0):
            child.observe(value)
        family = await self._family(meter, name)
        told = family.series["http",]
        assert isinstance(told, Distribution)
        assert (family.kind, told.bounds, told.counts) == ("histogram", _BOUNDS, (2, 2, 1))
        assert math.isclose(told.total, 8.65)

    @pytest.mark.parametrize("buckets", [(2.0, 1.0), (1.0, 1.0)])
    async def test_buckets_that_do_not_rise_are_refused(
        self, meter: Meter, buckets: tuple[float, ...]
    ) -> None:
        with pytest.raises(ValueError, match=r"."):
            meter.histogram(_name(), buckets=buckets)

    async def test_same_values_give_the_same_series(self, meter: Meter) -> None:
        name = _name()
        for _ in range(3):
            meter.counter(name, labels=("kind",)).labels("http").inc()
        assert _of(await self._family(meter, name)) == {("http",): 3.0}

    async def test_instrument_without_labels_has_one_series(self, meter: Meter) -> None:
        name = _name()
        for _ in range(2):
            meter.counter(name).inc()
        meter.counter(name).labels().inc()
        assert _of(await self._family(meter, name)) == {(): 3.0}

    @pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
    async def test_wrong_number_of_values_is_refused(
        self, meter: Meter, values: tuple[str, ...]
    ) -> None:
        makers: tuple[Callable[..., Any], ...] = (meter.counter, meter.gauge, meter.histogram)
        for make in makers:
            instrument = make(_name(), labels=("kind", "code"))
            with pytest.raises(ValueError, match=r"."):
                instrument.labels(*values)

    async def test_value_without_its_labels_is_refused(self, meter: Meter) -> None:
        with pytest.raises(ValueError, match=r"."):
            meter.counter(_name(), labels=("kind",)).inc()

    async def test_name_that_another_instrument_has_is_refused(self, meter: Meter) -> None:
        name, seconds = _name(), _name()
        meter.counter(name, labels=("kind",))
        meter.histogram(seconds, buckets=_BOUNDS)
        takers: tuple[Callable[[], object], ...] = (
            lambda: meter.gauge(name, labels=("kind",)),
            lambda: meter.histogram(name, labels=("kind",)),
            lambda: meter.counter(name),
            lambda: meter.counter(name, labels=("kind", "code")),
            lambda: meter.counter(name, labels=("other",)),
            lambda: meter.histogram(seconds, buckets=(0.5,)),
        )
        for take in takers:
            with pytest.raises(ValueError, match=r"."):
                take()

    async def test_publishers_are_called_before_gauges_are_read(self, meter: Meter) -> None:
        if not isinstance(meter, Collecting):
            pytest.skip("offers no on_collect")
        name, values = _name(), iter((1.0, 2.0))
        gauge = meter.gauge(name)
        meter.on_collect(lambda: gauge.set(next(values)))
        assert _of(await self._family(meter, name)) == {(): 1.0}
        assert _of(await self._family(meter, name)) == {(): 2.0}

    async def test_publisher_that_fails_spoils_nothing_else(self, meter: Meter) -> None:
        if not isinstance(meter, Collecting):
            pytest.skip("offers no on_collect")
        name = _name()
        gauge = meter.gauge(name)

        def fail() -> None:
            raise LookupError("no figure today")

        meter.on_collect(fail)
        meter.on_collect(lambda: gauge.set(7))
        assert _of(await self._family(meter, name)) == {(): 7.0}

    async def test_snapshot_is_as_it_was_and_goes_over_a_wire(self, meter: Meter) -> None:
        if not isinstance(meter, Snapshotting):
            pytest.skip("offers no snapshot")
        name = _name()
        counter = meter.counter(name)
        counter.inc()
        before = meter.snapshot()
        counter.inc()
        told = {family.name: _of(family) for family in from_wire(to_wire(before))}
        assert told[name] == {(): 1.0}

    async def test_source_that_is_included_is_asked_for_nothing_until_it_is_shown(
        self, meter: Meter
    ) -> None:
        if not isinstance(meter, Including):
            pytest.skip("offers no include")
        asked = 0

        async def others() -> Snapshot:
            nonlocal asked
            asked += 1
            return ()

        meter.include(others)
        assert asked == 0

    async def test_threads_lose_no_value(self, meter: Meter) -> None:
        if not self.threads:
            pytest.skip("promises nothing to threads")
        name, seconds = _name(), _name()
        counter = meter.counter(name, labels=("kind",))
        histogram = meter.histogram(seconds, buckets=_BOUNDS)

        def use(_: int) -> None:
            for _ in range(1000):
                counter.labels("http").inc()
                histogram.observe(0.5)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
        assert _of(await self._family(meter, name)) == {("http",): 4000.0}
        told = (await self._family(meter, seconds)).series[()]
        assert isinstance(told, Distribution)
        assert told.counts == (0, 4000, 0)

    async def _family(self, meter: Meter, name: str) -> Family:
        return {family.name: family for family in await self.read(meter)}[name]


def _of(family: Family) -> Mapping[tuple[str, ...], float | Distribution]:
    return dict(family.series)
