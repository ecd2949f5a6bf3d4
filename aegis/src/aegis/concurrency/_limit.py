"""What limits of concurrency share: calls in flight, the limit, latencies of a window."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final

from aegis import _check
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.guard import Guarded
from aegis.outcome import Outcome
from aegis.refusal import Overloaded
from aegis.stats import SUM

__all__ = ["AdaptiveLimit", "LimitStats"]

# An enum member looked up costs more than the branch that it is for.
_SUCCESS: Final = Outcome.SUCCESS
_OVERLOAD: Final = Outcome.OVERLOAD
_IGNORED: Final = Outcome.IGNORED


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStats:
    """What a limit of concurrency is about.

    Attributes:
        limit: Calls that may be in flight at present.
        estimate: The limit as the algorithm has it, before the fraction is cut off.
        inflight: Calls that are in flight.
        admitted: Calls let through since the start.
        refused: Calls refused since the start.
        dropped: Calls that ended with ``OVERLOAD`` since the start.
        latency: Mean seconds of a call in the last window; 0.0 before there was one.
        base_latency: Seconds that the algorithm takes for a call that waits for nothing; 0.0 if
            it has no such notion, or does not know yet.
    """

    limit: int
    estimate: float
    inflight: int
    admitted: int = field(metadata=SUM)
    refused: int = field(metadata=SUM)
    dropped: int = field(metadata=SUM)
    latency: float
    base_latency: float


class AdaptiveLimit(Lockable, Guarded):
    """A limit that is set anew at the end of each window, from the latencies seen in it.

    A call is refused when as many as the limit are in flight. ``min_limit`` is at least 1, so a
    call that would be the only one never is. ``SUCCESS`` gives a sample of latency, ``OVERLOAD``
    marks the window as one with a drop, ``FAILURE`` frees the slot and gives no sample (failures
    are often quick, and would pass for spare capacity), ``IGNORED`` only frees the slot.

    A window ends with the first call that ends after its time, once it holds enough samples; one
    with a drop needs none. Few calls so make long windows, not noisy ones.
    """

    __slots__ = (
        "_base",
        "_clock",
        "_dropped",
        "_end",
        "_estimate",
        "_failed",
        "_inflight",
        "_latency",
        "_limit",
        "_max",
        "_min",
        "_needed",
        "_peak",
        "_refused",
        "_samples",
        "_seen_dropped",
        "_seen_samples",
        "_total",
        "_window",
    )

    LOCKED: ClassVar[tuple[str, ...]] = ("allow", "done", "stats")

    def __init__(
        self,
        *,
        limit: int,
        min_limit: int,
        max_limit: int,
        window: float,
        window_samples: int,
        clock: Clock = SYSTEM_CLOCK,
        threadsafe: bool = False,
    ) -> None:
        _check.at_least("min_limit", min_limit, 1)
        _check.at_least("max_limit", max_limit, min_limit)
        _check.between("limit", limit, min_limit, max_limit)
        _check.above("window", window)
        _check.at_least("window_samples", window_samples, 1)
        self._clock = clock
        self._min = min_limit
        self._max = max_limit
        self._window = round(window * NANOSECONDS)
        self._needed = window_samples
        self._estimate = float(limit)
        self._limit = limit
        self._inflight = self._peak = 0
        self._refused = self._failed = self._dropped = self._seen_dropped = 0
        self._samples = self._seen_samples = self._total = 0
        self._latency = self._base = 0.0  # nanoseconds
        self._end = clock() + self._window

    @property
    def limit(self) -> int:
        """Calls that may be in flight at present."""
        return self._limit

    def allow(self) -> int | None:
        """Return the stamp at which the call starts, or ``None``: the limit is reached."""
        inflight = self._inflight
        if inflight >= self._limit:
            self._refused += 1
            return None
        self._inflight = inflight = inflight + 1
        if inflight > self._peak:
            self._peak = inflight
        return self._clock()

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Free the slot of the call that started at ``token``, and learn from how it ended."""
        now = self._clock()
        self._inflight -= 1
        if outcome is _SUCCESS and now >= token:  # else the clock went back
            self._samples += 1
            self._total += now - token
        elif outcome is _OVERLOAD:
            self._dropped += 1
        else:
            self._failed += 1
            if outcome is _IGNORED:
                return
        if now >= self._end:
            self._close(now)

    def refusal(self) -> Overloaded:
        """Return the exception that tells a caller of the refusal."""
        return Overloaded(f"limit of {self._limit} calls at a time is reached")

    def stats(self) -> LimitStats:
        """Return the limit and what it rests on."""
        ended = self._seen_samples + self._samples + self._dropped + self._failed
        return LimitStats(
            limit=self._limit,
            estimate=self._estimate,
            inflight=self._inflight,
            admitted=ended + self._inflight,
            refused=self._refused,
            dropped=self._dropped,
            latency=self._latency / NANOSECONDS,
            base_latency=self._base / NANOSECONDS,
        )

    @abstractmethod
    def _updated(self, latency: float | None, peak: int, *, dropped: bool) -> float:
        """Return the next estimate of the limit, which the caller clamps to the bounds.

        Args:
            latency: Mean of the window in nanoseconds, more than 0; ``None`` if only drops ended.
            peak: Most calls that were in flight at a time within the window.
            dropped: Whether a call of the window ended with ``OVERLOAD``.
        """

    def _close(self, now: int) -> None:
        dropped = self._dropped > self._seen_dropped
        samples = self._samples
        if samples < self._needed and not dropped:
            return
        latency = None
        if samples:
            self._latency = latency = max(self._total / samples, 1.0)
        estimate = self._updated(latency, self._peak, dropped=dropped)
        self._estimate = min(max(estimate, float(self._min)), float(self._max))
        self._limit = int(self._estimate)
        self._seen_samples += samples
        self._seen_dropped = self._dropped
        self._samples = self._total = 0
        self._peak = self._inflight
        self._end = now + self._window
