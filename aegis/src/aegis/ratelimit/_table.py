"""A dictionary that holds no more than it has room for, and forgets what does not matter first."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Literal, TypeAlias

from aegis._check import at_least

__all__ = ["Table", "WhenFull"]

WhenFull: TypeAlias = Literal["evict", "refuse"]

_LEAST: Final = 1024  # keys that are kept without looking whether they still matter
_STEPS: Final = 4  # keys looked at for each new one


class Table:
    """One integer per key: the later the key becomes idle, the greater.

    A key whose value is at or below the horizon of the moment is idle: it says what an absent key
    says. There are two generations. A new key goes to the young one; when that has grown, it
    becomes the old one, which is then taken apart, four keys for each new one: busy keys move to
    the young generation, as do keys that are asked for, and idle ones are dropped. So a table has
    about four times as many keys as are busy, and no call pays for a look at all of them.

    When ``capacity`` is reached, the search for an idle key goes on until one is found. Over time
    that is four keys for each new one, too; but the first call that finds all of them busy looks at
    all of them (a million: some tenths of a second). So while at least one key in four is idle, no
    busy one is forgotten. Beyond that ``evict`` forgets one that has not been asked for of late,
    and ``refuse`` takes no new ones.

    Args:
        capacity: The most keys.
        when_full: What to do when all of them are busy.

    Raises:
        ValueError: A value is out of its range.
    """

    __slots__ = (
        "_credit",
        "_turn",
        "_when_full",
        "capacity",
        "evicted",
        "old",
        "turned_away",
        "young",
    )

    def __init__(self, *, capacity: int, when_full: WhenFull) -> None:
        at_least("capacity", capacity, 1)
        if when_full not in ("evict", "refuse"):
            msg = f"when_full must be evict or refuse, got {when_full!r}"
            raise ValueError(msg)
        self.capacity = capacity
        self.young: dict[Hashable, int] = {}
        self.old: dict[Hashable, int] = {}
        self.evicted = 0
        self.turned_away = 0
        self._when_full = when_full
        self._turn = self._next_turn()
        self._credit = capacity

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def get(self, key: Hashable) -> int | None:
        """Return the value of ``key``, without a trace."""
        value = self.young.get(key)
        return self.old.get(key) if value is None else value

    def recall(self, key: Hashable) -> int | None:
        """Return the value of a key that is not in the young generation, and bring it there."""
        value = self.old.pop(key, None)
        if value is not None:
            self.young[key] = value
        return value

    def add(self, key: Hashable, value: int, horizon: int) -> bool:
        """Take in a key that the table has not; false if there is no room for it."""
        if len(self.young) + len(self.old) >= self.capacity:
            if not self._make_room(horizon):
                return False
        elif self.old:
            self._sweep(horizon)
        elif len(self.young) >= self._turn:
            self._age()
        self.young[key] = value
        return True

    def _age(self) -> None:
        self.old, self.young = self.young, {}

    def _sweep(self, horizon: int) -> None:
        young, old = self.young, self.old
        for _ in range(_STEPS):
            key, value = old.popitem()
            if value > horizon:
                young[key] = value
            if not old:
                self.old = {}  # the emptied one still has its memory
                self._turn = self._next_turn()
                return

    def _next_turn(self) -> int:
        # From half of the capacity on the search never rests, so that few idle keys are left when
        # there is no room.
        return min(max(_LEAST, 2 * len(self.young)), self.capacity // 2 + 1)

    def _make_room(self, horizon: int) -> bool:
        self._credit = min(self._credit + _STEPS, self.capacity)
        while self._credit > 0:
            if not self.old:
                self._age()
            young, popitem = self.young, self.old.popitem
            for _ in range(min(self._credit, len(self.old))):
                self._credit -= 1
                key, value = popitem()
                if value <= horizon:
                    return True
                young[key] = value
        if self._when_full == "refuse":
            self.turned_away += 1
            return False
        if not self.old:
            self._age()
        self.old.popitem()
        self.evicted += 1
        return True
