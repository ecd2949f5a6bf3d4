"""How many streams of one connection are reset, which servers take for an attack when it is many.

Whoever asks and gives up, again and again, may mean to keep a server busy (CVE-2023-44487), so
servers end connections with ENHANCE_YOUR_CALM, and with them requests that nobody gave up. A proxy
whose clients give up looks like that without meaning it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kratos_http2 import Stream

__all__ = ["Resets"]


class Resets:
    """Resets streams while there is something left of a budget, and others later.

    A stream whose reset waits is nobody's any more; if its answer ends first, nothing is sent.

    Args:
        burst: How many at once.
        per_second: How many come back each second.
        reset: Resets a stream with a code.
        loop: The running loop.
    """

    __slots__ = ("_burst", "_held", "_left", "_loop", "_per_second", "_reset", "_since", "_timer")

    def __init__(
        self,
        *,
        burst: int,
        per_second: float,
        reset: Callable[[Stream, int], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._per_second = per_second
        self._reset = reset
        self._loop = loop
        self._since = loop.time()
        self._held: dict[int, tuple[Stream, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worn(self) -> bool:
        """Whether half of the budget is spent."""
        return self._left <= self._burst / 2

    def take(self, stream: Stream, code: int) -> None:
        """Reset a stream, now or later."""
        self._refill()
        if self._left >= 1 and not self._held:
            self._left -= 1
            self._reset(stream, code)
            return
        self._held[stream.id] = stream, code
        self._arm()

    def covers(self, streams: int) -> bool:
        """Tell whether all streams of a number that are open wait for their reset."""
        if len(self._held) < streams:
            return False
        self._held = {each: held for each, held in self._held.items() if not held[0].closed}
        return len(self._held) >= streams

    def stop(self) -> None:
        """Reset nothing any more: the connection has gone."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refill(self) -> None:
        now = self._loop.time()
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now

    def _arm(self) -> None:
        if self._timer is None and self._held:
            wait = max(0.0, 1 - self._left) / self._per_second
            self._timer = self._loop.call_later(wait, self._drip)

    def _drip(self) -> None:
        """Reset some of those that wait."""
        self._timer = None
        self._refill()
        while self._held and self._left >= 1:
            stream, code = self._held.pop(next(iter(self._held)))
            if not stream.closed:
                self._left -= 1
                self._reset(stream, code)
        self._arm()
