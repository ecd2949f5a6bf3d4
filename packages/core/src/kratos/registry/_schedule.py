"""When a keeper acts next: arithmetic over clock times, without waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aegis.backoff import Backoff

__all__ = ["Schedule"]

_AT_ONCE: Final = float("-inf")
_NEVER: Final = float("inf")

_RENEWALS_PER_TTL: Final = 3
_RENEW_JITTER: Final = 0.1
_SHORTEST_INTERVAL: Final = 0.05  # seconds; a ttl of zero must not spin
_LOST_DELAY: Final = 1.0  # seconds, at most, between the first loss and the next attempt


class Schedule:
    """Due times of one publication, all on the keeper's clock.

    Attributes:
        register_at: When registering may be tried.
        renew_at: When the publication is to be renewed or checked.
        good_until: When a publication that is not renewed expires.
    """

    __slots__ = (
        "_backoff",
        "_losses",
        "_random",
        "_register_failures",
        "_renew_failures",
        "_unheard",
        "_verify_every",
        "good_until",
        "register_at",
        "renew_at",
    )

    def __init__(
        self, *, backoff: Backoff, verify_every: float, random: Callable[[], float]
    ) -> None:
        self._backoff = backoff
        self._verify_every = verify_every
        self._random = random
        self._register_failures = self._renew_failures = self._losses = self._unheard = 0
        self.register_at = _AT_ONCE
        self.renew_at = _NEVER
        self.good_until = _NEVER

    def interval(self, ttl: float | None) -> float:
        """Return the longest time between two renewals."""
        if ttl is None:
            return self._verify_every
        return max(ttl / _RENEWALS_PER_TTL, _SHORTEST_INTERVAL)

    def registered(self, since: float, ttl: float | None) -> None:
        """Note a publication made no earlier than ``since``."""
        self._register_failures = self._unheard = 0
        self.register_at = _AT_ONCE
        self._stands(since, ttl)

    def renewed(self, since: float, ttl: float | None) -> None:
        """Note a renewal begun at ``since``; only that proves that a publication lasts."""
        self._losses = 0
        self._stands(since, ttl)

    def register_failed(self, now: float) -> float:
        """Return the delay before registering again."""
        delay = self._backoff.delay(self._register_failures, self._random)
        self._register_failures += 1
        self.register_at = now + delay
        return delay

    def renew_failed(self, now: float) -> float:
        """Return the delay before renewing again, not beyond the ttl."""
        delay = self._backoff.delay(self._renew_failures, self._random)
        self._renew_failures += 1
        # At most half of what is left, so that one attempt follows any return of the registry
        # before the publication expires: a long delay would throw away what still stands.
        half = (self.good_until - now) / 2
        last = half < _SHORTEST_INTERVAL
        self.renew_at = self.good_until if last else now + min(delay, half)
        return self.renew_at - now

    def lost(self, now: float) -> float:
        """Return the delay before registering again: short, unless losses follow each other."""
        if self._losses:
            delay = self._backoff.delay(self._losses, self._random)
        else:
            delay = _LOST_DELAY * self._random()
        self._losses += 1
        self.register_at = now + delay
        return delay

    def unheard(self, now: float) -> float:
        """Return the delay before a check that replaces a broken listener for losses."""
        delay = self._backoff.delay(self._unheard, self._random)
        self._unheard += 1
        self.renew_at = min(self.renew_at, now + delay)
        return delay

    def _stands(self, since: float, ttl: float | None) -> None:
        self._renew_failures = 0
        self.good_until = _NEVER if ttl is None else since + ttl
        self.renew_at = since + self.interval(ttl) * (1 - _RENEW_JITTER * self._random())
