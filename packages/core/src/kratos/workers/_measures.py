"""What all workers have counted, kept over their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from kratos.clock import Clock
from kratos.limit import Limit
from kratos.metrics import Snapshot, from_wire, lasting, merge
from kratos.workers._child import Child
from kratos.workers._messages import Measure, Measured
from kratos.workers._parts import joined

__all__ = ["Measures"]

_PATIENCE: Final = 1.0  # seconds that a worker has to tell; one that is busy is shown as it was


class Measures:
    """Adds up workers of the present and of the past.

    What those have counted that have ended is one sum, so that it does not grow with them.

    Args:
        clock: Time for the wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._past: Snapshot = ()
        self._parts: dict[Child, list[Snapshot]] = {}
        self._present: dict[Child, tuple[str, Snapshot]] = {}
        self._awaited: dict[Child, asyncio.Event] = {}

    def take(self, child: Child, origin: str, message: Measured) -> None:
        """Note what a worker has counted until now, or a part of it.

        Raises:
            ValueError: It is no snapshot; what the worker told before still counts.
        """
        parts = self._parts.pop(child, None)
        if message.begins:
            parts = []
        if message.failed or parts is None:
            self._release(child)
            return
        try:
            parts.append(from_wire(message.families))
        except ValueError:
            self._release(child)
            raise
        if message.more:
            self._parts[child] = parts
        else:
            self._present[child] = (origin, joined(parts))
            self._release(child)

    def sweep(self) -> None:
        """Add workers that have ended to the past."""
        for child in [child for child in self._awaited if child.code is not None]:
            self._release(child)
        for child in [child for child in self._parts if child.code is not None]:
            del self._parts[child]
        for child in [child for child in self._present if child.code is not None]:
            _, snapshot = self._present.pop(child)
            self._past = merge([("", self._past), ("", lasting(snapshot))])

    async def collect(self, children: Collection[Child]) -> Snapshot:
        """Ask all workers and return the sum; one that does not answer counts as it last did.

        Cancellation: safe.
        """
        asked = [self._ask(child) for child in children if child.ready_at is not None]
        with suppress(TimeoutError):
            async with Limit(self._clock, _PATIENCE):
                for answered in asked:
                    await answered.wait()
        return merge([("", self._past), *self._present.values()])

    def _ask(self, child: Child) -> asyncio.Event:
        """Return what is set when a worker has told, or has ended."""
        answered = self._awaited.get(child)
        if answered is None:
            answered = self._awaited[child] = asyncio.Event()
            child.send(Measure())
        return answered

    def _release(self, child: Child) -> None:
        answered = self._awaited.pop(child, None)
        if answered is not None:
            answered.set()
