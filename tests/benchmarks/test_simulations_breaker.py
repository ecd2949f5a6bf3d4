"""The short form of the simulation of breakers: what its tables say, as properties."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.simulations import breaker

COUNTED = {"aegis": 1 / 0.6, "kratos3": 2.0}  # and their K
OTHERS = {f"{name}, not counted": k for name, k in COUNTED.items()}


@pytest.mark.parametrize("subject", breaker.SUBJECTS)
def test_few_errors_refuse_nothing(subject: str) -> None:
    assert breaker.errors(subject, 0.3).admitted == 1


@pytest.mark.parametrize("ratio", [0.6, 0.7, 0.8])
@pytest.mark.parametrize("subject", OTHERS)
def test_share_follows_the_successes_if_refusals_do_not_count(subject: str, ratio: float) -> None:
    expected = OTHERS[subject] * (1 - ratio)

    assert breaker.errors(subject, ratio).admitted == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("ratio", [0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("subject", COUNTED)
def test_share_collapses_to_some_probes_a_window_if_refusals_count(
    subject: str, ratio: float
) -> None:
    window = 3 * breaker.RATE
    expected = 1 / (window * (1 - COUNTED[subject] * (1 - ratio)) + 1)

    assert breaker.errors(subject, ratio).admitted == pytest.approx(expected, rel=0.8, abs=0.001)


@pytest.mark.parametrize("limit", [50, 100])
@pytest.mark.parametrize("subject", COUNTED)
def test_full_back_end_gets_k_times_its_capacity(subject: str, limit: float) -> None:
    expected = min(breaker.RATE, COUNTED[subject] * limit)

    assert breaker.capacity(subject, limit).admitted == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("subject", [*OTHERS, "window, open 2 s"])
def test_outage_is_over_within_three_seconds(subject: str) -> None:
    assert breaker.outage(subject, 200).recovery[1] < 3


@pytest.mark.parametrize("subject", COUNTED)
def test_counted_refusals_prolong_an_outage_by_many_seconds(subject: str) -> None:
    least, most = breaker.outage(subject, 200).recovery

    assert 4 < least < most < 31


@pytest.mark.slow
def test_plots_are_the_same_each_time(tmp_path: Path) -> None:
    rows = [breaker.errors("kratos3", 1.0, seconds=1)]

    for folder in ("one", "other"):
        breaker.plot(tmp_path / folder, rows)

    for name in ("breaker-errors.svg", "breaker-outage.svg"):
        one, other = (tmp_path / folder / name for folder in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size < 100_000
