"""The window breaker used by several threads, and its options."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import inf, nan
from typing import Any

import pytest

from aegis import BreakerState, ManualClock, Outcome, WindowBreaker

CLOSED = BreakerState.CLOSED


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_threads_lose_no_count_and_no_probe(clock: ManualClock) -> None:
    breaker = WindowBreaker(
        window=1000.0,
        minimum_calls=100_000,
        open_for=1.0,
        probes=3,
        clock=clock,
        threadsafe=True,
    )

    def hammer(number: int) -> None:
        outcome = Outcome.FAILURE if number % 2 else Outcome.SUCCESS
        for _ in range(1_000):
            breaker.done(breaker.allow() or 0, outcome)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, range(4)))
        stats = breaker.stats()
        assert (stats.calls, stats.failed, stats.state) == (4_000, 2_000, CLOSED)


def test_threads_share_the_probes(clock: ManualClock) -> None:
    breaker = WindowBreaker(last_calls=1, open_for=1.0, probes=3, clock=clock, threadsafe=True)
    breaker.done(breaker.allow() or 0, Outcome.FAILURE)
    clock.advance(1)

    def ask(_: int) -> int | None:
        return breaker.allow()

    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(ask, range(400)))

    given = [token for token in tokens if token is not None]
    assert len(given) == len(set(given)) == 3
    assert breaker.stats().refused == 397


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last_calls": 0}, "last_calls must be finite and at least 1, got 0"),
        ({"last_calls": 5, "window": 5.0}, "either last_calls or window"),
        ({"last_calls": 5, "minimum_calls": 6}, r"at most last_calls \(5\), got 6"),
        ({"minimum_calls": 101}, r"at most last_calls \(100\), got 101"),
        ({"minimum_calls": 0}, "minimum_calls must be finite and at least 1"),
        ({"window": 0.0}, "window must be finite"),
        ({"window": 1.0, "buckets": 0}, "buckets must be finite"),
        ({"failure_rate": 0}, "failure_rate must be more than 0 and at most 1, got 0"),
        ({"failure_rate": nan}, "failure_rate must be"),
        ({"slow_rate": 1.1}, "slow_rate must be"),
        ({"slow_call": 0}, "slow_call must be"),
        ({"open_for": inf}, "open_for must be"),
        ({"growth": 0.9}, "growth must be finite and at least 1, got 0.9"),
        ({"open_for": 5.0, "longest_open": 4.0}, "longest_open must be finite and at least 5.0"),
        ({"probes": 0}, "probes must be"),
        ({"probe_timeout": 0}, "probe_timeout must be"),
    ],
)
def test_option_out_of_range_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowBreaker(**options)
