"""A limit that follows the gradient of short-term against long-term latency."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from random import random as uniform
from typing import Final

from aegis import _check
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.concurrency._limit import AdaptiveLimit

__all__ = ["Gradient2"]

_WARM_UP: Final = 10  # windows whose plain mean starts the long average
_STEEPEST: Final = 0.5  # so that one outlier cannot do more than halve the target
_QUEUE: Final = 4.0
_DIP: Final = 2  # windows at half the limit: one to get rid of the queue, one to measure


class Gradient2(AdaptiveLimit):
    """Lets as many calls in as do not make each other wait.

    At the end of each window ``gradient = long / short`` within [0.5, 1], where ``short`` is the
    mean latency of the window and ``long`` its exponential average over ``long_window`` windows;
    ``limit = (1 - smoothing) limit + smoothing (gradient limit + queue_size)``. So about
    ``queue_size`` calls wait when the limit is reached. Where fewer than half of the limit were in
    flight the limit stays: it was not what held calls back. If ``long`` is over twice ``short``,
    as after a long overload, ``long`` shrinks by a tenth. A drop counts as the steepest gradient.

    Source: Netflix concurrency-limits, ``Gradient2Limit`` (which takes no notice of drops and
    has no dips).

    Args:
        limit: Where to begin.
        min_limit: Least limit, at least 1.
        max_limit: Greatest limit.
        window: Least seconds between two settings of the limit.
        window_samples: Least latencies that a setting needs.
        queue_size: Calls that may wait; ``None`` for the greater of 4 and the root of the limit.
        smoothing: Weight of the new value, above 0 and at most 1.
        long_window: Windows that the long average spans.
        probe: Windows, in the mean, between two dips to half of the limit while that is what holds
            calls back; ``long`` then rises by what the dips show alone. 0 for neither.
        clock: Monotonic nanoseconds.
        random: Uniform in [0, 1).
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_before",
        "_dip",
        "_factor",
        "_held",
        "_probe",
        "_probe_at",
        "_queue",
        "_random",
        "_smoothing",
        "_updates",
    )

    def __init__(
        self,
        *,
        limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 1000,
        window: float = 0.25,
        window_samples: int = 10,
        queue_size: int | None = None,
        smoothing: float = 0.2,
        long_window: int = 600,
        probe: int = 60,
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
        if queue_size is not None:
            _check.at_least("queue_size", queue_size, 1)
        _check.above("smoothing", smoothing)
        _check.between("smoothing", smoothing, 0, 1)
        _check.at_least("long_window", long_window, 1)
        _check.at_least("probe", probe, 0)
        self._queue = queue_size
        self._smoothing = smoothing
        self._factor = 2.0 / (long_window + 1)
        self._updates = self._held = self._dip = 0
        self._before = 0.0
        self._probe = probe
        self._random = random
        self._probe_at = self._next_probe()

    def _updated(self, latency: float | None, peak: int, *, dropped: bool) -> float:
        estimate = self._estimate
        if self._dip:
            return self._dipped(estimate, latency)
        held_back = peak >= self._limit
        gradient = 1.0
        if latency is not None:
            gradient = min(self._remembered(latency, held_back=held_back) / latency, 1.0)
        if dropped:
            gradient = _STEEPEST
        elif 2 * peak < estimate:
            return estimate
        if held_back and self._probe and self._probe_due():
            self._dip, self._before = _DIP, estimate
            return estimate / 2
        queue = self._queue if self._queue is not None else max(_QUEUE, sqrt(estimate))
        target = estimate * max(gradient, _STEEPEST) + queue
        return estimate + self._smoothing * (target - estimate)

    def _remembered(self, latency: float, *, held_back: bool) -> float:
        self._updates += 1
        if self._updates <= _WARM_UP:
            self._base += (latency - self._base) / self._updates
        elif latency < self._base or not (held_back and self._probe):
            self._base += (latency - self._base) * self._factor
        if self._base > 2 * latency:
            self._base *= 0.9
        return self._base

    def _probe_due(self) -> bool:
        self._held += 1
        if self._held < self._probe_at:
            return False
        self._held, self._probe_at = 0, self._next_probe()
        return True

    def _dipped(self, estimate: float, latency: float | None) -> float:
        self._dip -= 1
        if self._dip:
            return estimate  # calls let in before still end in this window
        if latency is not None:
            self._base += (latency - self._base) / 2
        return self._before

    def _next_probe(self) -> float:
        return self._probe * (0.5 + self._random())
