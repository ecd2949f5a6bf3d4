"""Selectors over nodes of which one is slow, one fails, or one is new: shares and tails.

Each node serves one call at a time, first come first served, with exponential times; arrivals are
Poisson and open-loop, from several clients that know nothing of each other. A client gives a call
up after a second; its node works on, and does not know.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Final, Literal, TypeAlias

from benchmarks.simulations.plot import Line, Panel, save
from kratos.clock import Clock
from kratos.errors import Error
from kratos.selector import (
    LeastLoaded,
    Node,
    Outcome,
    OutlierEjection,
    Pick,
    PowerOfTwoChoices,
    RandomChoice,
    Selector,
    SlowStart,
    WeightedRoundRobin,
)
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

__all__ = ["STRATEGIES", "Fault", "Run", "report", "simulate"]

Fault: TypeAlias = Literal["none", "slow", "failing", "half failing", "new"]

_SERVICE: Final = 0.05  # seconds that a call takes in the mean
_LOAD: Final = 0.5  # of the capacity of all nodes, were they well
_TIMEOUT: Final = 1.0  # seconds, after which a client gives a call up
_SLOW: Final = 10.0  # times the usual, of the node that is slow
_REFUSAL: Final = 0.001  # seconds, in which the node that fails does so
_COLD: Final = 5.0  # times the usual, of a node that is new
_WARM: Final = 20.0  # seconds after which it is as the others
_BEGIN: Final = 10.0  # seconds, when the fault begins, or the node comes
_CLIENTS: Final = 4
_COUNTS: Final = (3, 10, 100, 1000)
_MANY: Final = 1000  # nodes, for which 30 s will do
_CALL: Final = Call(ECHO, side=Side.CLIENT, transport="simulation")
_FAILED: Final = Outcome.failure(Error(503, "SIMULATED"))


class _Time:
    """Virtual seconds, for selectors."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float, /) -> None:
        raise NotImplementedError(f"nothing waits here, not even {seconds} s")


Make: TypeAlias = Callable[[Clock, Callable[[], float]], Selector]


def _ejecting(make: Make) -> Make:
    return lambda clock, draw: OutlierEjection(make(clock, draw), clock=clock, random=draw)


def _slowly(make: Make) -> Make:
    return lambda clock, draw: SlowStart(make(clock, draw), clock=clock, random=draw)


def _wrr(_clock: Clock, _draw: Callable[[], float]) -> Selector:
    return WeightedRoundRobin()


def _random(_clock: Clock, draw: Callable[[], float]) -> Selector:
    return RandomChoice(random=draw)


def _p2c(clock: Clock, draw: Callable[[], float]) -> Selector:
    return PowerOfTwoChoices(clock=clock, random=draw)


def _least(_clock: Clock, draw: Callable[[], float]) -> Selector:
    return LeastLoaded(random=draw)


STRATEGIES: Final[dict[str, Make]] = {
    "random": _random,
    "wrr": _wrr,
    "wrr, ejection": _ejecting(_wrr),
    "wrr, ejection, slow start": _ejecting(_slowly(_wrr)),
    "p2c": _p2c,
    "p2c, ejection, slow start": _ejecting(_slowly(_p2c)),
    "least": _least,
    "least, ejection, slow start": _ejecting(_slowly(_least)),
}


@dataclass(frozen=True, slots=True)
class _Ended:
    """One call: when it came, where it went, how long it took, and whether it failed."""

    at: float
    node: int
    took: float
    failed: bool


