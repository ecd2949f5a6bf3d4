"""Refuse the least important calls first when there is not enough capacity for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from math import exp, inf, sqrt
from random import random as uniform
from typing import ClassVar, Final, Protocol

from aegis import _check
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency.load import LoadSignal
from aegis.guard import Admission, Guard, Guarded
from aegis.outcome import Classify, Outcome, outcome_of
from aegis.refusal import Overloaded
from aegis.stats import SUM

__all__ = ["Priority", "Shedder", "ShedderStats"]

_SUCCESS: Final = Outcome.SUCCESS
_MEMORY: Final = 1.0  # seconds that counts last
_MARGIN: Final = 0.1  # of the refused share, which is not shed, lest shedding cause itself


class Priority(IntEnum):
    """Names for priorities among the usual 128: the less, the more important.

    Between two names there is room for 31 finer ones. A hash of the user, say, added to the
    priority lets the same users through at all services, where chance would hit each call anew.
    """

    CRITICAL = 0
    """Only a limiter refuses it, never the priority."""

    HIGH = 32
    NORMAL = 64
    LOW = 96


class Limiter(Guard, Protocol):
    """A guard that knows how many calls it lets in at a time."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight at present."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedderStats:
    """What the shedder is about.

    Attributes:
        shedding: Share of the calls that is refused out of hand at present.
        cursor: Priorities from this one on are, of this one itself a part.
        inflight: Calls in flight.
        limited: Calls refused by the limiter since the start, whatever their priority.
        admitted: Calls let through since the start, by priority.
        refused: Calls refused since the start for either reason, by priority.
    """

    shedding: float
    cursor: int
    inflight: int
    limited: int = field(metadata=SUM)
    admitted: tuple[int, ...]
    refused: tuple[int, ...]


