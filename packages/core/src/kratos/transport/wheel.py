"""Deadlines of many calls on one timer.

A timing wheel (Varghese and Lauck, 1987) with 10 ms slots: entering and leaving cost a set
operation, an order of magnitude less than a loop timer per call.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

__all__ = ["Expiring", "Wheel"]

_SLOTS_PER_SECOND: Final = 100


class Expiring(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """Act on the deadline; called at most once per entry, from the event loop."""
        ...


class Wheel:
    """Deadlines of one event loop; a timer is armed only while an entry waits."""

    __slots__ = ("_armed", "_loop", "_next", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, set[Expiring]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed: asyncio.TimerHandle | None = None
        self._next = 0

    def enter(self, entry: Expiring, deadline: float) -> set[Expiring]:
        """Add an entry that expires at ``deadline``, in the loop's time.

        Returns:
            The slot; ``slot.discard(entry)`` takes the entry out again.
        """
        key = int(deadline * _SLOTS_PER_SECOND) + 1
        slot = self._slots.get(key)
        if slot is None:
            slot = self._open_slot(key)
        slot.add(entry)
        return slot

    @property
    def armed(self) -> bool:
        """Whether a timer runs."""
        return self._armed is not None

    def close(self) -> None:
        """Forget all entries and the timer."""
        self._slots.clear()
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _open_slot(self, key: int) -> set[Expiring]:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # entries of a loop that has ended can no longer expire
            self._slots.clear()
            self._armed = None
            self._loop = loop
        slot = self._slots[key] = set[Expiring]()
        if self._armed is None or key < self._next:
            if self._armed is not None:
                self._armed.cancel()
            self._next = key
            self._armed = loop.call_at(key / _SLOTS_PER_SECOND, self._fire)
        return slot

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        now = int(loop.time() * _SLOTS_PER_SECOND)
        self._armed = None
        for key in [key for key in self._slots if key <= now]:
            for entry in tuple(self._slots.pop(key)):
                entry.expire()
        if self._slots:
            self._next = min(self._slots)
            self._armed = loop.call_at(self._next / _SLOTS_PER_SECOND, self._fire)
