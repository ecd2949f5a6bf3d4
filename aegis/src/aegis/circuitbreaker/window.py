"""The classic circuit breaker: closed, open, half open, on rates of failed and of slow calls."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from aegis._check import above, at_least
from aegis._locked import Lockable
from aegis.circuitbreaker._results import FAILED, SLOW, LastCalls, LastSeconds, Results
from aegis.circuitbreaker.state import BreakerState
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.guard import Guarded
from aegis.outcome import Outcome
from aegis.refusal import BreakerOpen
from aegis.stats import SUM

__all__ = ["OnChange", "WindowBreaker", "WindowStats"]

OnChange: TypeAlias = Callable[[BreakerState, BreakerState], object]
"""Told of a change of state: the old one, the new one."""

_SUCCESS: Final = Outcome.SUCCESS
_IGNORED: Final = Outcome.IGNORED
_CLOSED: Final = BreakerState.CLOSED
_OPEN: Final = BreakerState.OPEN
_HALF_OPEN: Final = BreakerState.HALF_OPEN
_FORCED_OPEN: Final = BreakerState.FORCED_OPEN
_FORCED_CLOSED: Final = BreakerState.FORCED_CLOSED

_LAST_CALLS: Final = 100
_NEVER: Final = sys.maxsize

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStats:
    """What a ``WindowBreaker`` knows at one moment.

    Attributes:
        state: The present state. ``OPEN`` lasts until a call finds that its time is over.
        calls: Results within the window; those of the probes when half open; those that opened
            the circuit while it is open.
        failed: How many of these failed.
        slow: How many of these were slow.
        failure_rate: ``failed / calls``, 0 without calls.
        slow_rate: ``slow / calls``, 0 without calls.
        probing: Probes that are out.
        retry_after: Seconds until the circuit will be half open; ``None`` unless it is open.
        opened: How often it has opened by itself.
        refused: Calls refused since the breaker was made.
    """

    state: BreakerState
    calls: int
    failed: int
    slow: int
    failure_rate: float
    slow_rate: float
    probing: int
    retry_after: float | None
    opened: int = field(metadata=SUM)
    refused: int = field(metadata=SUM)


class WindowBreaker(Lockable, Guarded):
    """Opens when too large a share of the last calls failed or was slow; probes after a while.

    Closed, it lets every call through and opens when, of at least ``minimum_calls`` in the window,
    a share of ``failure_rate`` failed or of ``slow_rate`` took longer than ``slow_call``. Open, it
    refuses every call for ``open_for`` seconds. Half open, it lets ``probes`` calls through, and
    their rates decide whether it closes or opens again, for ``growth`` times as long.

    A result counts in the state in which its call was let through: what a call from before the
    last change of state brings home is ignored. An ``IGNORED`` probe gives its place to another,
    and one that is not back within ``probe_timeout`` is a failed and slow one.

    Source: M. Nygard, "Release It!", 2nd ed., 2018; windows, rates and defaults of Resilience4j.
    Kratos for Go has none of this kind.

    Args:
        last_calls: The window is so many calls; 100 unless ``window`` is given.
        window: The window is so many seconds instead.
        buckets: Parts of a window of seconds, which are forgotten one at a time.
        minimum_calls: Calls within the window below which it stays closed; at most
            ``last_calls``. ``None``: 100, or ``last_calls`` if that is less.
        failure_rate: Share of failed calls that opens it, more than 0, at most 1.
        slow_rate: Share of slow calls that opens it, more than 0, at most 1.
        slow_call: Seconds above which a call is slow.
        open_for: Seconds that it stays open.
        growth: Factor on ``open_for`` each time that the probes fail, at least 1.
        longest_open: Seconds that it stays open at most. ``None``: ten times ``open_for``.
        probes: Calls let through when half open, at least 1.
        probe_timeout: Seconds after which a probe is given up.
        on_change: Called after each change of state, by the call that made it, with no lock held;
            it may use the breaker. What it raises is logged, and nothing else happens.
        clock: Gives monotonic nanoseconds.
        threadsafe: Whether it is used from several threads. ``on_change`` may then be called by
            several at a time.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_clock",
        "_enough",
        "_epoch",
        "_failure_rate",
        "_free",
        "_growth",
        "_last",
        "_longest_open",
        "_minimum_calls",
        "_news",
        "_on_change",
        "_open_for",
        "_open_next",
        "_opened",
        "_out",
        "_probe_timeout",
        "_probes",
        "_refused",
        "_seen",
        "_slow_call",
        "_slow_rate",
        "_state",
        "_trial",
        "_until",
        "_window",
    )

    LOCKED: ClassVar = ("_admit", "_note", "_order", "refusal", "stats")

    def __init__(
        self,
        *,
        last_calls: int | None = None,
        window: float | None = None,
        buckets: int = 10,
        minimum_calls: int | None = None,
        failure_rate: float = 0.5,
        slow_rate: float = 1.0,
        slow_call: float = 60.0,
        open_for: float = 60.0,
        growth: float = 1.0,
        longest_open: float | None = None,
        probes: int = 10,
        probe_timeout: float = 60.0,
        on_change: OnChange | None = None,
        clock: Clock = SYSTEM_CLOCK,
        threadsafe: bool = False,  # by Lockable
    ) -> None:
        _check_rate("failure_rate", failure_rate)
        _check_rate("slow_rate", slow_rate)
        at_least("growth", growth, 1)
        at_least("probes", probes, 1)
        self._failure_rate: Final = failure_rate
        self._slow_rate: Final = slow_rate
        self._growth: Final = growth
        self._slow_call: Final = _nanoseconds("slow_call", slow_call)
        self._open_for: Final = _nanoseconds("open_for", open_for)
        self._longest_open: Final = _longest(longest_open, open_for)
        self._probes: Final = probes
        self._probe_timeout: Final = _nanoseconds("probe_timeout", probe_timeout)
        self._minimum_calls: Final = _minimum(minimum_calls, last_calls, window)
        self._window: Final = _results(clock(), last_calls, window, buckets)
        self._trial: Final = LastCalls(probes)
        self._on_change: Final = on_change
        self._clock: Final = clock
        self._seen: Results = self._window  # or the trial
        self._state = _CLOSED
        self._free = True  # whether every call is let through
        self._enough = self._minimum_calls  # results without which nothing is decided
        self._epoch = 0  # the first token that was given after the last change of state
        self._last = 0  # the largest token so far
        self._out: dict[int, int] = {}  # probes that are out, and when they left, in order
        self._open_next = self._open_for
        self._until = 0  # when open: its end
        self._news: deque[tuple[BreakerState, BreakerState]] = deque()
        self._opened = 0
        self._refused = 0

    @property
    def state(self) -> BreakerState:
        """The present state; ``OPEN`` until a call finds that its time is over."""
        return self._state

    def allow(self) -> int | None:
        """Return a token for one call, to be handed to ``done`` once; ``None`` refuses it."""
        token = self._admit()
        if self._news:
            self._tell()
        return token

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Note how the call that was let through with ``token`` ended."""
        self._note(token, outcome)
        if self._news:
            self._tell()

    def refusal(self) -> BreakerOpen:
        """Return the exception that tells a caller of the refusal, and for how long if known."""
        state, seen = self._state, self._seen
        if state is _OPEN:
            told = f"{seen.failed} of the last {seen.calls} calls failed, {seen.slow} were slow"
            return BreakerOpen(f"the circuit is open: {told}", retry_after=self._remaining())
        if state is _HALF_OPEN:
            return BreakerOpen(f"the circuit is half open: its {self._probes} probes are out")
        by_order = state is _FORCED_OPEN
        return BreakerOpen("the circuit is open by order" if by_order else "the circuit was open")

    def stats(self) -> WindowStats:
        """Return the state, and the counts that it comes from."""
        seen = self._seen
        if self._free:
            seen.look(self._clock())
        calls = seen.calls
        return WindowStats(
            state=self._state,
            calls=calls,
            failed=seen.failed,
            slow=seen.slow,
            failure_rate=seen.failed / calls if calls else 0.0,
            slow_rate=seen.slow / calls if calls else 0.0,
            probing=len(self._out),
            retry_after=self._remaining() if self._state is _OPEN else None,
            opened=self._opened,
            refused=self._refused,
        )

    def force_open(self) -> None:
        """Refuse every call until ``force_closed`` or ``reset``."""
        self._order(_FORCED_OPEN)
        self._tell()

    def force_closed(self) -> None:
        """Let every call through until ``force_open`` or ``reset``; results are still counted."""
        self._order(_FORCED_CLOSED)
        self._tell()

    def reset(self) -> None:
        """Close, whatever the state, and forget all results."""
        self._order(_CLOSED)
        self._tell()

    def _admit(self) -> int | None:
        now = self._clock()
        if not (self._free or self._may_probe(now)):
            self._refused += 1
            return None
        # Tokens never fall, so that the first one of a state tells the older ones apart, even if
        # the clock is coarse or goes back.
        if now > self._last:
            self._last = now
        if not self._free:
            self._last += 1  # and those of probes are unique
            self._out[self._last] = now
        return self._last

    def _may_probe(self, now: int) -> bool:
        if self._state is _OPEN and now >= self._until:
            self._change(_HALF_OPEN, now)
        if self._state is not _HALF_OPEN:
            return False
        self._give_up(now)  # which may close it, or open it and then leave no room
        return self._free or self._trial.calls + len(self._out) < self._probes

    def _give_up(self, now: int) -> None:
        """Count the probes that should have been back."""
        out = self._out
        while out:
            oldest = next(iter(out))
            if now - out[oldest] < self._probe_timeout:
                return
            del out[oldest]
            self._trial.add(now, FAILED | SLOW)
            if self._trial.calls >= self._probes:
                self._decide(now)

    def _note(self, token: int, outcome: Outcome, /) -> None:
        if token < self._epoch:
            return
        if not self._free:  # so it is half open, and the call was a probe
            self._give_up(self._clock())
            if self._out.pop(token, None) is None:
                return
        if outcome is _IGNORED:
            return
        now = self._clock()
        flags = 0 if outcome is _SUCCESS else FAILED
        if now - token > self._slow_call:
            flags |= SLOW
        seen = self._seen
        seen.add(now, flags)
        if (seen.failed or seen.slow or not self._free) and seen.calls >= self._enough:
            self._decide(now)

    def _decide(self, now: int) -> None:
        seen = self._seen
        calls = seen.calls
        # A quotient of small integers is as near as a literal gets: 7 / 100 equals 0.07, while
        # 0.07 * 100 is more than 7.
        if seen.failed / calls >= self._failure_rate or seen.slow / calls >= self._slow_rate:
            self._change(_OPEN, now)
        elif self._state is _HALF_OPEN:
            self._change(_CLOSED, now)

    def _order(self, state: BreakerState, /) -> None:
        self._change(state, self._clock())

    def _change(self, new: BreakerState, now: int) -> None:
        if self._on_change is not None and new is not self._state:
            self._news.append((self._state, new))
        self._state = new
        self._free = new is _CLOSED or new is _FORCED_CLOSED
        self._last += 1
        self._epoch = self._last
        self._out.clear()
        if new is _OPEN:
            self._opened += 1
            self._until = now + self._open_next
            self._open_next = round(min(self._open_next * self._growth, self._longest_open))
        elif new is _HALF_OPEN:
            self._use(self._trial, now, enough=self._probes)
        elif self._free:
            enough = self._minimum_calls if new is _CLOSED else _NEVER
            self._use(self._window, now, enough=enough)
            self._open_next = self._open_for

    def _use(self, results: Results, now: int, *, enough: int) -> None:
        results.clear(now)
        self._seen = results
        self._enough = enough

    def _remaining(self) -> float:
        return max(0, self._until - self._clock()) / NANOSECONDS

    def _tell(self) -> None:
        """Report the changes of state, without the lock, and each once."""
        while self._on_change is not None:
            try:
                old, new = self._news.popleft()
            except IndexError:
                return
            try:
                self._on_change(old, new)
            except Exception:
                _logger.exception("on_change of a circuit breaker failed, %s to %s", old, new)


def _check_rate(name: str, rate: float) -> None:
    if not 0 < rate <= 1:
        msg = f"{name} must be more than 0 and at most 1, got {rate!r}"
        raise ValueError(msg)


def _nanoseconds(name: str, seconds: float) -> int:
    above(name, seconds)
    return round(seconds * NANOSECONDS)


def _longest(longest_open: float | None, open_for: float) -> int:
    longest = 10 * open_for if longest_open is None else longest_open
    at_least("longest_open", longest, open_for)
    return _nanoseconds("longest_open", longest)


def _minimum(minimum_calls: int | None, last_calls: int | None, window: float | None) -> int:
    size = _LAST_CALLS if last_calls is None else last_calls
    if minimum_calls is None:
        return min(size, _LAST_CALLS)
    at_least("minimum_calls", minimum_calls, 1)
    if window is None and minimum_calls > size:
        msg = f"minimum_calls must be at most last_calls ({size}), got {minimum_calls}"
        raise ValueError(msg)
    return minimum_calls


def _results(now: int, last_calls: int | None, window: float | None, buckets: int) -> Results:
    if window is None:
        size = _LAST_CALLS if last_calls is None else last_calls
        at_least("last_calls", size, 1)
        return LastCalls(size)
    if last_calls is not None:
        msg = "give either last_calls or window: the window is calls or seconds"
        raise ValueError(msg)
    return LastSeconds(now, window=window, buckets=buckets)
