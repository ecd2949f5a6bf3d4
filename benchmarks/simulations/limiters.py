"""Limits of concurrency under a step of load and in front of a slow back end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from aegis.clock import ManualClock
from aegis.concurrency import Aimd, Bbr, CpuLoad, FixedLimit, Gradient2, Vegas
from aegis.concurrency.load import Meter
from aegis.guard import Guarded
from benchmarks.simulations.plot import Line, Panel, save
from benchmarks.simulations.queue import (
    BackEnd,
    Gate,
    Guarding,
    Phase,
    Run,
    Servers,
    Summary,
    simulate,
)

__all__ = ["BACK_ENDS", "SCENARIOS", "SUBJECTS", "Scenario", "report", "run"]

Subject: TypeAlias = Callable[[ManualClock, Servers, BackEnd], Guarded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Phases of load, and the intervals that the table shows, in seconds from the start."""

    title: str
    phases: Sequence[Phase]
    intervals: Sequence[tuple[str, int, int]]


def _step(load: float) -> Scenario:
    return Scenario(
        title=f"0.5x, then {load:g}x of capacity from 20 s to 100 s, then 0.5x",
        phases=(
            Phase(seconds=20, load=0.5),
            Phase(seconds=80, load=load),
            Phase(seconds=40, load=0.5),
        ),
        intervals=(("first 10 s", 20, 30), ("steady", 40, 100), ("after", 110, 140)),
    )


BACK_ENDS: Final = {
    "1x5ms": BackEnd(servers=1, service=0.005),
    "8x40ms": BackEnd(servers=8, service=0.040),
}

SCENARIOS: Final = {
    "2x": _step(2),
    "5x": _step(5),
    "slow": Scenario(
        title="0.5x of capacity; service takes 4 times as long from 20 s to 60 s",
        phases=(
            Phase(seconds=20, load=0.5),
            Phase(seconds=40, load=0.5, slowness=4),
            Phase(seconds=40, load=0.5),
        ),
        intervals=(("first 10 s", 20, 30), ("steady", 40, 60), ("after", 70, 100)),
    ),
}


def _no_limit(*_: object) -> FixedLimit:
    return FixedLimit(1_000_000)


def _gradient2(clock: ManualClock, *_: object) -> Gradient2:
    return Gradient2(clock=clock, random=_uniform())


def _vegas(clock: ManualClock, *_: object) -> Vegas:
    return Vegas(clock=clock, random=_uniform())


def _aimd(clock: ManualClock, _: Servers, back_end: BackEnd) -> Aimd:
    return Aimd(clock=clock, timeout=10 * back_end.service)


def _bbr(clock: ManualClock, servers: Servers, back_end: BackEnd) -> Bbr:
    return Bbr(clock=clock, load=_cpu(clock, servers, back_end, exact=False))


def _go_bbr(clock: ManualClock, servers: Servers, back_end: BackEnd) -> Bbr:
    return Bbr(clock=clock, load=_cpu(clock, servers, back_end, exact=True), exact=True)


def _cpu(clock: ManualClock, servers: Servers, back_end: BackEnd, *, exact: bool) -> CpuLoad:
    meter = Meter(name="servers", read=servers.used, cpus=back_end.servers)
    return CpuLoad(meters=[meter], exact=exact, clock=clock)


SUBJECTS: Final[dict[str, Subject]] = {
    "no limit": _no_limit,
    "Gradient2": _gradient2,
    "Vegas": _vegas,
    "Aimd 10x": _aimd,
    "Bbr": _bbr,
    "Bbr as in Go": _go_bbr,
}


def run(subject: str, back_end: str, scenario: str, *, seed: int = 1, probe: bool = False) -> Run:
    """Simulate one limiter; with ``probe`` the run has its limit over time."""

    def make(clock: ManualClock, servers: Servers) -> Gate:
        guard = SUBJECTS[subject](clock, servers, BACK_ENDS[back_end])
        guards.append(guard)
        return Guarding(guard)

    guards: list[Guarded] = []
    return simulate(
        make,
        BACK_ENDS[back_end],
        SCENARIOS[scenario].phases,
        seed=seed,
        probe=(lambda _: _limit(guards[0])) if probe else None,
    )


def report(plots: Path | None) -> None:
    """Print a table for each back end and scenario, and plot it."""
    for back_end in BACK_ENDS:
        for name, scenario in SCENARIOS.items():
            print(f"\n{back_end}: {scenario.title}")
            print("share of capacity, median / p99 in ms, share refused")
            print(f"{'':16}" + "".join(f"{label:^34}" for label, _, _ in scenario.intervals))
            runs: dict[str, Run] = {}
            for subject in SUBJECTS:
                runs[subject] = run(subject, back_end, name, probe=plots is not None)
                cells = (
                    _cell(runs[subject].between(start, end)) for _, start, end in scenario.intervals
                )
                print(f"{subject:16}" + "".join(f"{cell:^34}" for cell in cells), flush=True)
            if plots is not None:
                title = f"{back_end}: {scenario.title}"
                save(plots / f"limiters-{back_end}-{name}.svg", _panels(runs), title=title)


def _panels(runs: dict[str, Run]) -> list[Panel]:
    limits, goodput, p99 = list[Line](), list[Line](), list[Line]()
    for name, result in runs.items():
        width = 2.0
        points = result.over_time(width)
        goodput.append(Line(name, [(at, summary.throughput) for at, summary in points]))
        p99.append(Line(name, [(at, summary.p99 * 1e3) for at, summary in points if summary.p99]))
        if name != "no limit":
            limits.append(Line(name, result.probes[::10]))
    return [
        Panel("served / capacity", goodput, marks=(1.0,)),
        Panel("p99, ms", p99, log=True),
        Panel("limit", limits, log=True),
    ]


def _cell(summary: Summary) -> str:
    return (
        f"{summary.throughput:.2f}  {summary.median * 1e3:5.0f} / {summary.p99 * 1e3:5.0f}"
        f"  {summary.refused:.3f}"
    )


def _uniform() -> Callable[[], float]:
    return random.Random(7).random


def _limit(guard: Guarded) -> float:
    match guard:
        case Bbr():
            return guard.stats().limit + 1.0  # as many as may run
        case Aimd() | FixedLimit() | Gradient2() | Vegas():
            return float(guard.stats().limit)
        case _:
            return 0.0
