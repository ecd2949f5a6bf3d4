"""A block that can be left from outside."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from kratos.limit import is_cancelled_from_outside

__all__ = ["Interruptible"]


class Interruptible:
    """An ``async with`` block that ``interrupt`` ends, before or while it runs; used once.

    The block's task is the caller's own. A cancellation from elsewhere passes through.

    Attributes:
        interrupted: Whether ``interrupt`` was called.
    """

    __slots__ = ("_scope", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._scope: asyncio.Timeout | None = None

    def interrupt(self) -> None:
        """Leave the block at its next ``await``; idempotent."""
        if not self.interrupted:
            self.interrupted = True
            self._ring()

    async def __aenter__(self) -> Self:
        self._scope = asyncio.timeout(None)
        await self._scope.__aenter__()
        if self.interrupted:
            self._ring()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        scope, self._scope = self._scope, None
        assert scope is not None, "left after it was entered"
        try:
            await scope.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        # Somebody inside noticed the interrupt before the loop delivered it.
        ours = kind is asyncio.CancelledError and not is_cancelled_from_outside()
        return self.interrupted and ours

    def leave(self) -> None:
        """Leave the block from inside if it was interrupted and something swallowed that.

        Raises:
            asyncio.CancelledError: It was; the block's end keeps it.
        """
        if self.interrupted:
            raise asyncio.CancelledError

    def _ring(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
