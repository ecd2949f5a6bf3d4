"""What the simulations of keys, subsets, retries and hedges show, in short."""

from __future__ import annotations

from statistics import mean

import pytest
from benchmarks.simulations import keys, retry

seeds = pytest.mark.parametrize("seed", [1, 2])


@seeds
def test_retries_without_a_budget_keep_a_server_down_that_has_recovered(seed: int) -> None:
    storm = retry.storm(3, seed=seed, end=60.0)

    attempts, answered = storm.share(45, 60)
    assert attempts > 1.5
    assert answered < 0.05


@seeds
@pytest.mark.parametrize("budget", ["ratio", "tokens"])
def test_retries_within_a_budget_let_it_recover(budget: str, seed: int) -> None:
    storm = retry.storm(3, budget=budget, seed=seed, end=60.0)

    assert storm.share(20, 30)[0] < 1.2 * 0.7 + 0.1
    attempts, answered = storm.share(45, 60)
    assert attempts < 0.8
    assert answered > 0.6


@seeds
def test_hedging_at_the_95th_percentile_halves_the_tail_for_a_twentieth_of_load(seed: int) -> None:
    never = retry.hedge(None, calls=20_000, seed=seed)
    hedged = retry.hedge(0.95, calls=20_000, seed=seed)

    assert never.load == 1
    assert 1.03 < hedged.load < 1.07
    assert hedged.p99 < never.p99 / 2
    assert hedged.p50 == pytest.approx(never.p50, rel=0.05)


def test_sketch_finds_the_top_with_small_error() -> None:
    share, error = keys.found(1.1, k=10, width=1024, draws=10_000)

    assert share == 1
    assert error < 0.01


def test_fading_finds_new_hot_keys_sooner() -> None:
    fading, never = keys.hits(2000, k=20, draws=20_000), keys.hits(None, k=20, draws=20_000)

    assert mean(fading[-3:]) > mean(never[-3:]) + 0.03
    assert mean(fading[1:4]) == pytest.approx(mean(never[1:4]), abs=0.05)


def test_rounds_are_even_and_rings_steady() -> None:
    rounds, rounds_moved = keys.spread(200, clients=240, kind="rounds")
    ring, ring_moved = keys.spread(200, clients=240, kind="ring")

    assert rounds == 1
    assert ring > 1.4
    assert ring_moved < 0.01 < 0.5 < rounds_moved
    assert keys.spread(112, clients=240, kind="rounds")[1] < 0.05
