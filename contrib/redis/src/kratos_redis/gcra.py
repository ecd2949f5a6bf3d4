"""The generic cell rate algorithm on Redis."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, inf
from typing import Any, Final

from aegis import Backoff, Clock, Decision, KeyedGcra
from aegis.clock import SYSTEM_CLOCK
from kratos_redis.limiter import (
    DEFAULT_BACKOFF,
    DEFAULT_PREFIX,
    DEFAULT_TIMEOUT,
    Limiter,
    OnError,
    OnTurn,
)
from kratos_redis.script import Client, Script
from kratos_redis.share import share, whole_share

__all__ = ["RedisGcra"]

# A key holds the server's time in microseconds, and what was owed then, in ticks. Lua computes in
# doubles, which are exact up to 2^53: the time stays below until 2255, a debt because it is at
# most the tolerance. Only the product may pass it, and then it exceeds every debt anyway.
_SCRIPT: Final = Script("""
local cost, tolerance, scale = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local debt, back = 0, false
local found = redis.call('GET', KEYS[1])
if found then
    local stamp, owed = string.match(found, '^(%d+) (%d+)$')
    local passed = now - tonumber(stamp)
    back = passed < 0
    debt = math.max(0, tonumber(owed) - math.max(0, passed) * scale)
end
local allowed = debt + cost <= tolerance
if allowed then
    debt = debt + cost
end
if allowed or back then
    local value = string.format('%.0f %.0f', now, debt)
    redis.call('SET', KEYS[1], value, 'PX', math.max(1, math.ceil(debt / scale / 1000)))
end
return {allowed and 1 or 0, debt}
""")

_MICROSECONDS: Final = 1_000_000
_ERROR: Final = Fraction(1, 100_000)
_MOST: Final = 1 << 52  # ticks that a key can owe


class RedisGcra(Limiter):
    """At most ``burst`` permits at once and ``rate`` per second, for each key, over all processes.

    The algorithm is that of ``aegis.KeyedGcra``, computed by Redis in one script with the server's
    own clock: clocks of the callers do not matter, and a step back of the server's clock (also by
    a failover to a server whose clock is behind) counts as no time. One round trip; a key on Redis
    lives until its burst is whole again.

    A refusal is remembered for as long as it is certain, at most a second. That saves the round
    trips of a key that one process asks for more often than its permits come. Deleting a key on
    Redis takes effect after that.

    If Redis gives no answer within ``timeout``, the call is decided as ``on_error`` says, and so
    are the calls of the next moments without asking: of ``backoff`` after the first failure, more
    after each further one. Then one call asks again.

    - ``local``, the default: by a limiter in this process that has the share of one of
      ``replicas`` processes. Calls go on, and the whole stays near the limit.
    - ``allow``: the call may run. For limits that are a courtesy.
    - ``deny``: it may not. For limits that protect what must not be exceeded.
    - ``raise``: raises ``RedisUnavailable``, for callers with a way of their own.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster; Redis 5 or later.
        rate: Permits per second; more than 0.
        burst: The most permits at once; at least 1.
        prefix: What the keys on Redis begin with. Limiters with different options need different
            ones.
        timeout: The most seconds that a call waits for Redis.
        on_error: What to do when Redis does not answer; see above.
        replicas: The processes among which ``local`` shares the limit.
        backoff: How long Redis is left alone after failures in a row.
        clock: Gives nanoseconds, for ``local`` and for ``backoff``.
        random: Gives numbers of [0, 1), for ``backoff``.
        on_turn: Called with the error when Redis goes away, or gives nothing but bad answers, and
            with ``None`` when it gives a good one again; must not raise.

    Raises:
        ValueError: A value is out of its range, or ``burst / rate`` is too long to be computed
            exactly: over a century at 10 000 permits per second and less.
    """

    def __init__(
        self,
        client: Client,
        *,
        rate: float,
        burst: int,
        prefix: str = DEFAULT_PREFIX,
        timeout: float = DEFAULT_TIMEOUT,
        on_error: OnError = "local",
        replicas: int = 1,
        backoff: Backoff = DEFAULT_BACKOFF,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        on_turn: OnTurn | None = None,
    ) -> None:
        local = KeyedGcra(
            rate=share(rate, replicas), burst=whole_share(burst, replicas), clock=clock
        )
        self._interval, self._scale = _interval(rate)
        self._tolerance = self._interval * burst
        if self._tolerance > _MOST:
            msg = f"a burst of {burst} at {rate} per second takes too long to be counted exactly"
            raise ValueError(msg)
        super().__init__(
            client,
            script=_SCRIPT,
            limit=burst,
            local=local.take,
            prefix=prefix,
            timeout=timeout,
            on_error=on_error,
            backoff=backoff,
            clock=clock,
            random=random,
            on_turn=on_turn,
        )

    def _arguments(self, n: int) -> Sequence[int]:
        return n * self._interval, self._tolerance, self._scale

    def _decision(self, reply: Any, n: int) -> Decision:
        allowed, debt = reply
        room = self._tolerance - debt
        if allowed:
            retry_after = 0.0
        else:
            lack = n * self._interval - room
            retry_after = inf if n > self._limit else self._seconds(lack)
        return Decision(
            allowed == 1,
            self._limit,
            room // self._interval,
            retry_after,
            self._seconds(debt),
        )

    def _seconds(self, ticks: int) -> float:
        return -(-ticks // self._scale) / _MICROSECONDS  # up: earlier is too early


def _interval(rate: float) -> tuple[int, int]:
    """Return the ticks between two permits, and the ticks in a microsecond.

    The interval is rounded up, and ticks are so fine that it is longer by at most a
    hundred-thousandth.
    """
    exact = _MICROSECONDS / Fraction(repr(float(rate)))
    scale = 1
    while ceil(exact * scale) > exact * scale * (1 + _ERROR):
        scale *= 10
    return ceil(exact * scale), scale
