"""The meter that keeps its figures."""

from __future__ import annotations

import pytest

from kratos.testing import MemoryMeter


def test_counter_is_summed_over_the_labels_that_were_not_named() -> None:
    meter = MemoryMeter()
    calls = meter.counter("calls", labels=("kind", "code"))
    calls.labels("grpc", "200").inc()
    calls.labels("grpc", "500").inc(2)
    calls.labels("http", "200").inc(4)
    assert meter.value("calls") == 7
    assert meter.value("calls", kind="grpc") == 3
    assert meter.value("calls", kind="grpc", code="500") == 2
    assert meter.value("calls", kind="local") == 0


def test_gauge_shows_what_it_was_set_to() -> None:
    meter = MemoryMeter()
    gauge = meter.gauge("nodes")
    gauge.set(5)
    gauge.add(-2)
    assert meter.value("nodes") == 3


def test_histogram_keeps_every_value() -> None:
    meter = MemoryMeter()
    seconds = meter.histogram("seconds", labels=("kind",)).labels("grpc")
    seconds.observe(0.5)
    seconds.observe(1.5)
    assert meter.observed("seconds", kind="grpc") == [0.5, 1.5]


def test_equal_names_are_one_instrument() -> None:
    meter = MemoryMeter()
    meter.counter("calls").inc()
    meter.counter("calls").inc()
    assert meter.value("calls") == 2


def test_name_cannot_be_of_two_kinds() -> None:
    meter = MemoryMeter()
    meter.counter("calls")
    with pytest.raises(ValueError, match="'calls' is a counter"):
        meter.gauge("calls")


def test_name_cannot_have_other_labels() -> None:
    meter = MemoryMeter()
    meter.counter("calls", labels=("kind",))
    with pytest.raises(ValueError, match="with the labels"):
        meter.counter("calls", labels=("code",))


def test_label_that_is_missing_is_told() -> None:
    meter = MemoryMeter()
    with pytest.raises(ValueError, match="it was given"):
        meter.counter("calls", labels=("kind",)).inc()


def test_counter_refuses_to_shrink() -> None:
    with pytest.raises(ValueError, match="only grows"):
        MemoryMeter().counter("calls").inc(-1)


def test_unknown_instrument_is_told_with_those_there_are() -> None:
    meter = MemoryMeter()
    meter.counter("calls")
    with pytest.raises(LookupError, match="no counter or gauge 'call'; made so far: calls"):
        meter.value("call")


def test_unknown_label_is_told() -> None:
    meter = MemoryMeter()
    meter.counter("calls", labels=("kind",))
    with pytest.raises(LookupError, match=r"has the labels \('kind',\), not \['color'\]"):
        meter.value("calls", color="red")


def test_gauges_are_asked_for_before_they_are_read() -> None:
    meter = MemoryMeter()
    gauge = meter.gauge("nodes")
    meter.on_collect(lambda: gauge.set(9))
    assert meter.value("nodes") == 9
