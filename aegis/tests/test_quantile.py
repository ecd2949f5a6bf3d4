from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import LatencyQuantile


@given(
    samples=st.lists(st.floats(1e-5, 900), min_size=10, max_size=300),
    quantile=st.floats(0.01, 0.99),
)
def test_estimate_is_within_five_percent_of_the_true_quantile(
    samples: list[float], quantile: float
) -> None:
    tracked = LatencyQuantile(quantile, initial=1.0, min_samples=len(samples), window=len(samples))
    for sample in samples:
        tracked.observe(sample)

    exact = sorted(samples)[math.ceil(quantile * len(samples)) - 1]
    assert exact / 1.0001 <= tracked.value <= exact * 1.0501


def test_estimate_is_the_initial_one_until_there_are_samples() -> None:
    tracked = LatencyQuantile(0.9, initial=0.5, min_samples=10)
    for _ in range(9):
        tracked.observe(0.01)
    assert tracked.value == 0.5

    tracked.observe(0.01)

    assert tracked.value == pytest.approx(0.01, rel=0.06)


def test_estimate_is_made_after_a_fraction_of_a_sample_too() -> None:
    tracked = LatencyQuantile(0.9, initial=0.5, min_samples=2.5)

    for _ in range(3):
        tracked.observe(0.01)

    assert tracked.value == pytest.approx(0.01, rel=0.06)


def test_estimate_follows_a_change_within_some_windows() -> None:
    source = random.Random(3)
    tracked = LatencyQuantile(0.95, initial=1.0, threadsafe=True)
    for _ in range(5000):
        tracked.observe(source.expovariate(100))
    slow = tracked.value

    for _ in range(5000):
        tracked.observe(source.expovariate(1000))

    assert slow == pytest.approx(0.03, rel=0.15)
    assert tracked.value == pytest.approx(0.003, rel=0.2)


def test_rare_latencies_are_not_lost_when_counts_are_halved() -> None:
    tracked = LatencyQuantile(0.985, initial=1.0, window=100)
    for number in range(5000):
        tracked.observe(5.0 if number % 50 == 0 else 0.001)

    assert tracked.value == pytest.approx(5.0, rel=0.06)
    assert tracked.stats().samples <= 100


@pytest.mark.parametrize(("seconds", "estimate"), [(0.0, 1e-5), (-1.0, 1e-5), (1e9, 1e3)])
def test_what_is_out_of_range_counts_as_the_nearest_in_it(seconds: float, estimate: float) -> None:
    tracked = LatencyQuantile(0.5, initial=1.0, min_samples=1, window=1)

    tracked.observe(seconds)

    assert tracked.value == pytest.approx(estimate, rel=0.06)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"quantile": 0.0}, "quantile"),
        ({"quantile": 1.0}, "quantile"),
        ({"initial": 0.0}, "initial"),
        ({"min_samples": 0}, "min_samples"),
        ({"min_samples": 50, "window": 49}, "window"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], name: str) -> None:
    usual: dict[str, Any] = {"quantile": 0.9, "initial": 1.0}
    with pytest.raises(ValueError, match=f"^{name} must"):
        LatencyQuantile(**(usual | options))
