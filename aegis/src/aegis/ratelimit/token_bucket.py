"""The token bucket, kept as the generic cell rate algorithm keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.ratelimit.gcra import KeyedGcra
from aegis.ratelimit.keyed import Sleep
from aegis.ratelimit.single import Single

__all__ = ["KeyedTokenBucket", "TokenBucket"]


class KeyedTokenBucket(KeyedGcra):
    """A bucket of ``burst`` tokens per key, into which ``rate`` tokens drip per second.

    A bucket starts full, never overflows, and a call is allowed if it finds its ``n`` tokens. The
    time at which a bucket will be full again tells all of its state, and is what ``KeyedGcra``
    keeps: this class decides exactly as that one, and besides shows the tokens.

    Source: Go ``golang.org/x/time/rate``, whose rules it keeps (an infinite rate and a rate of 0
    are not taken), and aegis ``ratelimit/key``, which forgets keys that are not used for a time,
    full or not; here only a full bucket is forgotten.

    Options and errors are those of ``KeyedGcra``.
    """

    __slots__ = ()

    LOCKED = (*KeyedGcra.LOCKED, "tokens")

    def tokens(self, key: Hashable, /) -> float:
        """Return what is in the bucket of ``key``, with fractions; not below 0."""
        _, _, debt = self._view(key, 1)
        return (self._tolerance - debt) / self._interval


class TokenBucket(Single):
    """A bucket of ``burst`` tokens, into which ``rate`` tokens drip per second.

    See ``KeyedTokenBucket`` for the algorithm.

    Args:
        rate: Tokens per second; more than 0, at most 1e12.
        burst: The most tokens in the bucket, with which it begins; at least 1.
        clock: Gives nanoseconds; a step back counts as no time.
        sleep: How ``wait`` waits; give another one together with another clock.
        threadsafe: Whether several threads use the limiter.

    Raises:
        ValueError: A value is out of its range.
    """

    __slots__ = ("_bucket",)

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        threadsafe: bool = False,
    ) -> None:
        self._bucket = KeyedTokenBucket(
            rate=rate, burst=burst, clock=clock, sleep=sleep, threadsafe=threadsafe
        )
        super().__init__(self._bucket)

    @property
    def tokens(self) -> float:
        """What is in the bucket, with fractions; not below 0."""
        return self._bucket.tokens(None)
