"""The k greatest of counts that mostly grow, with the least of them at hand."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappush, heapreplace
from typing import Final

__all__ = ["Entry", "Top"]

_FIRST: Final = 0


class Entry:
    """A key with its count, and the count by which it lies in the heap."""

    __slots__ = ("count", "key", "rank")

    def __init__(self, key: str, count: int) -> None:
        self.key = key
        self.count = count
        self.rank = count

    def __lt__(self, other: Entry) -> bool:
        # Of equal counts the greater key is the lesser entry, as in Go.
        return self.rank < other.rank if self.rank != other.rank else self.key > other.key


class Top:
    """At most ``size`` keys with counts; ``entries`` finds one, ``least`` is the first to go.

    A count that grows is only written down: the heap learns of it when the entry comes up as the
    least. So the usual case, a key that is in already, costs one look-up in a dict.
    """

    __slots__ = ("_heap", "_size", "entries")

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[Entry] = []
        self.entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._heap)

    @property
    def is_full(self) -> bool:
        """Whether a key must go before another comes."""
        return len(self._heap) >= self._size

    def least(self) -> Entry:
        """Return the entry of least count, of equal ones that of the greatest key."""
        heap = self._heap
        entry = heap[_FIRST]
        while entry.rank != entry.count:  # it has grown since it was put here
            entry.rank = entry.count
            heapreplace(heap, entry)
            entry = heap[_FIRST]
        return entry

    def push(self, key: str, count: int) -> None:
        """Take a key in, while there is room."""
        entry = self.entries[key] = Entry(key, count)
        heappush(self._heap, entry)

    def replace(self, key: str, count: int) -> Entry:
        """Take a key in for the least one, and return that."""
        least = self.least()
        entry = self.entries[key] = Entry(key, count)
        heapreplace(self._heap, entry)
        del self.entries[least.key]
        return least

    def drop_below(self, count: int) -> list[Entry]:
        """Take out and return the entries below a count; ``reorder`` must follow."""
        gone = [entry for entry in self._heap if entry.count < count]
        for entry in gone:
            del self.entries[entry.key]
        if gone:
            self._heap = [entry for entry in self._heap if entry.count >= count]
        return gone

    def reorder(self) -> None:
        """Build the heap again: counts have fallen."""
        for entry in self._heap:
            entry.rank = entry.count
        heapify(self._heap)

    def ordered(self) -> list[Entry]:
        """Return all entries, greatest count first, of equal ones the lesser key first."""
        return sorted(self._heap, key=lambda entry: (-entry.count, entry.key))
