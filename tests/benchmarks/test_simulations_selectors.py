"""What the simulation of selectors shows, in short: a property of each, with several seeds."""

from __future__ import annotations

from math import log

import pytest
from benchmarks.simulations.selectors import Fault, Summary, simulate

seeds = pytest.mark.parametrize("seed", [1, 2, 3])


def settled(strategy: str, fault: Fault, seed: int) -> Summary:
    """Ten nodes, one of which has the fault from 10 s on; it can be noticed until 20 s."""
    return simulate(strategy, 10, fault, end=50, seed=seed).between(20, 50)


def test_random_choice_waits_as_theory_says() -> None:
    """Each node is a queue of its own at half its capacity: times are exponential, mean 0.1 s."""
    run = simulate("random", 50, "none", end=60)

    summary = run.between(5, 60)
    assert summary.median == pytest.approx(0.1 * log(2), rel=0.06)
    assert summary.p99 == pytest.approx(0.1 * log(100), rel=0.15)


@seeds
def test_two_choices_wait_less_than_one(seed: int) -> None:
    two, one = settled("p2c", "none", seed), settled("random", "none", seed)

    assert two.p99 < 0.9 * one.p99
    assert two.busiest < 1.3


@seeds
def test_round_robin_loses_the_share_of_a_node_that_fails(seed: int) -> None:
    assert settled("wrr", "failing", seed).failed == pytest.approx(0.1, rel=0.1)


@seeds
@pytest.mark.parametrize("fault", ["slow", "failing"])
def test_two_choices_and_ejection_beat_round_robin(fault: Fault, seed: int) -> None:
    rivals = settled("wrr", fault, seed)
    for strategy in ("p2c", "wrr, ejection", "p2c, ejection, slow start"):
        summary = settled(strategy, fault, seed)
        assert summary.share < 0.4
        assert summary.failed < rivals.failed / 4


@seeds
def test_ejection_takes_the_tail_away_that_a_slow_node_makes(seed: int) -> None:
    assert settled("wrr", "slow", seed).p99 == 1.0
    assert settled("wrr, ejection", "slow", seed).p99 < 0.7


@seeds
def test_node_that_fails_at_once_draws_calls_to_it_where_load_alone_counts(seed: int) -> None:
    assert settled("least", "failing", seed).share > 1.1
    assert settled("least, ejection, slow start", "failing", seed).share < 0.05


@seeds
def test_node_that_fails_half_its_calls_is_left_out(seed: int) -> None:
    half = settled("wrr, ejection", "half failing", seed)

    assert half.failed < settled("wrr", "half failing", seed).failed / 2


@seeds
def test_new_node_that_starts_slowly_spoils_no_calls(seed: int) -> None:
    slowly = simulate("wrr, ejection, slow start", 10, "new", end=50, seed=seed)
    at_once = simulate("wrr", 10, "new", end=50, seed=seed)

    assert slowly.between(10, 30).p99 < at_once.between(10, 30).p99
    assert slowly.between(10, 50).failed < at_once.between(10, 50).failed / 4
    first, second = (slowly.between(start, start + 10).share for start in (10, 20))
    assert first < second < 1
    assert slowly.between(40, 50).share == pytest.approx(1, rel=0.1)


def test_same_seed_gives_the_same_run() -> None:
    assert simulate("p2c", 5, "slow", end=15).calls == simulate("p2c", 5, "slow", end=15).calls
