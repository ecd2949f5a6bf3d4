"""Deadlines of many calls on one timer.

A timing wheel (Varghese and Lauck, 1987) with 10 ms slots: entering and leaving cost a set
operation, an order of magnitude less than a loop timer per call. Slots are ordered by a heap
instead of an array that goes round, so a deadline may be an hour away and costs nothing while
it waits.
"""

from __future__ import annotations

import asyncio
import math
from heapq import heappop, heappush
from typing import Final, Protocol, cast

from kratos.errors import ConfigError

__all__ = ["Expiring", "Wheel", "time_limit"]

_SLOTS_PER_SECOND: Final = 100
_FARTHEST: Final = 1e9  # loop time, in seconds; whatever is later, infinity too, waits as long
_CROWD: Final = 1024  # slots that are kept before the empty ones among them are looked for


class Expiring(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """Act on the deadline; called at most once per entry, from the event loop.

        Must not raise.
        """
        ...


class Wheel:
    """Deadlines of one event loop; a timer is armed only while an entry waits."""

    __slots__ = ("_armed", "_crowded", "_keys", "_loop", "_next", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, set[Expiring]] = {}
        self._keys: list[int] = []  # a heap of the keys of _slots
        self._crowded = _CROWD
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed: asyncio.TimerHandle | None = None
        self._next = 0

    def enter(
        self, entry: Expiring, deadline: float, loop: asyncio.AbstractEventLoop | None = None
    ) -> set[Expiring]:
        """Add an entry that expires at ``deadline``, in the loop's time.

        Args:
            entry: What expires.
            deadline: When.
            loop: The running loop, from whoever knows it already.

        Returns:
            The slot; ``slot.discard(entry)`` takes the entry out again.
        """
        if loop is None:
            loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        if deadline > _FARTHEST:
            deadline = _FARTHEST
        key = int(deadline * _SLOTS_PER_SECOND) + 1
        slot = self._slots.get(key)
        if slot is None:
            slot = self._open_slot(key, loop)
        slot.add(entry)
        return slot

    @property
    def armed(self) -> bool:
        """Whether a timer runs."""
        return self._armed is not None

    def __len__(self) -> int:
        """Return how many slots are kept."""
        return len(self._slots)

    def close(self) -> None:
        """Forget all entries and the timer."""
        self._slots.clear()
        self._keys.clear()
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the entries of a loop that has ended: they can no longer expire."""
        self._slots.clear()
        self._keys.clear()
        self._armed = None
        self._loop = loop

    def _open_slot(self, key: int, loop: asyncio.AbstractEventLoop) -> set[Expiring]:
        if len(self._slots) >= self._crowded:
            self._sweep()
        slot = self._slots[key] = set[Expiring]()
        heappush(self._keys, key)
        if self._armed is None or key < self._next:
            if self._armed is not None:
                self._armed.cancel()
            self._arm(key, loop)
        return slot

    def _sweep(self) -> None:
        """Drop the slots that everybody has left."""
        self._slots = {key: slot for key, slot in self._slots.items() if slot}
        self._keys = sorted(self._slots)
        self._crowded = max(_CROWD, 2 * len(self._slots))

    def _arm(self, key: int, loop: asyncio.AbstractEventLoop) -> None:
        self._next = key
        self._armed = loop.call_at(key / _SLOTS_PER_SECOND, self._fire)

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        now = int(loop.time() * _SLOTS_PER_SECOND)
        due: list[set[Expiring]] = []
        while self._keys and self._keys[0] <= now:
            due.append(self._slots.pop(heappop(self._keys)))
        while self._keys and not self._slots[self._keys[0]]:  # nothing to wake up for
            del self._slots[heappop(self._keys)]
        self._armed = None
        if self._keys:
            self._arm(self._keys[0], loop)
        for slot in due:
            while slot:  # an entry may take another one out
                slot.pop().expire()


def time_limit(seconds: float | None) -> float | None:
    """Return a time limit; ``None`` for what limits nothing: zero, less, infinity.

    Raises:
        ConfigError: It is no number.
    """
    if seconds is not None and not isinstance(cast("object", seconds), int | float):
        raise ConfigError(f"timeout must be a number of seconds or None, not {seconds!r}")
    return seconds if seconds is not None and 0 < seconds < math.inf else None
