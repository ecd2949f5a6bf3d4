"""What limiters of 100 calls per second admit when five times as many come of a sudden."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aegis import ManualClock
from aegis.ratelimit import FixedWindow, Gcra, SlidingWindow, TokenBucket
from benchmarks.simulations.plot import Line, Panel, save

__all__ = ["SUBJECTS", "Result", "report", "run"]

_BEGIN: Final = 0.7  # so that an edge of the windows comes soon after
_END: Final = 3.7
_STEP: Final = 0.02  # seconds between points of the plot


class _Limiter(Protocol):
    def allow(self, n: int = 1, /) -> bool: ...


SUBJECTS: Final[dict[str, Callable[[ManualClock], _Limiter]]] = {
    "fixed window": lambda clock: FixedWindow(limit=100, window=1.0, clock=clock),
    "sliding window": lambda clock: SlidingWindow(limit=100, window=1.0, clock=clock),
    "token bucket, burst 100": lambda clock: TokenBucket(rate=100, burst=100, clock=clock),
    "GCRA, burst 10": lambda clock: Gcra(rate=100, burst=10, clock=clock),
}


@dataclass(frozen=True, slots=True)
class Result:
    """When calls were admitted, in seconds."""

    admitted: Sequence[float]

    def last_second(self, end: float) -> int:
        """Return how many were admitted within the second up to ``end``."""
        return bisect_left(self.admitted, end) - bisect_left(self.admitted, end - 1)

    def most(self, seconds: float) -> int:
        """Return the most that were admitted within so many seconds."""
        return max(
            bisect_left(self.admitted, begin + seconds) - number
            for number, begin in enumerate(self.admitted)
        )


def run(subject: str, *, offered: float = 500, seed: int = 1) -> Result:
    """Offer calls at random moments, ``offered`` per second, from 0.7 s to 3.7 s."""
    source = random.Random(seed)
    clock = ManualClock(0)
    limiter = SUBJECTS[subject](clock)
    admitted: list[float] = []
    clock.advance(_BEGIN)
    while (now := clock.now / 1e9) < _END:
        if limiter.allow():
            admitted.append(now)
        clock.advance(source.expovariate(offered))
    return Result(admitted)


def report(plots: Path | None) -> None:
    """Print what each limiter admits, and draw it."""
    results = {name: run(name) for name in SUBJECTS}
    print("500 calls per second from 0.7 s to 3.7 s; limiters of 100 per second")
    print(f"{'':26}{'all':>8}{'0.5 s':>8}{'1 s':>8}   (the most within so long)")
    for name, result in results.items():
        print(f"{name:26}{len(result.admitted):8}{result.most(0.5):8}{result.most(1):8}")
    if plots is None:
        return
    moments = [number * _STEP for number in range(round(5 / _STEP))]
    save(
        plots / "rate-edge.svg",
        [
            Panel(
                "admitted in all",
                [
                    Line(name, [(end, bisect_left(result.admitted, end)) for end in moments])
                    for name, result in results.items()
                ],
            ),
            Panel(
                "admitted in the last second",
                [
                    Line(name, [(end, result.last_second(end)) for end in moments])
                    for name, result in results.items()
                ],
                marks=[100, 200],
            ),
        ],
        title="Five times the limit comes shortly before an edge of the windows",
    )