@dataclass(slots=True)
class Run:
    """All calls of a simulation.

    Attributes:
        nodes: How many there are.
        odd: Which has the fault, or is new.
        calls: In the order in which they came.
    """

    nodes: int
    odd: int
    calls: list[_Ended] = field(default_factory=list[_Ended])

    def between(self, start: float, end: float) -> Summary:
        """Summarise the calls that came from ``start`` to ``end`` seconds."""
        calls = [call for call in self.calls if start <= call.at < end]
        took = sorted(call.took for call in calls)
        share = sum(call.node == self.odd for call in calls) / max(1, len(calls))
        return Summary(
            share=share * self.nodes,
            failed=sum(call.failed for call in calls) / max(1, len(calls)),
            median=took[len(took) // 2] if took else 0.0,
            p99=took[len(took) * 99 // 100] if took else 0.0,
            busiest=max(Counter(call.node for call in calls).values(), default=0)
            / max(1, len(calls))
            * self.nodes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened within an interval.

    Attributes:
        share: Of the odd node, as a multiple of an even share.
        failed: Share of the calls that failed or were given up.
        median: Seconds.
        p99: Seconds.
        busiest: The largest share of a node, as a multiple of an even share.
    """

    share: float
    failed: float
    median: float
    p99: float
    busiest: float


class _Nodes:
    """The nodes: when each will have done what it has been given."""

    def __init__(self, count: int, fault: Fault, source: random.Random) -> None:
        self._free = [0.0] * count
        self._fault = fault
        self._odd = count - 1 if fault == "new" else 0
        self._random = source

    def answer(self, now: float, node: int) -> tuple[float, bool]:
        """Return when a call of now ends, and whether it fails."""
        odd = node == self._odd and now >= _BEGIN
        # Drawn for all, so that the others see the same whatever the odd one does.
        draw, coin = self._random.expovariate(1 / _SERVICE), self._random.random()
        if odd and self._fault in ("failing", "half failing"):
            if self._fault == "failing" or coin < 0.5:
                return now + _REFUSAL, True
        elif odd and self._fault == "slow":
            draw *= _SLOW
        elif odd and self._fault == "new":
            age = min(1.0, (now - _BEGIN) / _WARM)
            draw *= _COLD + (1 - _COLD) * age
        end = self._free[node] = max(now, self._free[node]) + draw
        return (now + _TIMEOUT, True) if end - now > _TIMEOUT else (end, False)


def simulate(strategy: str, nodes: int, fault: Fault, *, end: float = 60.0, seed: int = 1) -> Run:
    """Send calls for ``end`` seconds; the fault begins at 10 s.

    Args:
        strategy: One of ``STRATEGIES``.
        nodes: How many there are, with the odd one.
        fault: What is the matter with that.
        end: Seconds.
        seed: The same one gives the same run.
    """
    clock = _Time()
    listed = [Node(scheme="http", address=str(number)) for number in range(nodes)]
    draws = random.Random(seed + 1)
    selectors = [STRATEGIES[strategy](clock, draws.random) for _ in range(_CLIENTS)]
    for selector in selectors:
        selector.apply(listed[:-1] if fault == "new" else listed)
    serving = _Nodes(nodes, fault, random.Random(seed))
    run = Run(nodes, nodes - 1 if fault == "new" else 0)
    rate = _LOAD * nodes / _SERVICE
    ends: list[tuple[float, int, Pick, bool]] = []
    arrivals = random.Random(seed + 2)
    arrival, number, joined = 0.0, 0, fault != "new"
    while arrival < end:
        arrival += arrivals.expovariate(rate)
        if not joined and arrival >= _BEGIN:
            joined = True
            for selector in selectors:
                selector.apply(listed)
        while ends and ends[0][0] <= arrival:
            clock.now, _, pick, failed = heappop(ends)
            pick.done(_FAILED if failed else Outcome.SUCCESS)
        clock.now = arrival
        pick = selectors[arrivals.randrange(_CLIENTS)].select(_CALL)
        node = int(pick.node.address)
        until, failed = serving.answer(arrival, node)
        number += 1
        heappush(ends, (until, number, pick, failed))
        run.calls.append(_Ended(arrival, node, until - arrival, failed))
    return run


def report(plots: Path | None) -> None:
    """Print the tables, and draw the plots into a folder."""
    logging.getLogger("kratos.client").setLevel(logging.ERROR)  # of ejections there are many
    faults: tuple[Fault, ...] = ("none", "slow", "failing", "half failing", "new")
    for fault in faults:
        _report_fault(fault, _COUNTS if fault in ("slow", "failing", "new") else _COUNTS[:-1])
    if plots is not None:
        _plot_slow(plots / "selectors-slow.svg")
        _plot_failing(plots / "selectors-failing.svg")
        _plot_new(plots / "selectors-new.svg")


def _report_fault(fault: Fault, counts: Sequence[int]) -> None:
    told = "all nodes are well" if fault == "none" else f"one node is {fault}"
    print(f"{told}: its share / calls failed in % / p50 / p99 in ms")
    print(f"  {'':28}" + "".join(f"{f'{count} nodes':>26}" for count in counts))
    for strategy in STRATEGIES:
        cells = [_cell(_measured(strategy, count, fault)) for count in counts]
        print(f"  {strategy:28}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def _measured(strategy: str, nodes: int, fault: Fault) -> Summary:
    end = 60.0 if nodes < _MANY else 30.0
    run = simulate(strategy, nodes, fault, end=end)
    # From the coming of a new node on; else when what is to be noticed should have been.
    return run.between(_BEGIN if fault == "new" else 2 * _BEGIN, end)


def _cell(found: Summary) -> str:
    return (
        f"{found.share:.2f} / {100 * found.failed:.2f} / "
        f"{1000 * found.median:.0f} / {1000 * found.p99:.0f}"
    )


def _over_time(
    strategies: Sequence[str], fault: Fault, end: float
) -> dict[str, list[tuple[float, Summary]]]:
    """Return what a number of runs show together, every two seconds."""
    found: dict[str, list[tuple[float, Summary]]] = {}
    for strategy in strategies:
        runs = [simulate(strategy, 10, fault, end=end, seed=seed) for seed in range(1, 21)]
        together = Run(10, runs[0].odd, [call for run in runs for call in run.calls])
        found[strategy] = [
            (start + 1.0, together.between(start, start + 2)) for start in range(0, int(end), 2)
        ]
    return found


def _lines(
    found: dict[str, list[tuple[float, Summary]]], value: Callable[[Summary], float]
) -> list[Line]:
    return [Line(name, [(at, value(each)) for at, each in seen]) for name, seen in found.items()]


def _plot_slow(path: Path) -> None:
    names = ("wrr", "wrr, ejection", "p2c", "least, ejection, slow start")
    found = _over_time(names, "slow", 60.0)
    save(
        path,
        [
            Panel("p99 in ms", _lines(found, lambda each: 1000 * each.p99)),
            Panel("share of the slow node", _lines(found, lambda each: each.share), marks=[1.0]),
        ],
        title="One of 10 nodes takes ten times as long from 10 s on",
    )


def _plot_failing(path: Path) -> None:
    names = ("wrr", "wrr, ejection", "p2c", "p2c, ejection, slow start", "least")
    found = _over_time(names, "failing", 60.0)
    save(
        path,
        [
            Panel("calls failed in %", _lines(found, lambda each: 100 * each.failed)),
            Panel("share of the failing node", _lines(found, lambda each: each.share), marks=[1.0]),
        ],
        title="One of 10 nodes fails at once from 10 s on",
    )


def _plot_new(path: Path) -> None:
    names = ("wrr", "wrr, ejection", "wrr, ejection, slow start", "p2c")
    found = _over_time(names, "new", 60.0)
    save(
        path,
        [
            Panel("p99 in ms", _lines(found, lambda each: 1000 * each.p99)),
            Panel("share of the new node", _lines(found, lambda each: each.share), marks=[1.0]),
        ],
        title="A tenth node comes at 10 s, and is cold for 20 s",
    )
