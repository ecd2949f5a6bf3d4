"""Client-side throttling: the breaker of Go Kratos, which refuses a share of the calls."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Final, Self, TypedDict, Unpack

from aegis._check import at_least
from aegis._locked import Lockable
from aegis.circuitbreaker._buckets import Buckets
from aegis.circuitbreaker.state import BreakerState
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.guard import Guarded
from aegis.outcome import Outcome
from aegis.refusal import BreakerOpen
from aegis.stats import SUM

__all__ = ["SreBreaker", "SreOptions", "SreStats"]

_SUCCESS: Final = Outcome.SUCCESS
_FAILURE: Final = Outcome.FAILURE
_IGNORED: Final = Outcome.IGNORED

_AEGIS_SUCCESS: Final = 0.6


class SreOptions(TypedDict, total=False):
    """The options of ``SreBreaker``, as its presets take them."""

    success: float
    failure_ratio: float
    request: int
    window: float
    buckets: int
    protection: float
    count_rejected: bool
    clock: Clock
    random: Callable[[], float]
    threadsafe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SreStats:
    """What an ``SreBreaker`` knows at one moment.

    Attributes:
        state: ``OPEN`` if calls may be refused, else ``CLOSED``.
        total: Results within the window, refusals among them if they are counted.
        accepts: Successes within the window.
        drop_probability: Chance of the next call to be refused.
        k: How many calls are let through for each success.
        request: Results below which nothing is refused.
        refused: Calls refused since the breaker was made.
    """

    state: BreakerState
    total: int
    accepts: int
    drop_probability: float
    k: float
    request: int
    refused: int = field(metadata=SUM)


class SreBreaker(Lockable, Guarded):
    """Refuses calls with the probability ``(total - K * accepts) / (total + 1)``.

    ``total`` and ``accepts`` are the results and the successes within the last seconds. There is
    no timer and no half-open state: some calls always get through, and the window forgets.
    Without options it has the numbers of Go's aegis; see also ``kratos3``.

    ``IGNORED`` results are not counted, ``OVERLOAD`` is a failure. A result belongs to the time at
    which it is told. One loop or thread, unless ``threadsafe``.

    Source: Beyer et al., "Site Reliability Engineering", chapter 21; Go: aegis
    ``circuitbreaker/sre``, Kratos v3 ``internal/circuitbreaker``. Unlike there, options are
    checked, and with ``count_rejected`` the breaker itself counts its refusals, which in Go is
    left to the middleware.

    Args:
        success: Share of successes below which calls may be refused, more than 0, at most 1;
            K is its inverse. 0.6 unless ``failure_ratio`` is given.
        failure_ratio: The same told as a share of failures, at least 0, less than 1.
        request: Results within the window below which nothing is refused, at least 1.
        window: Seconds that are looked back upon.
        buckets: Parts of the window, which are forgotten one at a time.
        protection: Failures that are forgiven at any rate: taken off the dividend. 0 in Kratos;
            go-zero has 5, with ``success=2/3, request=1, window=10, buckets=40``.
        count_rejected: Whether a refusal counts as a failed result, as it does in Kratos. Without
            it, the share let through follows the share of successes, and recovery from an outage
            takes seconds rather than tens of seconds.
        clock: Gives monotonic nanoseconds.
        random: Gives numbers of [0, 1).
        threadsafe: Whether it is used from several threads.

    Raises:
        ValueError: An option is out of its range, or both shares are given.
    """

    __slots__ = (
        "_accepts",
        "_buckets",
        "_clock",
        "_count_rejected",
        "_end",
        "_failed",
        "_k",
        "_protection",
        "_random",
        "_refused",
        "_request",
    )

    LOCKED: ClassVar = ("allow", "done", "refusal", "stats")

    def __init__(
        self,
        *,
        success: float | None = None,
        failure_ratio: float | None = None,
        request: int = 100,
        window: float = 3.0,
        buckets: int = 10,
        protection: float = 0,
        count_rejected: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        threadsafe: bool = False,  # by Lockable
    ) -> None:
        at_least("request", request, 1)
        at_least("protection", protection, 0)
        self._k: Final = _k(success, failure_ratio)
        self._request: Final = request
        self._protection: Final = protection
        self._count_rejected: Final = count_rejected
        self._clock: Final = clock
        self._random: Final = random
        self._buckets: Final = Buckets(clock(), window=window, buckets=buckets, width=2)
        self._end = self._buckets.end
        self._accepts = 0
        self._failed = 0
        self._refused = 0

    @classmethod
    def aegis(cls, **options: Unpack[SreOptions]) -> Self:
        """Return one with the numbers of Go's aegis, the gateway and Kratos v2.

        They are ``success=0.6`` (K = 1.67) and ``request=100``, unless ``options`` say otherwise.
        """
        return cls(**options)

    @classmethod
    def kratos3(cls, **options: Unpack[SreOptions]) -> Self:
        """Return one with the numbers of Kratos v3.

        They are ``failure_ratio=0.5`` (K = 2) and ``request=20``, unless ``options`` say otherwise.
        """
        if "success" not in options:
            options.setdefault("failure_ratio", 0.5)
        options.setdefault("request", 20)
        return cls(**options)

    def allow(self) -> int | None:
        """Return a token for one call, to be handed to ``done`` once; ``None`` refuses it."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        if not self._failed:  # the usual case; K is at least 1
            return now
        total = self._accepts + self._failed
        if total < self._request:
            return now
        earned = self._k * self._accepts
        if total <= earned:
            return now
        if self._random() >= (total - earned - self._protection) / (total + 1):
            return now
        self._refused += 1
        if self._count_rejected:
            self._failed += 1
        return None

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Note how the call that was let through with ``token`` ended."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        if outcome is _SUCCESS:
            self._accepts += 1
        elif outcome is not _IGNORED:
            self._failed += 1

    def mark_success(self) -> None:
        """Count a success, as ``MarkSuccess`` in Go; for code that keeps no token."""
        self.done(0)

    def mark_failed(self) -> None:
        """Count a failure, as ``MarkFailed`` in Go; for code that keeps no token.

        Code that marks refused calls itself, as Go's middleware does, wants
        ``count_rejected=False``: else they count twice.
        """
        self.done(0, _FAILURE)

    def refusal(self) -> BreakerOpen:
        """Return the exception that tells a caller of the refusal.

        It has no ``retry_after``: the next try may succeed at any time.
        """
        total = self._accepts + self._failed
        msg = f"the circuit is open: {self._accepts} of the last {total} calls succeeded"
        return BreakerOpen(msg)

    def stats(self) -> SreStats:
        """Return the sums of the window, and what follows from them."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        total = self._accepts + self._failed
        excess = total - self._k * self._accepts - self._protection
        drop = excess / (total + 1) if total >= self._request and excess > 0 else 0.0
        return SreStats(
            state=BreakerState.OPEN if drop else BreakerState.CLOSED,
            total=total,
            accepts=self._accepts,
            drop_probability=drop,
            k=self._k,
            request=self._request,
            refused=self._refused,
        )

    def _roll(self, now: int) -> None:
        self._accepts, self._failed = self._buckets.roll(now, (self._accepts, self._failed))
        self._end = self._buckets.end


def _k(success: float | None, failure_ratio: float | None) -> float:
    if success is not None and failure_ratio is not None:
        msg = "give either success or failure_ratio: one says the other"
        raise ValueError(msg)
    if failure_ratio is not None:
        if not 0 <= failure_ratio < 1:
            msg = f"failure_ratio must be at least 0 and less than 1, got {failure_ratio!r}"
            raise ValueError(msg)
        return 1 / (1 - failure_ratio)
    share = _AEGIS_SUCCESS if success is None else success
    # A share so small that its inverse is infinite would make 0 * inf, which is no number.
    if not 0 < share <= 1 or 1 / share == inf:
        msg = f"success must be more than 0 and at most 1, got {success!r}"
        raise ValueError(msg)
    return 1 / share
