"""Time limits that follow an injected clock, and endings that cannot be interrupted.

For loops and adapters; business code is served by ``asyncio.timeout``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kratos.clock import Clock

__all__ = [
    "Limit",
    "cancel_and_wait",
    "describe",
    "is_cancelled_from_outside",
    "one_line",
    "shielded",
]

T = TypeVar("T")

_LONGEST: Final = 2000  # characters of what one line tells


class Limit:
    """Cancel the block when ``seconds`` of ``clock`` have passed and raise ``TimeoutError``.

    ``asyncio.timeout`` counts the time of the loop, which no fake clock can move. The block
    runs in the caller's task, so a cancellation from elsewhere passes through unharmed.

    Args:
        clock: Whose seconds count.
        seconds: The limit; ``None`` for none.
    """

    __slots__ = ("_clock", "_scope", "_seconds", "_timer")

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.Task[None] | None = None

    @property
    def expired(self) -> bool:
        """Whether a ``TimeoutError`` came from this limit and not from inside the block."""
        return self._scope.expired()

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        if self._seconds is not None:
            self._timer = asyncio.create_task(self._ring(self._seconds))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._scope.__aexit__(kind, error, trace)
        finally:
            if self._timer is not None:
                await cancel_and_wait(self._timer)

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._scope.reschedule(asyncio.get_running_loop().time())


async def cancel_and_wait(*tasks: asyncio.Task[object]) -> None:
    """Cancel tasks and return when they have ended; their outcomes are not looked at."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def shielded(work: Coroutine[Any, Any, T], *, clock: Clock, timeout: float | None) -> T:
    """Run a clean-up to its end, however often the caller is cancelled meanwhile.

    Args:
        work: The clean-up.
        clock: Whose seconds count.
        timeout: Seconds after which the clean-up itself is cancelled; ``None`` for never, if it
            has limits of its own.

    Raises:
        TimeoutError: It took longer than ``timeout``.

    Cancellation: takes effect when the clean-up has ended; what that failed with is its cause.
    """

    async def bounded() -> T:
        async with Limit(clock, timeout):
            return await work

    task = asyncio.create_task(bounded())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()


def is_cancelled_from_outside() -> bool:
    """Tell whether somebody cancelled the running task.

    Clients such as grpc.aio raise ``CancelledError`` when a call of theirs was cancelled; a
    loop that has to outlive its errors must tell that from being stopped.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def describe(error: BaseException) -> str:
    """Return an exception's kind and text in one line, as ``except`` blocks log it.

    What others wrote may be in it: it is told with escapes for control characters, which could
    forge a line of a log, and up to 2000 characters.
    """
    text = one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def one_line(text: str) -> str:
    """Return a text that may come from anybody as a part of a line, for logs and errors."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return " " if one in "\r\n\t" else ascii(one)[1:-1]
