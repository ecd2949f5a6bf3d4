"""The sliding window counter on Redis."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Any, Final

from aegis import Backoff, Clock, Decision, KeyedSlidingWindow
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
from kratos_redis.share import whole_share

__all__ = ["RedisSlidingWindow"]

# A key holds the number of its last window, the permits of the one before and its permits. Lua
# computes in doubles, which are exact up to 2^53; units of time are as coarse as that takes.
_SCRIPT: Final = Script("""
local n, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local window, unit = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = math.floor((time[1] * 1000000 + time[2]) / unit)
local index = math.floor(now / window)
local rest = (index + 1) * window - now
local previous, current, back = 0, 0, false
local found = redis.call('GET', KEYS[1])
if found then
    local at, before, count = string.match(found, '^(%d+) (%d+) (%d+)$')
    at = tonumber(at)
    back = at > index
    if at >= index then
        previous, current = tonumber(before), tonumber(count)
    elseif at == index - 1 then
        previous = tonumber(count)
    end
end
local allowed = previous * rest + (current + n) * window <= limit * window
if allowed then
    current = current + n
end
if allowed or back then
    local value = string.format('%.0f %.0f %.0f', index, previous, current)
    redis.call('SET', KEYS[1], value, 'PX', math.ceil((rest + window) * unit / 1000))
end
return {allowed and 1 or 0, previous, current, rest}
""")

_MICROSECONDS: Final = 1_000_000
_MOST: Final = 1 << 51  # so that twice the limit times the window is exact


class RedisSlidingWindow(Limiter):
    """About ``limit`` permits in any ``window`` seconds, for each key, over all processes.

    The algorithm is that of ``aegis.KeyedSlidingWindow``, computed by Redis in one script with
    the server's own clock, on which the windows lie. For the rest it is as ``RedisGcra``, to
    which the options ``prefix``, ``timeout``, ``on_error``, ``replicas``, ``backoff``, ``clock``,
    ``random`` and ``on_turn`` are described.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster; Redis 5 or later.
        limit: The most permits per window; at least 1, less than 2 ** 32.
        window: Length of a window in seconds; at least a millisecond.
        prefix: What the keys on Redis begin with.
        timeout: The most seconds that a call waits for Redis.
        on_error: What to do when Redis does not answer.
        replicas: The processes among which ``local`` shares the limit.
        backoff: How long Redis is left alone after failures in a row.
        clock: Gives nanoseconds, for ``local`` and for ``backoff``.
        random: Gives numbers of [0, 1), for ``backoff``.
        on_turn: Told when Redis goes away, and when it is back.

    Raises:
        ValueError: A value is out of its range.
    """

    def __init__(
        self,
        client: Client,
        *,
        limit: int,
        window: float,
        prefix: str = DEFAULT_PREFIX,
        timeout: float = DEFAULT_TIMEOUT,
        on_error: OnError = "local",
        replicas: int = 1,
        backoff: Backoff = DEFAULT_BACKOFF,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        on_turn: OnTurn | None = None,
    ) -> None:
        local = KeyedSlidingWindow(limit=whole_share(limit, replicas), window=window, clock=clock)
        if window < 0.001:
            msg = f"window must be at least a millisecond, got {window!r}"
            raise ValueError(msg)
        exact = round(window * _MICROSECONDS)
        self._unit = 1
        while limit * exact > _MOST * self._unit:
            self._unit *= 10
        self._window = ceil(exact / self._unit)
        super().__init__(
            client,
            script=_SCRIPT,
            limit=limit,
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
        return n, self._limit, self._window, self._unit

    def _decision(self, reply: Any, n: int) -> Decision:
        allowed, previous, current, rest = reply
        window = self._window
        room = (self._limit - current) * window - previous * rest
        reset = rest + window if current else rest if previous else 0
        if allowed:
            retry_after = 0.0
        elif n > self._limit:
            retry_after = inf
        else:
            retry_after = self._seconds(self._delay(previous, current, n, rest))
        return Decision(
            allowed == 1, self._limit, max(0, room // window), retry_after, self._seconds(reset)
        )

    def _delay(self, previous: int, current: int, n: int, rest: int) -> int:
        """Return the time until the estimate has fallen far enough for ``n`` permits."""
        spare = self._limit - n - current
        if spare >= 0:  # once the previous window has faded so far
            return rest - spare * self._window // previous
        # When this window is the previous one.
        return rest + self._window - (self._limit - n) * self._window // current

    def _seconds(self, units: int) -> float:
        return units * self._unit / _MICROSECONDS
