"""What a pick costs, and a pick with its report, by strategy and number of nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from benchmarks.measure import Result
from kratos.selector import (
    ConsistentHash,
    LeastLoaded,
    Node,
    Outcome,
    OutlierEjection,
    PowerOfTwoChoices,
    RandomChoice,
    Selector,
    SlowStart,
    WeightedRoundRobin,
)
from kratos.testing.echo import ECHO
from kratos.transport import Call, CallOptions, Side

__all__ = ["measured"]

_NODES: Final = (10, 1000)
_BATCH: Final = 200  # short: one of them finds a moment in which nobody disturbs
_SUCCESS: Final = Outcome.SUCCESS

Batch: TypeAlias = Callable[[], tuple[float, float]]

_SUBJECTS: Final[dict[str, Callable[[], Selector]]] = {
    "wrr": WeightedRoundRobin,
    "wrr, 3 weights": WeightedRoundRobin,
    "p2c": PowerOfTwoChoices,
    "least": LeastLoaded,
    "random": RandomChoice,
    "hash": ConsistentHash,
    "hash, bounded": lambda: ConsistentHash(bound=1.25),
    "p2c, ejection, slow start": lambda: OutlierEjection(SlowStart(PowerOfTwoChoices())),
}


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all strategies round by round, alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round for a strategy; a twentieth of that is enough here.
    """
    batches = {(count, name): _batch(name, count) for name in _SUBJECTS for count in _NODES}
    results: dict[tuple[str, str], Result] = {}
    for number in range(rounds + 1):
        best = dict.fromkeys(batches, (float("inf"), float("inf")))
        for _ in range(max(1, int(seconds * 50))):  # alternating: all are disturbed alike
            for key, batch in batches.items():
                picked, reported = batch()
                best[key] = min(best[key][0], picked), min(best[key][1], picked + reported)
        for (count, name), (pick, both) in best.items() if number else ():
            for case, took in ((f"pick-{count}", pick), (f"pick+report-{count}", both)):
                result = results.setdefault(
                    (case, name), Result("select", case, name, unit="us_per_pick")
                )
                result.values.append(took * 1e6)
                result.rate = max(result.rate, 1 / took)
    return [results[key] for key in sorted(results, key=lambda key: (len(key[0]), key[0]))]


def _batch(name: str, count: int) -> Batch:
    """Return what makes some picks, then their reports, and tells the seconds of one of each.

    Calls of 16 keys, and 200 in flight at a time: that is a busy client.
    """
    selector = _SUBJECTS[name]()
    weights = (100, 200, 500) if "weights" in name else (None,)
    selector.apply(
        [
            Node(
                scheme="http",
                address=f"10.0.{number // 250}.{number % 250}:80",
                weight=weights[number % len(weights)],
            )
            for number in range(count)
        ]
    )
    calls = [_call(f"key-{number % 16}") for number in range(_BATCH)]
    select, clock = selector.select, time.perf_counter

    def batch() -> tuple[float, float]:
        start = clock()
        picks = [select(call) for call in calls]
        middle = clock()
        for pick in picks:
            pick.done(_SUCCESS)
        end = clock()
        return (middle - start) / _BATCH, (end - middle) / _BATCH

    return batch


def _call(key: str) -> Call:
    call = Call(ECHO, side=Side.CLIENT, transport="bench")
    call.options = CallOptions(key=key)
    return call
