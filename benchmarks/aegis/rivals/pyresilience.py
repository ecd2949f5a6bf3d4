"""pyresilience: breaker by consecutive failures or a window of calls, limiter, retry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.aegis.case import Kept, Loop, Timed, called, empty, load

pyresilience = load("pyresilience")


def recorded(breaker: Any) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            if breaker.allow_request():
                breaker.record_success()

    return loop


def loops() -> Iterable[Timed]:
    config, breaker = pyresilience.CircuitBreakerConfig, pyresilience.CircuitBreaker
    yield Timed("breaker", "pyresilience", recorded(breaker(config())))
    window = breaker(config(sliding_window_size=100))
    yield Timed("breaker", "pyresilience window", recorded(window))
    decorated = pyresilience.resilient(circuit_breaker=config())(empty)
    yield Timed("breaker-decorated", "pyresilience", called(decorated))
    many = pyresilience.RateLimiterConfig(max_calls=10**9, period=1.0)
    yield Timed("token-bucket", "pyresilience", called(pyresilience.RateLimiter(many).acquire))
    retrying = pyresilience.resilient(retry=pyresilience.RetryConfig())(empty)
    yield Timed("retry", "pyresilience", called(retrying))


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        config = pyresilience.CircuitBreakerConfig()
        return {key: pyresilience.CircuitBreaker(config) for key in keys}

    yield Kept("memory-breaker", "pyresilience", fill)
