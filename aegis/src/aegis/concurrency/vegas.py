"""A limit that keeps the number of waiting calls small, as TCP Vegas does with packets."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log10
from random import random as uniform

from aegis import _check
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.concurrency._limit import AdaptiveLimit

__all__ = ["Vegas"]


class Vegas(AdaptiveLimit):
    """Estimates how many calls wait, and keeps that number between bounds.

    ``queue = ceil(limit (1 - base / latency))``, where ``base`` is the least window mean since the
    last probe. With ``step = max(1, log10(limit))``: up to ``step`` waiting the limit grows by 6
    steps, below 3 steps by one, above 6 steps (or after a drop) it shrinks by one. While fewer than
    half of the limit were in flight it does not grow. Every ``probe`` x limit x (0.5 to 1) windows
    ``base`` is forgotten, so that a back end that got slower for good is believed.

    Source: Brakmo and Peterson, "TCP Vegas", 1995; Netflix concurrency-limits, ``VegasLimit``.

    Args:
        limit: Where to begin.
        min_limit: Least limit, at least 1.
        max_limit: Greatest limit.
        window: Least seconds between two settings of the limit.
        window_samples: Least latencies that a setting needs.
        probe: Windows per unit of the limit after which ``base`` is measured anew.
        clock: Monotonic nanoseconds.
        random: Uniform in [0, 1).
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = ("_probe", "_probe_at", "_random", "_updates")

    def __init__(
        self,
        *,
        limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 1000,
        window: float = 0.25,
        window_samples: int = 10,
        probe: int = 30,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = uniform,
        threadsafe: bool = False,
    ) -> None:
        super().__init__(
            limit=limit,
            min_limit=min_limit,
            max_limit=max_limit,
            window=window,
            window_samples=window_samples,
            clock=clock,
            threadsafe=threadsafe,
        )
        _check.at_least("probe", probe, 1)
        self._probe = probe
        self._random = random
        self._updates = 0
        self._probe_at = self._next_probe()

    def _updated(self, latency: float | None, peak: int, *, dropped: bool) -> float:
        estimate = self._estimate
        step = max(1.0, log10(estimate))
        fresh = latency is not None and self._base_is_fresh(latency)
        if dropped or latency is None:
            return estimate - step
        if fresh:
            return estimate
        queue = ceil(estimate * (1 - self._base / latency))
        if queue > 6 * step:
            return estimate - step
        if 2 * peak < estimate:
            return estimate
        if queue <= step:
            return estimate + 6 * step
        return estimate + step if queue < 3 * step else estimate

    def _base_is_fresh(self, latency: float) -> bool:
        self._updates += 1
        if self._updates >= self._probe_at * self._estimate:
            self._updates, self._probe_at = 0, self._next_probe()
        elif 0 < self._base <= latency:
            return False
        self._base = latency
        return True

    def _next_probe(self) -> float:
        return self._probe * (0.5 + self._random() / 2)
