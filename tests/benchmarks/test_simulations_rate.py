from __future__ import annotations

import pytest
from benchmarks.simulations.rate import SUBJECTS, run

seeds = pytest.mark.parametrize("seed", [1, 2, 3])


@seeds
def test_fixed_window_admits_twice_its_limit_around_an_edge(seed: int) -> None:
    assert run("fixed window", seed=seed).most(0.6) == pytest.approx(200, abs=2)


@seeds
def test_bucket_admits_its_burst_besides_the_rate(seed: int) -> None:
    result = run("token bucket, burst 100", seed=seed)

    assert result.most(1) == pytest.approx(200, abs=3)
    assert result.most(0.5) == pytest.approx(150, abs=3)


@seeds
def test_small_burst_keeps_every_second_near_the_rate(seed: int) -> None:
    assert run("GCRA, burst 10", seed=seed).most(1) <= 111


@seeds
def test_sliding_window_spreads_what_comes_after_the_edge(seed: int) -> None:
    fixed, sliding = (run(f"{kind} window", seed=seed) for kind in ("fixed", "sliding"))

    # All of the second limit at once, or as the first one fades.
    assert fixed.last_second(1.3) == pytest.approx(200, abs=2)
    assert sliding.last_second(1.3) == pytest.approx(130, abs=3)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_rate_is_used_up_in_the_long_run(subject: str) -> None:
    admitted = len(run(subject).admitted)

    assert 3 * 100 <= admitted <= 3 * 100 + 110
