"""limits: windows for keys, in memory; what slowapi and flask-limiter stand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from benchmarks.aegis.case import Kept, Timed, keyed, load

limits = load("limits")
strategies = load("limits.strategies")
storage = load("limits.storage")

_MANY = 10**9  # so that nothing is refused


def fixed() -> Any:
    return strategies.FixedWindowRateLimiter(storage.MemoryStorage())


def loops() -> Iterable[Timed]:
    sliding = strategies.SlidingWindowCounterRateLimiter(storage.MemoryStorage())
    rate = limits.RateLimitItemPerMinute(_MANY)
    for case, limiter in (("fixed-window", fixed()), ("sliding-window", sliding)):
        yield Timed(case, "limits", keyed(partial(limiter.hit, rate)))


def keepers() -> Iterable[Kept]:
    def fill(keys: Sequence[str]) -> object:
        limiter, rate = fixed(), limits.RateLimitItemPerMinute(_MANY)
        for key in keys:
            limiter.hit(rate, key)
        return limiter

    yield Kept("memory-limiter", "limits fixed window", fill)
