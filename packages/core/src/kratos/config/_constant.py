"""A watcher of what never changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kratos.config._interface import KeyValue
from kratos.watch import Versioned

__all__ = ["ConstantWatcher"]


class ConstantWatcher:
    """Gives the same entries for ever; see ``kratos.watch.Watcher``."""

    def __init__(self, entries: Sequence[KeyValue]) -> None:
        self._state = Versioned(value=entries)
        self._closed = asyncio.Event()

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        """Return the entries."""
        return self._state

    async def changed(self, since: object, /) -> Versioned[Sequence[KeyValue]] | None:
        """Wait for ``aclose``."""
        await self._closed.wait()
        return None

    async def aclose(self) -> None:
        """End a pending ``changed``; idempotent."""
        self._closed.set()
