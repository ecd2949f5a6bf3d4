"""Where time goes, by looking at a thread many times a second (Go: pprof's CPU profile).

The result is "collapsed" text, a line for each stack with how often it was seen, which
https://www.speedscope.app and flamegraph.pl draw. The thread is seen also while it waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import FrameType
from typing import Final

from kratos.errors import Error
from kratos_http.debug._tasks import frames

__all__ = ["LONGEST", "Profiler"]

LONGEST: Final = 60.0  # seconds
_MOST_OFTEN: Final = 1000.0  # looks per second
_DEEPEST: Final = 200  # calls


class Profiler:
    """Looks at the thread that made it; one look-out at a time."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._running = False

    async def run(self, *, seconds: float, rate: float) -> str:
        """Return what was seen.

        Args:
            seconds: How long to look.
            rate: How often a second.

        Raises:
            Error: 400: longer or more often than is good; 409: somebody else is looking.

        Cancellation: looks no longer.
        """
        if seconds > LONGEST or not 0 < rate <= _MOST_OFTEN:
            raise Error(
                400,
                "BAD_REQUEST",
                f"seconds must be at most {LONGEST:g}, and rate a number up to {_MOST_OFTEN:g}",
            )
        if self._running:
            raise Error(409, "BUSY", "one profile at a time: wait for the one that is being made")
        self._running = True
        stop = threading.Event()
        try:
            seen = await asyncio.to_thread(self._look, round(seconds * rate), 1 / rate, stop)
        finally:
            stop.set()
            self._running = False
        return "".join(f"{stack} {count}\n" for stack, count in seen.most_common())

    def _look(self, times: int, interval: float, stop: threading.Event) -> Counter[str]:
        seen: Counter[str] = Counter()
        for _ in range(times):
            if stop.wait(interval):
                break
            frame = frames().get(self._thread)
            if frame is not None:
                seen[_collapsed(frame)] += 1
        return seen


def _collapsed(frame: FrameType) -> str:
    calls: list[str] = []
    inner: FrameType | None = frame
    while inner is not None and len(calls) < _DEEPEST:
        code = inner.f_code
        module = str(inner.f_globals.get("__name__", "?"))
        calls.append(f"{module}.{code.co_qualname}".replace(";", ",").replace(" ", ""))
        inner = inner.f_back
    return ";".join(reversed(calls))
