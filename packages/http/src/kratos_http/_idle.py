"""The end of streams on which nothing happens."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from kratos.errors import Error
from kratos.transport import Call, Cause

__all__ = ["IdleWatch"]


class IdleWatch:
    """Cancels a call on which no message went for some time; a context manager.

    One timer per stream, and nothing per message: it looks at the call's counts, so that the
    end comes between once and twice the time.

    Args:
        call: The call.
        seconds: The time; ``None`` for never.
    """

    __slots__ = ("_call", "_expired", "_seconds", "_seen", "_timer")

    def __init__(self, call: Call, seconds: float | None) -> None:
        self._call = call
        self._seconds = seconds
        self._seen = 0
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._schedule()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._expired and isinstance(error, Error):
            raise Error(
                504, "STREAM_IDLE", f"no message went for {self._seconds:g} seconds"
            ) from error

    def _schedule(self) -> None:
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._look)

    def _look(self) -> None:
        if self._call.cause is not None:
            return
        seen = self._call.sent + self._call.received
        if seen == self._seen:
            self._expired = True
            self._call.cancel(Cause.DEADLINE)
            return
        self._seen = seen
        self._schedule()
