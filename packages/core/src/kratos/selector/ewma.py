"""What is known of a node's speed and success, as moving averages (Go: selector/node/ewma)."""

from __future__ import annotations

from math import exp, isqrt
from typing import Final

from kratos.selector.outcome import Outcome, OutcomeKind

__all__ = ["TRACKED", "Ewma"]

_TAU: Final = 600_000_000  # ns; a sample's weight falls to 1/e in this time
_PENALTY: Final = 100_000  # ns; stands for the latency of a node that has answered nothing
_ZONE_GAP: Final = 5_000_000  # ns; added to latencies, so that near and far zones compare
_PERFECT: Final = 1000  # success of a node that fails nothing
_SCALE: Final = 10_000  # of weights, so that a fresh node weighs 100
TRACKED: Final = 200  # calls in flight whose age is looked at
_CACHED: Final = 5_000_000  # ns for which a weight is reused
_LONG_AGO: Final = -(1 << 63)  # before every reading of a clock


class Ewma:
    """Latency, success and load of one address; exponentially weighted by time.

    A call that takes longer than usual counts before it has ended: when more than half of
    the calls in flight are older than the average latency, their mean age takes its place.

    All times are monotonic nanoseconds.

    Attributes:
        picked_at: When a call last started; long ago if none has.
        in_flight: Calls under way, and one more.
        starts: When they started, the oldest first; of at most ``TRACKED``.
    """

    __slots__ = (
        "_cached_at",
        "_cached_weight",
        "_lag",
        "_root",
        "_stamp",
        "_success",
        "in_flight",
        "picked_at",
        "starts",
    )

    def __init__(self) -> None:
        self._lag = 0
        self._root = _PENALTY  # of the latency, as it goes into the load
        self._success = _PERFECT
        self.in_flight = 1  # idle counts as one, so that load never is zero
        self._stamp: int | None = None
        self.starts: dict[object, int] = {}
        self._cached_weight = 0.0
        self._cached_at = _LONG_AGO
        self.picked_at = _LONG_AGO

    def begin(self, key: object, now: int) -> None:
        """Note that a call starts; ``key`` tells it from others."""
        self.picked_at = now
        self.in_flight += 1
        if len(self.starts) < TRACKED:
            self.starts[key] = now

    def end(self, key: object, start: int, now: int, outcome: Outcome) -> None:
        """Note that a call ended; a cancelled one only leaves."""
        self.starts.pop(key, None)
        self.in_flight -= 1
        if outcome.kind is OutcomeKind.CANCELLED:
            return
        kept = 0.0 if self._stamp is None else exp(-max(0, now - self._stamp) / _TAU)
        self._stamp = now
        sample = max(0, now - start)
        lag_kept = kept if self._lag else 0.0
        lag = self._lag = int(self._lag * lag_kept + sample * (1 - lag_kept))
        self._root = isqrt(lag + _ZONE_GAP) if lag else _PENALTY
        mark = 0 if outcome.kind is OutcomeKind.FAILURE else _PERFECT
        self._success = int(self._success * kept + mark * (1 - kept))

    def weight(self, now: int) -> float:
        """Return how good a choice the node is: success over load; 100 when nothing is known."""
        if now - self._cached_at > _CACHED:
            self._cached_at = now
            root = self._root
            if self.starts and self._lag:
                predicted = self._predicted(now)
                if predicted > self._lag:
                    root = isqrt(predicted + _ZONE_GAP)
            self._cached_weight = self._success * _SCALE / (root * self.in_flight)
        return self._cached_weight

    def _predicted(self, now: int) -> int:
        """Return the mean age of overdue calls, zero unless more than half are overdue."""
        overdue = total = 0
        for start in self.starts.values():  # oldest first: the rest is younger
            age = now - start
            if age <= self._lag:
                break
            overdue += 1
            total += age
        return total // overdue if overdue >= len(self.starts) // 2 + 1 else 0