class Shedder(Lockable, Guarded):
    """Lets the more important calls have the capacity that there is, in three ways.

    **Room.** Once calls are refused, a priority is let in only while so many calls are in flight
    that a burst of more important ones still finds room: up to ``limit - reserve q sqrt(limit)``,
    where ``q`` is the part of what can be let in that the more important calls make up, and the
    root is how much the number of calls in flight varies by chance. That works from one call to the
    next, and a few slots make a great difference.

    **Cursor.** From the share of calls that were refused over the last second, less a tenth of all,
    and the counts of calls by priority follows the priority from which on calls are refused out of
    hand; of that one a part is let in by chance.

    **Load.** If there is a load signal, the share to shed grows by up to ``rise`` a window while
    the load is above ``threshold``, in proportion to the excess, and shrinks by ``fall`` else.

    The most important priority, 0, is refused by the limiter alone.

    Sources: Zhou et al., "Overload Control for Scaling WeChat Microservices" (DAGOR), SoCC 2018,
    for the cursor over a histogram of priorities; trunk reservation, as in telephony (Key, 1990),
    for the room.

    Args:
        limiter: What each call has to pass too. It need not be ``threadsafe``, and should be used
            through the shedder alone.
        load: Signal of load. At least one of the two must be given.
        threshold: Load from which on calls are shed.
        levels: Number of priorities.
        window: Seconds between two settings of the cursor.
        rise: Share of all calls that is shed more after one window, at most, for the load.
        fall: Share that is shed less after a window without too much load.
        reserve: How much room is left for the more important calls, in standard deviations of the
            number of calls in flight; 0 is none.
        clock: Monotonic nanoseconds.
        random: Uniform in [0, 1).
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: An option is out of its range, or there is neither limiter nor load.
    """

    __slots__ = (
        "_admitted",
        "_by_load",
        "_came",
        "_clock",
        "_counts",
        "_cursor",
        "_end",
        "_fall",
        "_inflight",
        "_lately",
        "_levels",
        "_limited",
        "_limiter",
        "_load",
        "_part",
        "_random",
        "_refused",
        "_reserve",
        "_rise",
        "_room",
        "_seen_refused",
        "_share",
        "_threshold",
        "_window",
    )

    LOCKED: ClassVar[tuple[str, ...]] = ("allow", "done", "stats")

    def __init__(
        self,
        limiter: Limiter | None = None,
        *,
        load: LoadSignal | None = None,
        threshold: float = 0.8,
        levels: int = 128,
        window: float = 0.1,
        rise: float = 0.1,
        fall: float = 0.01,
        reserve: float = 2.0,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = uniform,
        threadsafe: bool = False,
    ) -> None:
        if limiter is None and load is None:
            msg = "a shedder needs a limiter or a load signal, got neither"
            raise ValueError(msg)
        _check.between("threshold", threshold, 0, 0.999)
        _check.at_least("levels", levels, 2)
        _check.above("window", window)
        for name, value in (("rise", rise), ("fall", fall)):
            _check.above(name, value)
            _check.between(name, value, 0, 1)
        _check.at_least("reserve", reserve, 0)
        self._limiter = limiter
        self._load = load
        self._threshold = threshold
        self._levels = self._cursor = levels
        self._window = round(window * NANOSECONDS)
        self._rise = rise
        self._fall = fall
        self._clock = clock
        self._random = random
        self._inflight = self._limited = self._seen_refused = 0
        self._share = self._part = self._by_load = self._lately = 0.0
        self._reserve = reserve
        self._room = [inf] * levels  # calls in flight from which on a priority is refused
        self._came = [0] * levels  # of the window
        self._counts = [0.0] * levels  # of the last second or so
        self._admitted, self._refused = [0] * levels, [0] * levels
        self._end = clock() + self._window

    def allow(self, priority: int = Priority.NORMAL) -> int | None:
        """Return a token, or ``None``: the priority is shed, or the limiter refused.

        Args:
            priority: From 0, the most important, to below ``levels``.

        Raises:
            ValueError: There is no such priority.
        """
        if not 0 <= priority < self._levels:
            msg = f"priority must lie between 0 and {self._levels - 1}, got {priority!r}"
            raise ValueError(msg)
        now = self._clock()
        if now >= self._end:
            self._turn(now)
        self._came[priority] += 1
        cursor = self._cursor
        if (
            priority >= cursor and (priority > cursor or self._random() >= self._part)
        ) or self._inflight >= self._room[priority]:
            self._refused[priority] += 1
            return None
        token = now if self._limiter is None else self._limiter.allow()
        if token is None:
            self._limited += 1
            self._refused[priority] += 1
            return None
        self._inflight += 1
        self._admitted[priority] += 1
        return token

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Note how the call that was let through with ``token`` ended."""
        self._inflight -= 1
        if self._limiter is not None:
            self._limiter.done(token, outcome)

    def guard(
        self, *, classify: Classify = outcome_of, priority: int = Priority.NORMAL
    ) -> Admission:
        """Return a context manager, sync and async, that admits one call of ``priority``.

        See ``Guarded.guard``.
        """
        return Admission(_AtPriority(self, priority), classify)

    def refusal(self) -> Overloaded:
        """Return the exception that tells a caller of the refusal."""
        return Overloaded("there is no capacity for a call of this priority")

    def stats(self) -> ShedderStats:
        """Return the share that is shed, and the counts by priority."""
        return ShedderStats(
            shedding=self._share,
            cursor=self._cursor,
            inflight=self._inflight,
            limited=self._limited,
            admitted=tuple(self._admitted),
            refused=tuple(self._refused),
        )

    def _turn(self, now: int) -> None:
        """End the window: set anew what is shed, and how much room each priority has."""
        late = now - self._end
        idle = exp(-late / (_MEMORY * NANOSECONDS))
        kept = idle * exp(-self._window / (_MEMORY * NANOSECONDS))
        self._counts = [
            kept * count + idle * new for count, new in zip(self._counts, self._came, strict=True)
        ]
        refused = sum(self._refused)
        self._lately = kept * self._lately + idle * (refused - self._seen_refused)
        self._seen_refused = refused
        self._came = [0] * self._levels
        self._end = now + self._window
        total = sum(self._counts)
        lately = self._lately / total if total >= 1 else 0.0
        by_load = self._by_load + self._load_step(late // self._window + 1)
        self._by_load = min(max(by_load, 0.0), 1.0)
        self._share = max(self._by_load, lately - _MARGIN, 0.0)
        self._point(total)
        if self._limiter is not None:
            self._divide(self._limiter.limit, total, lately)

    def _load_step(self, windows: int) -> float:
        if self._load is None:
            return 0.0
        excess = (self._load() - self._threshold) / (1 - self._threshold)
        return self._rise * min(excess, 1.0) if excess > 0 else -self._fall * windows

    def _point(self, total: float) -> None:
        """Find the priority at which the share to shed begins."""
        self._cursor = self._levels
        if not self._share:
            return
        keep = (1 - self._share) * total
        for level, count in enumerate(self._counts):
            if count > keep:
                self._cursor, self._part = (level, keep / count) if level else (1, 0.0)
                return
            keep -= count
        # All may stay: nothing came, or the share is lost in rounding.

    def _divide(self, limit: int, total: float, lately: float) -> None:
        """Say up to how many calls in flight each priority is let in."""
        if not lately:
            self._room = [inf] * self._levels  # the limiter decides
            return
        reserve = self._reserve * min(lately / _MARGIN, 1.0) * sqrt(limit)
        scale = 1 / (total * max(1 - lately, 0.01))
        before = 0.0
        for level, count in enumerate(self._counts):
            self._room[level] = max(1.0, limit - reserve * min(before * scale, 1.0))
            before += count
        self._room[0] = inf


class _AtPriority:
    """A shedder as a guard for one priority."""

    __slots__ = ("_priority", "_shedder", "done", "refusal")

    def __init__(self, shedder: Shedder, priority: int) -> None:
        self._shedder = shedder
        self._priority = priority
        self.done = shedder.done
        self.refusal = shedder.refusal

    def allow(self) -> int | None:
        return self._shedder.allow(self._priority)
