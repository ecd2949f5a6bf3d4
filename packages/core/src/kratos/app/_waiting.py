"""Waiting for tasks within a limit of the injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from kratos.clock import Clock
from kratos.limit import Limit

__all__ = ["unended"]


async def unended(
    tasks: Collection[asyncio.Task[Any]], *, clock: Clock, timeout: float | None
) -> list[asyncio.Task[Any]]:
    """Wait until all tasks have ended, ``timeout`` seconds at most; return those that have not."""
    if not tasks:
        return []
    limit = Limit(clock, timeout)
    try:
        async with limit:
            await asyncio.wait(tasks)
    except TimeoutError:
        return [task for task in tasks if not task.done()]
    return []
