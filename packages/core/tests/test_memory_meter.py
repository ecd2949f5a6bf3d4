"""What a test can ask the meter that keeps its figures."""

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


def test_histogram_tells_how_many_values_it_was_told_and_their_sum() -> None:
    meter = MemoryMeter()
    seconds = meter.histogram("seconds", labels=("kind",))
    seconds.labels("grpc").observe(0.5)
    seconds.labels("grpc").observe(1.5)
    seconds.labels("http").observe(9)
    assert meter.observed("seconds", kind="grpc") == (2, 2.0)
    assert meter.observed("seconds", kind="local") == (0, 0)


def test_kinds_are_not_mixed_up() -> None:
    meter = MemoryMeter()
    meter.counter("calls").inc()
    with pytest.raises(LookupError, match="there is no histogram 'calls'"):
        meter.observed("calls")


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
