"""How busy the process is, as one number: 0 is idle, 1 is all that may be used.

Nothing here has a thread or a timer, except ``LoopLag`` while it is started. A signal is read, and
when its last sample is old enough, that reading takes the next one: some microseconds a few times
a second. So there is nothing to start or to stop, nothing can leak, and a process that serves
nothing measures nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from threading import Lock
from typing import Final, Protocol

from aegis import _check
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency.cgroup import CgroupUnreadable, find_cgroup

__all__ = ["CpuLoad", "Ema", "GoEma", "LoadSignal", "Meter", "cpu_load", "go_cpu_load", "highest"]

_GO_PERIOD: Final = 0.5  # seconds
_GO_DECAY: Final = 0.95
_FULL: Final = 1000  # Go counts in thousandths of the quota


class LoadSignal(Protocol):
    """Tells the load as a number: 0 is idle, 1 is full, more is beyond. Cheap to read."""

    def __call__(self) -> float:
        """Return the load at present."""
        ...


class Smoothing(Protocol):
    """Makes a steady number of samples that are not."""

    def add(self, value: float, seconds: float) -> float:
        """Take the mean ``value`` over the last ``seconds``; return the smoothed one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Something that counts CPU time.

    Attributes:
        name: For messages.
        read: Returns the nanoseconds of CPU time used so far. An ``OSError`` or ``ValueError`` of
            it ends the use of this meter.
        cpus: How many CPUs it may use.
    """

    name: str
    read: Callable[[], int]
    cpus: float


class Ema:
    """Exponential average that knows how long a sample took, so that uneven ones weigh rightly.

    Args:
        time_constant: Seconds after which 63 % of a step have arrived, more than 0.
    """

    __slots__ = ("_time_constant", "value")

    def __init__(self, time_constant: float) -> None:
        _check.above("time_constant", time_constant)
        self._time_constant = time_constant
        self.value = 0.0

    def add(self, value: float, seconds: float) -> float:
        """Take the mean ``value`` over the last ``seconds``; return the smoothed one."""
        self.value += (value - self.value) * (1 - exp(-seconds / self._time_constant))
        return self.value


class GoEma:
    """The average of Go aegis: in whole thousandths, 0.95 of the old one every half second.

    Cutting off the fraction at each step gives it a fixed point of 0.981 at full load. A sample
    that took longer than half a second counts as so many.
    """

    __slots__ = ("_thousandths",)

    def __init__(self) -> None:
        self._thousandths = 0

    def add(self, value: float, seconds: float) -> float:
        """Take the mean ``value`` over the last ``seconds``; return the smoothed one."""
        usage = min(int(value * _FULL), _FULL)
        for _ in range(min(max(round(seconds / _GO_PERIOD), 1), _FULL)):
            self._thousandths = int(self._thousandths * _GO_DECAY + usage * (1.0 - _GO_DECAY))
        return self._thousandths / _FULL


class CpuLoad:
    """CPU time that was used, as a share of what may be used: the highest share of its meters.

    By default there are two. The cgroup's time by its quota sees everything in the container. The
    process' own time by one CPU (or by the quota, if that is less) sees what the first one cannot:
    under the interpreter lock a process that uses one CPU of four is full. Without the lock the
    process may use the whole quota.

    Source: Go aegis ``internal/cpu`` and ``ratelimit/bbr``. Unlike there, the cgroup is the
    process' own, its quota the tightest of it and its parents, idleness is told, and what cannot be
    read is left out (see ``problems``) instead of ending the program.

    Args:
        quota: CPUs that may be used, where the system does not tell the truth (as in some
            sandboxes); by default what the cgroup says.
        period: Least seconds of a sample.
        time_constant: Seconds of smoothing.
        exact: Sample and smooth as Go does: every 0.5 s, 0.95, in whole thousandths. ``period``
            and ``time_constant`` then are not used. It takes 16.5 s to tell full load from idle.
        meters: What to read instead of cgroup and process.
        clock: Monotonic nanoseconds.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_at",
        "_clock",
        "_due",
        "_lock",
        "_meters",
        "_period",
        "_problems",
        "_smooth",
        "_used",
        "_value",
    )

    def __init__(
        self,
        *,
        quota: float | None = None,
        period: float = 0.1,
        time_constant: float = 0.2,
        exact: bool = False,
        meters: Sequence[Meter] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if quota is not None:
            _check.above("quota", quota)
        _check.above("period", period)
        self._smooth: Smoothing = GoEma() if exact else Ema(time_constant)
        self._period = round((_GO_PERIOD if exact else period) * NANOSECONDS)
        self._clock = clock
        self._problems: list[str] = []
        self._meters = list(self._found(quota) if meters is None else meters)
        self._used: list[int] = []
        self._lock = Lock()  # of sampling; readers never wait for it
        self._at = self._due = 0
        self._value = 0.0

    @property
    def problems(self) -> tuple[str, ...]:
        """Why meters are not read: one sentence for each. Without any meter the load is 0."""
        return tuple(self._problems)

    def __call__(self) -> float:
        """Return the smoothed load, from 0 to 1; 0 until the first sample is complete."""
        now = self._clock()
        if now >= self._due and self._lock.acquire(blocking=False):
            try:
                self._sample(now)
            finally:
                self._lock.release()
        return self._value

    def _found(self, quota: float | None) -> list[Meter]:
        found: list[Meter] = []
        try:
            group = find_cgroup()
        except CgroupUnreadable as error:
            self._problems.append(str(error))
            quota = quota or float(os.cpu_count() or 1)
        else:
            quota = quota or group.quota
            found.append(Meter(name="cgroup", read=group.used, cpus=quota))
        cpus = min(quota, 1.0) if _has_lock() else quota
        return [*found, Meter(name="process", read=time.process_time_ns, cpus=cpus)]

    def _sample(self, now: int) -> None:
        first, elapsed = not self._used, now - self._at
        if not first and now < self._due:
            return  # another thread has just taken it
        used: list[int] = []
        for meter in tuple(self._meters):
            try:
                used.append(meter.read())
            except (OSError, ValueError) as error:
                self._problems.append(f"{meter.name} is no longer read: {error}")
                self._meters.remove(meter)
                first = True  # begin anew, as the readings no longer fit the meters
        if not first:
            shares = [
                (new - old) / (elapsed * meter.cpus)
                for new, old, meter in zip(used, self._used, self._meters, strict=True)
            ]
            share = min(max(shares), 1.0)
            self._value = self._smooth.add(max(share, 0.0), elapsed / NANOSECONDS)
        elif not self._meters:
            self._value = 0.0
        self._used, self._at, self._due = used, now, now + self._period


@cache
def cpu_load() -> CpuLoad:
    """Return the ``CpuLoad`` that the whole process shares; limiters use it by default."""
    return CpuLoad()


@cache
def go_cpu_load() -> CpuLoad:
    """Return the shared one that samples and smooths as Go does."""
    return CpuLoad(exact=True)


def highest(*signals: LoadSignal) -> LoadSignal:
    """Return a signal that tells the highest of several."""
    return lambda: max(signal() for signal in signals)


def _has_lock() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())
