"""What is served of each priority at twice the capacity, with and without shedding by priority."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from aegis.clock import ManualClock
from aegis.concurrency import CpuLoad, Gradient2, Priority, Shedder
from aegis.concurrency.load import Meter
from benchmarks.simulations.plot import Line, Panel, save
from benchmarks.simulations.queue import BackEnd, Gate, Guarding, Phase, Run, Servers, simulate

__all__ = ["BACK_ENDS", "MIX", "SUBJECTS", "report", "run"]

BACK_ENDS: Final = {
    "1x5ms": BackEnd(servers=1, service=0.005),
    "8x40ms": BackEnd(servers=8, service=0.040),
}

MIX: Final = {  # shares of the calls
    Priority.CRITICAL: 0.1,
    Priority.HIGH: 0.2,
    Priority.NORMAL: 0.4,
    Priority.LOW: 0.3,
}

SUBJECTS: Final = ("Gradient2 alone", "Shedder on Gradient2", "Shedder on CPU load")

_PHASES: Final = (
    Phase(seconds=20, load=0.5),
    Phase(seconds=60, load=2),
    Phase(seconds=20, load=0.5),
)


def run(subject: str, back_end: str, *, seed: int = 1) -> Run:
    """Simulate twice the capacity from 20 s to 80 s."""
    end = BACK_ENDS[back_end]

    def make(clock: ManualClock, servers: Servers) -> Gate:
        chance = random.Random(7).random
        limiter = Gradient2(clock=clock, random=chance)
        if subject == "Gradient2 alone":
            return Guarding(limiter)
        if subject == "Shedder on Gradient2":
            return Shedder(limiter, clock=clock, random=chance)
        meter = Meter(name="servers", read=servers.used, cpus=end.servers)
        load = CpuLoad(meters=[meter], clock=clock)
        return Shedder(load=load, clock=clock, random=chance)

    return simulate(make, end, _PHASES, seed=seed, priority=_drawn)


def report(plots: Path | None) -> None:
    """Print the served share of each priority, and plot it over time."""
    for back_end in BACK_ENDS:
        print(f"\n{back_end}: 2x of capacity from 20 s to 80 s")
        print("share served of each priority, then all: share of capacity, p99 in ms")
        names = "".join(f"{priority.name.lower():>10}" for priority in MIX)
        print(f"{'':22} {'':12}{names}{'all':>10}{'p99':>8}")
        panels: list[Panel] = []
        for subject in SUBJECTS:
            result = run(subject, back_end)
            for label, start, stop in (("first 10 s", 20, 30), ("steady", 40, 80)):
                served = (
                    f"{1 - result.between(start, stop, priority=priority).refused:10.3f}"
                    for priority in MIX
                )
                total = result.between(start, stop)
                print(
                    f"{subject:22} {label:12}{''.join(served)}"
                    f"{total.throughput:10.2f}{total.p99 * 1e3:8.0f}",
                    flush=True,
                )
            panels.append(Panel(subject, _lines(result)))
        if plots is not None:
            title = f"{back_end}: share served by priority; 2x of capacity from 20 s to 80 s"
            save(plots / f"shedding-{back_end}.svg", panels, title=title)


def _lines(result: Run) -> list[Line]:
    return [
        Line(
            priority.name.lower(),
            [
                (at, 1 - result.between(at, at + 2, priority=priority).refused)
                for at in range(0, 100, 2)
            ],
        )
        for priority in MIX
    ]


def _drawn(chance: random.Random) -> int:
    return chance.choices(list(MIX), weights=list(MIX.values()))[0]
