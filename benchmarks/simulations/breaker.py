"""What circuit breakers let through, in front of a back end that fails, is full, or comes back.

Calls arrive at random (Poisson), and are answered at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

from aegis.circuitbreaker import SreBreaker, WindowBreaker
from aegis.clock import NANOSECONDS, ManualClock
from aegis.guard import Guarded
from aegis.outcome import Outcome
from benchmarks.simulations.plot import Line, Panel, save

__all__ = ["RATE", "SUBJECTS", "Row", "capacity", "errors", "outage", "plot", "report", "run"]

BackEnd: TypeAlias = Callable[[float], bool]
"""Answers whether a call at this second succeeds."""

Subject: TypeAlias = Callable[[ManualClock, random.Random], Guarded]

RATIOS: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CAPACITIES: Final = (20, 50, 100)
RATES: Final = (50, 200, 1000)
RATE: Final = 200  # calls a second, where nothing else is said

_SETTLED: Final = 60.0  # seconds after which averages are taken
_BEFORE, _DOWN, _AFTER = 10.0, 30.0, 45.0  # seconds of the outage's acts
_RECOVERED: Final = 0.95
_NEVER: Final = float("inf")


def _sre(clock: ManualClock, draws: random.Random, *, preset: str, counted: bool) -> SreBreaker:
    make = SreBreaker.aegis if preset == "aegis" else SreBreaker.kratos3
    return make(count_rejected=counted, clock=clock, random=draws.random)


SUBJECTS: Final[dict[str, Subject]] = {
    "aegis": lambda clock, draws: _sre(clock, draws, preset="aegis", counted=True),
    "aegis, not counted": lambda clock, draws: _sre(clock, draws, preset="aegis", counted=False),
    "kratos3": lambda clock, draws: _sre(clock, draws, preset="kratos3", counted=True),
    "kratos3, not counted": lambda clock, draws: _sre(
        clock, draws, preset="kratos3", counted=False
    ),
    "window, open 2 s": lambda clock, _: WindowBreaker(open_for=2.0, clock=clock),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        scenario: ``errors``, ``capacity`` or ``outage``.
        subject: Name of the breaker.
        value: What was varied: share of errors, capacity or rate of calls.
        admitted: Calls let through; a share for ``errors``, a rate for ``capacity``, and for
            ``outage`` the rate while the back end was down.
        recovery: Seconds after the outage until 95 % of the calls get through: the least, the
            most.
    """

    scenario: str
    subject: str
    value: float
    admitted: float
    recovery: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Call:
    at: float  # seconds
    admitted: bool
    ok: bool


def calls(
    subject: str, back_end: BackEnd, *, rate: float, seconds: float, seed: int
) -> Iterator[_Call]:
    """Yield the calls of one run, in order."""
    draws = random.Random(seed)
    clock = ManualClock()
    start = clock.now
    breaker = SUBJECTS[subject](clock, draws)
    at = 0.0
    while (at := at + draws.expovariate(rate)) < seconds:
        clock.now = start + round(at * NANOSECONDS)
        token = breaker.allow()
        ok = token is not None and back_end(at)
        if token is not None:
            breaker.done(token, Outcome.SUCCESS if ok else Outcome.FAILURE)
        yield _Call(at, token is not None, ok)


def errors(subject: str, ratio: float, *, seconds: float = 60.0, seed: int = 1) -> Row:
    """Return the share that is let through when calls fail by chance, once it is steady."""
    chance = random.Random(seed + 1000)
    run = calls(
        subject,
        lambda _: chance.random() >= ratio,
        rate=RATE,
        seconds=seconds + _SETTLED,
        seed=seed,
    )
    late = [call.admitted for call in run if call.at >= _SETTLED]
    return Row("errors", subject, ratio, sum(late) / len(late))


def capacity(subject: str, limit: float, *, seconds: float = 60.0, seed: int = 1) -> Row:
    """Return the rate that is let through to a back end that serves ``limit`` calls a second."""
    free_at = 0.0

    def serve(at: float) -> bool:
        nonlocal free_at
        if free_at > at + 0.1:  # a tenth of a second's worth may come at once
            return False
        free_at = max(free_at, at) + 1 / limit
        return True

    run = calls(subject, serve, rate=RATE, seconds=seconds + _SETTLED, seed=seed)
    admitted = sum(call.admitted for call in run if call.at >= _SETTLED)
    return Row("capacity", subject, limit, admitted / seconds)


