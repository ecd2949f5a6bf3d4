"""A storm of retries after an outage, and what hedging buys for how much load."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Final

from aegis import (
    Backoff,
    Budget,
    HedgePolicy,
    LatencyQuantile,
    ManualClock,
    RetryBudget,
    RetryPolicy,
    TokenRetryBudget,
)
from benchmarks.simulations.plot import Line, Panel, save

__all__ = ["Storm", "hedge", "report", "storm"]

_CAPACITY: Final = 200.0  # requests a second
_LOAD: Final = 0.7  # of the capacity
_TIMEOUT: Final = 1.0  # seconds, after which a caller gives up an attempt
_QUEUE: Final = 2.0  # seconds of work that the server lets wait
_OUTAGE: Final = (20.0, 30.0)
_END: Final = 120.0


@dataclass(slots=True)
class Storm:
    """What happened, second by second."""

    attempts: list[int] = field(default_factory=list[int])
    answered: list[int] = field(default_factory=list[int])

    def share(self, start: float, end: float) -> tuple[float, float]:
        """Return attempts and answers between two seconds, as shares of the capacity."""
        span = slice(int(start), int(end))
        work = (end - start) * _CAPACITY
        return sum(self.attempts[span]) / work, sum(self.answered[span]) / work


class _Server:
    """One queue, first come first served, that knows nothing of callers that have gone."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._free = 0.0

    def answer(self, now: float) -> float | None:
        """Return when a request of now is done with; ``None`` if there is no room for it."""
        if self._free - now > _QUEUE:
            return None
        start = max(now, self._free)
        if _OUTAGE[0] <= start < _OUTAGE[1]:
            start = _OUTAGE[1]  # it hangs
        self._free = start + self._random.expovariate(_CAPACITY)
        return self._free


def storm(attempts: int, *, budget: str = "", seed: int = 1, end: float = _END) -> Storm:
    """Run clients against a server that hangs for ten seconds."""
    clock, source = ManualClock(0), random.Random(seed)
    policy = RetryPolicy(
        attempts=attempts, backoff=Backoff(base=0.1, cap=1.0), budget=_budget(budget, clock)
    )
    server, seen = _Server(source), Storm([0] * int(end), [0] * int(end))
    events: list[tuple[float, int, int, bool | None]] = []  # when, order, attempt, ended how
    order = count()
    heappush(events, (0.0, next(order), 0, None))
    while events[0][0] < end:
        now, _, attempt, ended = heappop(events)
        clock.now = round(now * 1e9)
        if ended is None:
            if attempt == 0:  # the next call follows at random
                after = source.expovariate(_CAPACITY * _LOAD)
                heappush(events, (now + after, next(order), 0, None))
            seen.attempts[int(now)] += 1
            done = server.answer(now)
            in_time = done is not None and done - now <= _TIMEOUT
            until = now if done is None else min(done, now + _TIMEOUT)
            heappush(events, (until, next(order), attempt, in_time))
        elif ended:
            seen.answered[int(now)] += 1
            if policy.budget is not None:
                policy.budget.deposit()
        else:
            delay = policy.next_delay(attempt, TimeoutError(), source.random)
            if delay is not None and (policy.budget is None or policy.budget.withdraw()):
                heappush(events, (now + delay, next(order), attempt + 1, None))
    return seen


def _budget(kind: str, clock: ManualClock) -> Budget | None:
    # A minimum of 1 % of the capacity: what many clients have together must be small too.
    if kind == "ratio":
        return RetryBudget(ratio=0.2, min_per_second=_CAPACITY * 0.01, clock=clock)
    return TokenRetryBudget() if kind == "tokens" else None


@dataclass(frozen=True, slots=True)
class Hedge:
    """What hedging did: seconds that so many of the calls needed at most, and copies per call."""

    p50: float
    p99: float
    p999: float
    load: float


def hedge(quantile: float | None, *, calls: int = 100_000, seed: int = 1) -> Hedge:
    """Make calls of which one in 50 is slow by accident, hedged at a quantile of latency."""
    source = random.Random(seed)

    def latency() -> float:
        slow = source.random() < 0.02
        return source.lognormvariate(-4.6, 0.4) + (source.expovariate(5.0) if slow else 0.0)

    tracked = LatencyQuantile(quantile or 0.5, initial=1.0)
    policy = HedgePolicy(attempts=1 if quantile is None else 2, delay=tracked)
    seen: list[float] = []
    copies = 0
    for _ in range(calls):
        taken, sent = latency(), 1
        delay = policy.next_delay(sent)
        if delay is not None and delay < taken:
            taken, sent = min(taken, delay + latency()), 2
        tracked.observe(taken)
        copies += sent
        seen.append(taken)
    seen.sort()
    p50, p99, p999 = (seen[int(calls * share)] for share in (0.5, 0.99, 0.999))
    return Hedge(p50, p99, p999, copies / calls)


def report(plots: Path | None) -> None:
    """Print the tables, and draw the plots into a folder."""
    _report_storm(plots)
    _report_hedge(plots)


def _report_storm(plots: Path | None) -> None:
    runs = {
        "no retries": storm(1),
        "3 attempts": storm(3),
        "3 attempts, RetryBudget": storm(3, budget="ratio"),
        "3 attempts, TokenRetryBudget": storm(3, budget="tokens"),
    }
    spans = ((0, 20), (20, 30), (30, 45), (60, 120))
    print(f"load {_LOAD} of a capacity that hangs from 20 s to 30 s: attempts / answers in time")
    print(f"  {'':30}" + "".join(f"{f'{a}-{b} s':>16}" for a, b in spans))
    for name, seen in runs.items():
        shares = (seen.share(*span) for span in spans)
        print(f"  {name:30}" + "".join(f"{f'{a:.2f} / {b:.2f}':>16}" for a, b in shares))
    if plots is None:
        return

    def lines(pick: str) -> Iterable[Line]:
        for name, seen in runs.items():
            values: list[int] = getattr(seen, pick)
            yield Line(name, [(n + 0.5, value / _CAPACITY) for n, value in enumerate(values)])

    save(
        plots / "retry.svg",
        [
            Panel("attempts / capacity", list(lines("attempts")), marks=[1.0]),
            Panel("answers in time / capacity", list(lines("answered")), marks=[_LOAD]),
        ],
        title="A server at 70 % of its capacity hangs from 20 s to 30 s",
    )


def _report_hedge(plots: Path | None) -> None:
    quantiles = [None, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99]
    runs = [(quantile, hedge(quantile)) for quantile in quantiles]
    print("hedged at a quantile of latency: p50, p99, p99.9 in ms, copies per call")
    for quantile, run in runs:
        figures = " ".join(f"{1000 * seconds:8.1f}" for seconds in (run.p50, run.p99, run.p999))
        print(f"  {'never' if quantile is None else quantile:6} {figures} {run.load:8.3f}")
    if plots is None:
        return
    hedged = [(quantile, run) for quantile, run in runs if quantile is not None]
    never = runs[0][1]
    save(
        plots / "hedging.svg",
        [
            Panel(
                "latency in ms",
                [
                    Line("p99", [(q, 1000 * run.p99) for q, run in hedged]),
                    Line("p99.9", [(q, 1000 * run.p999) for q, run in hedged]),
                ],
                log=True,
                marks=[1000 * never.p99, 1000 * never.p999],
            ),
            Panel("copies per call", [Line("copies", [(q, run.load) for q, run in hedged])]),
        ],
        title="Hedging calls of which one in 50 is slow by accident (dotted: without)",
        horizontal="quantile of latency after which the second copy is sent",
    )
