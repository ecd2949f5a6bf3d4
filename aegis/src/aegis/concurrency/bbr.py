"""A limit of as many calls as the back end has lately finished without a queue, under high load."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf
from typing import ClassVar, Final

from aegis import _check
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency._buckets import Buckets
from aegis.concurrency._unqueued import Unqueued
from aegis.concurrency.load import LoadSignal, cpu_load, go_cpu_load
from aegis.guard import Guarded
from aegis.outcome import Outcome
from aegis.refusal import Overloaded
from aegis.stats import SUM

__all__ = ["Bbr", "BbrStats"]

_SUCCESS: Final = Outcome.SUCCESS
_IGNORED: Final = Outcome.IGNORED
_OPEN: Final = 2**29  # no limit; as sums with it, of one digit, which CPython compares quickest
_MS: Final = 1_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BbrStats:
    """What the limiter is about.

    Attributes:
        load: The reading of the signal on which the last decision rests.
        limit: Calls that the back end can have in flight without a queue, as estimated.
        gate: Calls that may be in flight when one more is let in; ``None`` while load is low.
        inflight: Calls in flight.
        admitted: Calls let through since the start.
        refused: Calls refused since the start.
        max_pass: Most calls that ended within one bucket of the window.
        min_rt: Least mean seconds of a bucket.
    """

    load: float
    limit: int
    gate: int | None
    inflight: int
    admitted: int = field(metadata=SUM)
    refused: int = field(metadata=SUM)
    max_pass: int
    min_rt: float


class Bbr(Lockable, Guarded):
    """Limits the calls in flight to ``max_pass x min_rt`` while the load is high.

    ``max_pass`` is the most calls that ended within one bucket of the window, ``min_rt`` the least
    mean latency of a bucket; their product by Little's law is how many are in flight when there is
    no queue. Once the load reaches ``threshold``, a call is refused if more than that, and more
    than one, are in flight. When it falls below, the limit stays in force for ``cooldown`` seconds
    from the first refusal. Load and limit are read once a bucket.

    Outcomes: ``SUCCESS`` counts. ``IGNORED`` only frees the slot, and so do ``FAILURE`` and
    ``OVERLOAD``, except with ``exact``, as Go counts whatever ends.

    ``exact`` is Go's limiter with Go's constants. Its slow reading of the CPU (10 s to notice a
    step) lets a queue build up that then fills the whole window, so that the least latency is that
    of the queue, and the limit grows without end. Without ``exact`` the signal is quick, and
    ``min_rt`` is kept over ``horizon``, far longer than the window, so that it remembers the time
    before the overload.

    Source: Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016; Go aegis
    ``ratelimit/bbr``. Unlike there, a window without calls counts as one call of a millisecond,
    and any length of a bucket will do.

    Args:
        window: Seconds that ``max_pass`` looks back.
        buckets: Parts of the window, at least 2.
        threshold: Load from which on there is a limit (Go: 800 of 1000).
        cooldown: Seconds; see above.
        cooldown_from_last: Count them from the last refusal instead of the first.
        horizon: Seconds that ``min_rt`` looks back; with ``exact`` it is the window.
        load: Tells the load; by default the CPU signal that the process shares.
        exact: Whole milliseconds, the window for both estimates, and Go's reading of the CPU.
        clock: Monotonic nanoseconds.
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_bucket",
        "_buckets",
        "_ceiling",
        "_check_at",
        "_clock",
        "_cooldown",
        "_counted",
        "_dropped_at",
        "_end",
        "_exact",
        "_from_last",
        "_gate",
        "_limit",
        "_load",
        "_max_pass",
        "_min_rt",
        "_reading",
        "_refused",
        "_started",
        "_threshold",
        "_timed",
        "_total",
        "_uncounted",
        "_unqueued",
        "_untimed",
    )

    LOCKED: ClassVar[tuple[str, ...]] = ("allow", "done", "stats")

    def __init__(
        self,
        *,
        window: float = 10.0,
        buckets: int = 100,
        threshold: float = 0.8,
        cooldown: float = 1.0,
        cooldown_from_last: bool = False,
        horizon: float = 60.0,
        load: LoadSignal | None = None,
        exact: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        threadsafe: bool = False,
    ) -> None:
        _check.above("window", window)
        _check.at_least("buckets", buckets, 2)
        _check.between("threshold", threshold, 0, 1)
        _check.at_least("cooldown", cooldown, 0)
        _check.at_least("horizon", horizon, window)
        self._load = load if load is not None else go_cpu_load() if exact else cpu_load()
        self._bucket = max(1, round(window * NANOSECONDS) // buckets)
        self._buckets = Buckets(buckets - 1)
        self._unqueued = (
            None if exact else Unqueued(round(horizon * NANOSECONDS), self._bucket, NANOSECONDS)
        )
        self._threshold = threshold
        self._cooldown = round(cooldown * NANOSECONDS)
        self._from_last = cooldown_from_last
        self._exact = exact
        self._timed = None if exact else _SUCCESS
        self._clock = clock
        self._refused = self._counted = 0
        # Of the bucket in use; the calls in flight at its start are among the started.
        self._started = self._uncounted = self._untimed = self._total = 0
        self._min_rt = 1.0 * _MS
        self._max_pass, self._limit = 1, 0
        self._gate = self._ceiling = _OPEN  # the ceiling is the gate and the calls that ended
        self._reading = 0.0
        self._dropped_at: int | None = None
        self._check_at = clock()
        self._end = self._check_at + self._bucket

    @property
    def limit(self) -> int:
        """Calls that may be in flight at present; a huge number while load is low."""
        return self._gate + 1

    def allow(self) -> int | None:
        """Return the stamp at which the call starts, or ``None``: the limit is reached."""
        now = self._clock()
        if now >= self._check_at:
            self._decide(now)
        if self._started > self._ceiling:
            self._note_refusal(now)
            return None
        self._started += 1
        return now

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Free the slot of the call that started at ``token``, and learn from how it ended."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        self._ceiling += 1
        if outcome is self._timed:
            self._total += now - token
        else:
            self._add(now - token, outcome)

    def refusal(self) -> Overloaded:
        """Return the exception that tells a caller of the refusal."""
        return Overloaded(f"load is {self._reading:.2f} and {self._inflight()} calls are in flight")

    def stats(self) -> BbrStats:
        """Return the limit and what it rests on, as of now."""
        now = self._clock()
        if now >= self._check_at:
            self._decide(now)
        return BbrStats(
            load=self._reading,
            limit=self._limit,
            gate=None if self._gate == _OPEN else self._gate,
            inflight=self._inflight(),
            admitted=self._counted + self._started,
            refused=self._refused,
            max_pass=self._max_pass,
            min_rt=self._min_rt / NANOSECONDS,
        )

    def _inflight(self) -> int:
        return self._started + self._gate - self._ceiling

    def _set_gate(self, gate: int) -> None:
        self._ceiling += gate - self._gate
        self._gate = gate

    def _add(self, took: int, outcome: Outcome) -> None:
        """Count a call that is not timed, or is timed as Go does."""
        if outcome is _IGNORED or not self._exact:
            self._uncounted += 1
        elif took > 0:
            self._total -= -took // _MS  # in milliseconds, rounded up
        else:
            self._untimed += 1  # the clock went back, or stood still

    def _decide(self, now: int) -> None:
        """Read load and limit, and let both be for the length of a bucket."""
        if now >= self._end:
            self._roll(now)
        self._check_at = now + self._bucket
        self._estimate()
        self._reading = self._load()
        dropped_at = self._dropped_at
        if self._reading >= self._threshold or (self._unqueued and self._unqueued.dipping):
            self._set_gate(self._closed(now))
        elif dropped_at is not None and now - dropped_at <= self._cooldown:
            self._set_gate(self._closed(now))
            self._check_at = min(self._check_at, dropped_at + self._cooldown + 1)
        else:
            self._dropped_at = None
            self._set_gate(_OPEN)

    def _closed(self, now: int) -> int:
        limit, unqueued = max(1, self._limit), self._unqueued
        if unqueued is None:
            return limit
        dipped = unqueued.dipping
        limit = unqueued.cut(limit, self._inflight(), self._refused, now)
        if dipped and not unqueued.dipping:
            self._dropped_at = now  # the dip itself has lowered the load
        return limit

    def _estimate(self) -> None:
        self._max_pass = self._buckets.max_pass
        if self._unqueued is None:
            least = self._buckets.min_mean  # milliseconds
            self._min_rt = (1 if least == inf else max(1, ceil(least))) * float(_MS)
        else:
            least = self._unqueued.least
            self._min_rt = 1.0 * _MS if least == inf else least
        product = self._max_pass * self._min_rt / self._bucket
        self._limit = int(product) if self._exact else ceil(product)

    def _note_refusal(self, now: int) -> None:
        self._refused += 1
        if self._dropped_at is None or self._from_last:
            self._dropped_at = now
            self._check_at = min(self._check_at, now + self._cooldown + 1)

    def _roll(self, now: int) -> None:
        """Close the bucket in use, and begin the one that ``now`` lies in."""
        steps = (now - self._end) // self._bucket + 1
        self._end += steps * self._bucket
        ended = self._ceiling - self._gate
        passed, total = ended - self._uncounted, self._total
        timed = passed - self._untimed if total >= 0 else 0  # else the clock went back
        self._buckets.push(passed, total / timed if timed else inf, steps - 1)
        if self._unqueued is not None:
            self._unqueued.add(timed, total if timed else 0, steps - 1)
        self._counted += ended
        self._started -= ended
        self._ceiling = self._gate
        self._uncounted = self._untimed = self._total = 0
