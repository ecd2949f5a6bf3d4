"""A back end in virtual time: c servers, one FIFO queue, exponential service, Poisson arrivals.

Arrivals are open-loop: refused or slow calls make nobody come less often, which is the hard case.
The guard under test sees the virtual clock alone, so a run of minutes takes a second and is the
same each time.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Protocol

from aegis.clock import NANOSECONDS, ManualClock
from aegis.guard import Guard

__all__ = ["BackEnd", "Call", "Gate", "Guarding", "Phase", "Run", "Servers", "Summary", "simulate"]

_TICK: Final = NANOSECONDS // 10  # between two looks at the guard


@dataclass(frozen=True, slots=True, kw_only=True)
class BackEnd:
    """What the guard protects.

    Attributes:
        servers: Calls served at a time.
        service: Mean seconds that one call takes.
    """

    servers: int
    service: float

    @property
    def capacity(self) -> float:
        """Calls a second."""
        return self.servers / self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A time of constant load.

    Attributes:
        seconds: How long.
        load: Arrivals as a share of the capacity of the healthy back end.
        slowness: Service times are this many times the usual ones.
    """

    seconds: float
    load: float
    slowness: float = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it came and how long it took, in seconds; ``None`` if it was refused."""

    at: float
    took: float | None
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened within an interval.

    Attributes:
        throughput: Calls that ended in the interval, as a share of capacity.
        median: Seconds, of those.
        p99: Seconds, of those.
        refused: Share of the calls that came.
    """

    throughput: float
    median: float
    p99: float
    refused: float


@dataclass(slots=True)
class Run:
    """All calls of a simulation, and what ``probe`` said at each tenth of a second."""

    back_end: BackEnd
    calls: list[Call] = field(default_factory=list[Call])
    probes: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def between(self, start: float, end: float, *, priority: int | None = None) -> Summary:
        """Summarise what came, and what ended, from ``start`` to ``end`` seconds of the run."""
        calls = [call for call in self.calls if priority is None or call.priority == priority]
        came = [call for call in calls if start <= call.at < end]
        ended = [call.took for call in calls if call.took and start <= call.at + call.took < end]
        return self._summary(came, ended, end - start)

    def over_time(self, width: float) -> list[tuple[float, Summary]]:
        """Summarise each ``width`` seconds, for plots."""
        came = defaultdict[int, list[Call]](list)
        ended = defaultdict[int, list[float]](list)
        for call in self.calls:
            came[int(call.at / width)].append(call)
            if call.took:
                ended[int((call.at + call.took) / width)].append(call.took)
        return [
            (number * width, self._summary(came[number], ended[number], width))
            for number in range(max(came) + 1)
        ]

    def _summary(self, came: Sequence[Call], ended: Sequence[float], seconds: float) -> Summary:
        took = sorted(ended)
        return Summary(
            throughput=len(took) / seconds / self.back_end.capacity,
            median=took[len(took) // 2] if took else 0.0,
            p99=took[len(took) * 99 // 100] if took else 0.0,
            refused=sum(call.took is None for call in came) / len(came) if came else 0.0,
        )


class Gate(Protocol):
    """What is under test: told the priority of a call, it lets it in with a token or does not."""

    def allow(self, priority: int, /) -> int | None:
        """Return a token, or ``None`` to refuse."""
        ...

    def done(self, token: int, /) -> None:
        """Hear that the call has been served."""
        ...


class Guarding:
    """A guard as a gate, which knows no priorities."""

    __slots__ = ("done", "guard")

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.done = guard.done

    def allow(self, _priority: int, /) -> int | None:
        """Ask the guard."""
        return self.guard.allow()


class Servers:
    """The servers: who is busy until when, and how busy they have been."""

    __slots__ = ("_at", "_busy", "_clock", "_free", "_inside", "_leaving", "_number")

    def __init__(self, number: int, clock: ManualClock) -> None:
        self._clock = clock
        self._number = number
        self._free = [clock.now] * number  # as heap: when each server will be free
        self._leaving: list[tuple[int, int, int]] = []  # as heap: end, token, index of the call
        self._inside = self._busy = 0
        self._at = clock.now

    def used(self) -> int:
        """Return the nanoseconds of work done so far: the CPU time of the back end."""
        self._integrate(self._clock.now)
        return self._busy

    @property
    def next_end(self) -> int | None:
        """When the next call will have been served."""
        return self._leaving[0][0] if self._leaving else None

    def put(self, now: int, work: int, token: int, index: int) -> None:
        """Queue a call that needs ``work`` nanoseconds."""
        self._integrate(now)
        end = max(now, heappop(self._free)) + work
        heappush(self._free, end)
        heappush(self._leaving, (end, token, index))
        self._inside += 1

    def pop(self) -> tuple[int, int]:
        """Take the call that has been served out; return its token and index."""
        end, token, index = heappop(self._leaving)
        self._integrate(end)
        self._inside -= 1
        return token, index

    def _integrate(self, now: int) -> None:
        self._busy += (now - self._at) * min(self._inside, self._number)
        self._at = now


def simulate(
    make: Callable[[ManualClock, Servers], Gate],
    back_end: BackEnd,
    phases: Sequence[Phase],
    *,
    seed: int = 1,
    probe: Callable[[Gate], float] | None = None,
    priority: Callable[[random.Random], int] | None = None,
) -> Run:
    """Send calls through the gate that ``make`` returns, for as long as the phases last.

    Args:
        make: Builds what is under test on the clock; the servers serve as its load signal.
        back_end: What serves the calls.
        phases: How many calls come, and how slow the servers are, one after the other.
        seed: The same one gives the same run.
        probe: Read off the gate ten times a second, for plots.
        priority: Draws the priority of a call; 0 for all if it is not given.

    Returns:
        What came of each call. Those that are queued at the end are served out.
    """
    chance = random.Random(seed)
    clock = ManualClock()
    zero = clock.now
    servers = Servers(back_end.servers, clock)
    gate = make(clock, servers)
    run = Run(back_end)
    came: list[tuple[int, int]] = []  # arrival and priority by index
    took: list[int | None] = []
    tick = begin = zero

    def pass_to(now: int) -> None:
        nonlocal tick
        while (end := servers.next_end) is not None and end <= now:
            clock.now = end
            token, index = servers.pop()
            took[index] = end - came[index][0]
            gate.done(token)
        clock.now = now
        if probe is not None and now >= tick:
            run.probes.append(((now - zero) / NANOSECONDS, probe(gate)))
            tick = now + _TICK

    for phase in phases:
        rate = phase.load * back_end.capacity / NANOSECONDS
        mean = phase.slowness * back_end.service * NANOSECONDS
        now, begin = begin, begin + round(phase.seconds * NANOSECONDS)
        while (now := now + max(1, round(chance.expovariate(rate)))) < begin:
            pass_to(now)
            # Drawn for refused calls too, so that all gates see the same calls.
            work = max(1, round(chance.expovariate(1 / mean)))
            level = priority(chance) if priority is not None else 0
            token = gate.allow(level)
            came.append((now, level))
            took.append(None)
            if token is not None:
                servers.put(now, work, token, len(came) - 1)
    while servers.next_end is not None:
        pass_to(servers.next_end)
    run.calls = [
        Call((at - zero) / NANOSECONDS, None if n is None else n / NANOSECONDS, level)
        for (at, level), n in zip(came, took, strict=True)
    ]
    return run
