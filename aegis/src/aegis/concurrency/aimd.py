"""A limit that grows by one and shrinks by a share, as TCP does."""

from __future__ import annotations

from aegis import _check
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency._limit import AdaptiveLimit

__all__ = ["Aimd"]


class Aimd(AdaptiveLimit):
    """Grows by one a window, shrinks by a share when calls were dropped or took too long.

    A window with a drop, or with a mean latency over ``timeout``, sets the limit to ``backoff`` of
    itself and at least one less; any other one raises it by one, if at least half of it were in
    flight. It needs no idea of the latency of an idle back end, but a good ``timeout``.

    Source: Chiu and Jain, 1989; Netflix concurrency-limits, ``AIMDLimit`` (per call, 5 s).

    Args:
        limit: Where to begin.
        min_limit: Least limit, at least 1.
        max_limit: Greatest limit.
        timeout: Seconds of mean latency above which there is overload.
        backoff: Share of the limit that is left of it, in [0.5, 1).
        window: Least seconds between two settings of the limit.
        window_samples: Least latencies that a setting needs.
        clock: Monotonic nanoseconds.
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = ("_backoff", "_timeout")

    def __init__(
        self,
        *,
        limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 1000,
        timeout: float = 5.0,
        backoff: float = 0.9,
        window: float = 0.1,
        window_samples: int = 10,
        clock: Clock = SYSTEM_CLOCK,
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
        _check.above("timeout", timeout)
        _check.between("backoff", backoff, 0.5, 0.999)
        self._timeout = timeout * NANOSECONDS
        self._backoff = backoff

    def _updated(self, latency: float | None, peak: int, *, dropped: bool) -> float:
        estimate = self._estimate
        if dropped or latency is None or latency > self._timeout:
            return min(estimate * self._backoff, estimate - 1)
        return estimate + 1 if 2 * peak >= estimate else estimate