def outage(subject: str, rate: float, *, seeds: Sequence[int] = (1, 2, 3, 4, 5)) -> Row:
    """Return how long it takes to be back after a total outage of 30 seconds."""
    times, through = list[float](), 0
    for seed in seeds:
        run = list(_outage(subject, rate, seed))
        through += sum(c.admitted for c in run if _BEFORE <= c.at < _BEFORE + _DOWN)
        times.append(_recovery(run))
    admitted = through / len(seeds) / _DOWN
    return Row("outage", subject, rate, admitted, (min(times), max(times)))


def _outage(subject: str, rate: float, seed: int) -> Iterator[_Call]:
    return calls(
        subject,
        lambda at: not _BEFORE <= at < _BEFORE + _DOWN,
        rate=rate,
        seconds=_BEFORE + _DOWN + _AFTER,
        seed=seed,
    )


def _recovery(run: Sequence[_Call]) -> float:
    """Return when the first second began in which 95 % got through, in tenths of a second."""
    admitted = [0] * round(_AFTER * 10)
    offered = [0] * len(admitted)
    for call in run:
        tenth = int((call.at - _BEFORE - _DOWN) * 10)
        if call.at >= _BEFORE + _DOWN and tenth < len(admitted):
            offered[tenth] += 1
            admitted[tenth] += call.admitted
    for tenth in range(len(admitted) - 9):
        if sum(admitted[tenth : tenth + 10]) >= _RECOVERED * sum(offered[tenth : tenth + 10]):
            return tenth / 10
    return _NEVER


def run() -> list[Row]:
    """Return the rows of all tables."""
    return [
        *(errors(subject, ratio) for subject in SUBJECTS for ratio in RATIOS),
        *(capacity(subject, limit) for subject in SUBJECTS for limit in CAPACITIES),
        *(outage(subject, rate) for subject in SUBJECTS for rate in RATES),
    ]


def report(plots: Path | None) -> None:
    """Print the tables, and save the plots in a folder unless there is none."""
    rows = run()
    print(f"share let through when calls fail by chance, {RATE} calls/s")
    _table(rows, "errors", RATIOS, lambda row: f"{row.admitted:.4f}")
    print(f"\ncalls/s let through to a back end of a capacity in calls/s, of {RATE}")
    _table(rows, "capacity", CAPACITIES, lambda row: f"{row.admitted:.1f}")
    print("\nseconds to recover from a total outage of 30 s, by calls/s, 5 seeds")
    _table(rows, "outage", RATES, lambda row: f"{row.recovery[0]:.1f}-{row.recovery[1]:.1f}")
    print("\ncalls/s that reach the back end while it is down, by calls/s")
    _table(rows, "outage", RATES, lambda row: f"{row.admitted:.1f}")
    if plots is not None:
        plot(plots, rows)


def _table(
    rows: Sequence[Row], scenario: str, values: Sequence[float], cell: Callable[[Row], str]
) -> None:
    print("".join([f"{'':22}", *(f"{value:>11g}" for value in values)]))
    for subject in SUBJECTS:
        cells = [cell(row) for row in rows if (row.scenario, row.subject) == (scenario, subject)]
        print("".join([f"{subject:22}", *(f"{one:>11}" for one in cells)]))


def plot(folder: Path, rows: Sequence[Row]) -> None:
    """Save ``breaker-errors.svg`` and ``breaker-outage.svg``."""
    shares = [
        Line(
            subject,
            [
                (row.value, row.admitted)
                for row in rows
                if (row.scenario, row.subject) == ("errors", subject)
            ],
        )
        for subject in SUBJECTS
    ]
    save(
        folder / "breaker-errors.svg",
        [Panel("share let through", shares)],
        title=f"Calls that fail by chance, {RATE} calls/s",
        horizontal="share of failures",
    )
    admitted, reaching = list[Line](), list[Line]()
    for subject in SUBJECTS:
        seconds = list(_by_second(_outage(subject, RATE, seed=1)))
        admitted.append(Line(subject, [(at, share) for at, share, _ in seconds]))
        reaching.append(Line(subject, [(at, count) for at, _, count in seconds]))
    save(
        folder / "breaker-outage.svg",
        [Panel("share let through", admitted), Panel("calls/s that get through", reaching)],
        title=f"Total outage from 10 s to 40 s, {RATE} calls/s",
    )


def _by_second(run: Iterable[_Call]) -> Iterator[tuple[float, float, int]]:
    """Yield the middle of each second, the share and the number that got through."""
    for second, within in groupby(run, key=lambda call: int(call.at)):
        through = [call.admitted for call in within]
        yield second + 0.5, sum(through) / len(through), sum(through)
