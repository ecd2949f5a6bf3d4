from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import ManualClock
from aegis.clock import SYSTEM_CLOCK
from aegis.ratelimit._ticks import interval, ticking


@pytest.mark.parametrize(
    ("rate", "ticks", "scale"),
    [
        (1, 10**9, 1),
        (0.1, 10**10, 1),
        (3, 333_333_334, 1),
        (10_000, 100_000, 1),
        (30_000, 333_334, 10),
        (1e9, 1, 1),
        (2e9, 5, 10),
        (1e12, 1, 1000),
    ],
)
def test_interval_is_a_whole_number_of_ticks(rate: float, ticks: int, scale: int) -> None:
    assert interval(rate) == (ticks, scale)


@given(st.floats(1e-6, 1e12))
def test_rate_is_never_more_than_asked_for_and_hardly_less(rate: float) -> None:
    ticks, scale = interval(rate)

    longer = Fraction(ticks, scale) * Fraction(repr(rate)) / 10**9 - 1

    assert 0 <= longer <= Fraction(1, 100_000)


def test_system_clock_is_read_directly() -> None:
    assert ticking(SYSTEM_CLOCK, 1) is SYSTEM_CLOCK
    assert ticking(SYSTEM_CLOCK, 3) is not SYSTEM_CLOCK


def test_steps_back_count_as_no_time() -> None:
    clock = ManualClock(100)
    ticks = ticking(clock, 3)
    seen: list[int] = []
    for now in (110, 50, 55, 54, 64):
        clock.now = now
        seen.append(ticks())

    assert seen == [330, 330, 345, 345, 375]
