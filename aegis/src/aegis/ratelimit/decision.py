"""What a rate limiter says about one call, and about itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from aegis.stats import SUM

__all__ = ["Decision", "KeyedStats", "RateStats"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one call; true if the call may run.

    The fields are those of the ``RateLimit`` headers of HTTP. All of them describe the moment after
    the call was charged.

    Args:
        allowed: Whether the call may run; one that may not was not charged.
        limit: The most permits that can be had at once.
        remaining: Permits that can be had at this moment.
        retry_after: Seconds until the same call would be allowed if no other came; 0 if it was
            allowed, ``inf`` if it asks for more than ``limit``.
        reset_after: Seconds until ``remaining`` is ``limit`` again if no other call came.
    """

    allowed: bool
    limit: int
    remaining: int
    retry_after: float
    reset_after: float

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStats:
    """What a limiter without keys shows of itself.

    Calls that it allowed are not counted: that would cost every one of them, and the caller knows.

    Args:
        limit: The most permits that can be had at once.
        remaining: Permits that can be had at this moment.
        waiting: Coroutines in ``wait`` that have not got their permits yet.
        refused: Calls refused since the limiter was made.
    """

    limit: int
    remaining: int
    waiting: int
    refused: int = field(metadata=SUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedStats:
    """What a limiter with keys shows of itself; see ``RateStats`` for what is not counted.

    Args:
        keys: Keys in memory; some of them may be idle.
        capacity: The most keys in memory.
        waiting: Coroutines in ``wait`` that have not got their permits yet.
        refused: Calls refused since the limiter was made.
        evicted: Busy keys forgotten for want of room: each of them began anew.
        turned_away: Calls refused, of those above, because there was no room for a new key.
    """

    keys: int
    capacity: int
    waiting: int
    refused: int = field(metadata=SUM)
    evicted: int = field(metadata=SUM)
    turned_away: int = field(metadata=SUM)
