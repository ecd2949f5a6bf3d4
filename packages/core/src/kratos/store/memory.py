"""A store inside of one process, bounded by entries and by bytes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, StoreFull, StoreUnavailable
from kratos.store._batch import Entry
from kratos.store._interface import check_entry
from kratos.url import Options, Url

__all__ = ["MemoryStore", "from_url"]

_ENTRIES: Final = 10_000
_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE: Final = 64  # expired entries dropped by one write, which adds one
_FINENESS: Final = 64  # an entry takes memory for at most a 32nd of its ttl longer


class _Kept(NamedTuple):
    expires: float
    due: float  # when it is dropped if nobody has asked for it
    value: bytes


class MemoryStore:
    """Keeps entries in this process: for one process, and until it ends.

    What has expired is absent at once, and dropped from memory by later writes: entries wait in
    buckets of about the same end, so that no timer runs, and a write takes the same time however
    many there are.

    Use it from one event loop.

    Args:
        max_entries: How many entries it keeps.
        max_bytes: How many bytes it keeps: of values, and the characters of keys.
        evict: Whether the entries that were not used for longest make room for new ones. Without
            it, a write to a full store raises ``StoreFull``: for what must not be forgotten early.
        clock: Tells the time.

    Attributes:
        evicted: How many entries were dropped before their time, to make room.

    Raises:
        ConfigError: A bound is not positive.
    """

    def __init__(
        self,
        *,
        max_entries: int = _ENTRIES,
        max_bytes: int = _BYTES,
        evict: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ConfigError(f"max_entries={max_entries} and max_bytes={max_bytes} must be over 0")
        self.evicted = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._evict = evict
        self._clock = clock
        self._entries: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._buckets: dict[float, set[str]] = {}
        self._dues: list[float] = []  # of the buckets, a heap
        self._closed = False

    def __bool__(self) -> bool:
        # An empty store is a store: `store or MemoryStore()` takes the one that was given.
        return True

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._entries))

    @property
    def size(self) -> int:
        """How many bytes it keeps."""
        return self._size

    async def get(self, key: str, /) -> bytes | None:
        """See ``Store``."""
        entry = self._living(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """See ``Store``.

        Raises:
            StoreFull: There is no room for it.
        """
        check_entry(value, ttl)
        self._living(key)
        self._put(key, value, ttl)

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """See ``Store``, and ``set``."""
        check_entry(value, ttl)
        if self._living(key) is not None:
            return False
        self._put(key, value, ttl)
        return True

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        """See ``Store``, and ``set``."""
        check_entry(value, ttl)
        entry = self._living(key)
        if entry is None or entry.value != expected:
            return False
        self._put(key, value, ttl)
        return True

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        """See ``Store``."""
        entry = self._living(key)
        if entry is None or (expected is not None and entry.value != expected):
            return False
        self._drop(key)
        return True

    async def get_many(self, keys: Sequence[str], /) -> Mapping[str, bytes]:
        """See ``BatchStore``."""
        return {key: value for key in keys if (value := await self.get(key)) is not None}

    async def set_many(self, entries: Mapping[str, Entry], /) -> None:
        """See ``BatchStore``, and ``set``."""
        for key, entry in entries.items():
            await self.set(key, entry.value, ttl=entry.ttl)

    async def aclose(self) -> None:
        """Forget everything."""
        self._closed = True
        self._entries.clear()
        self._buckets.clear()
        self._dues.clear()
        self._size = 0

    def _living(self, key: str) -> _Kept | None:
        """Return what a key has, and drop it if its time is over."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        entry = self._entries.get(key)
        if entry is not None and entry.expires <= self._clock.time():
            self._drop(key)
            return None
        return entry

    def _put(self, key: str, value: bytes, ttl: float) -> None:
        now = self._clock.time()
        self._sweep(now, _AT_ONCE)
        self._make_room(key, len(key) + len(value), now)
        self._drop(key)
        due = _due(now + ttl, ttl)
        bucket = self._buckets.get(due)
        if bucket is None:
            bucket = self._buckets[due] = set()
            heappush(self._dues, due)
        bucket.add(key)
        self._entries[key] = _Kept(now + ttl, due, value)
        self._size += len(key) + len(value)

    def _make_room(self, key: str, size: int, now: float) -> None:
        """Drop what stands in the way of an entry; what it replaces counts as gone."""
        if size > self._max_bytes:
            raise StoreFull(f"an entry of {size} bytes exceeds max_bytes={self._max_bytes}")
        if not self._fits(key, size) and not self._evict:
            self._sweep(now, len(self._entries))
            if not self._fits(key, size):
                raise StoreFull(
                    f"the store is full: {len(self._entries)} entries of {self._max_entries}, "
                    f"{self._size} bytes of {self._max_bytes}"
                )
        while not self._fits(key, size):
            oldest = next(iter(self._entries))
            if self._entries[oldest].expires > now and oldest != key:
                self.evicted += 1
            self._drop(oldest)

    def _fits(self, key: str, size: int) -> bool:
        present = self._entries.get(key)
        entries = len(self._entries) + (present is None)
        freed = 0 if present is None else len(key) + len(present.value)
        return entries <= self._max_entries and self._size - freed + size <= self._max_bytes

    def _sweep(self, now: float, most: int) -> None:
        """Drop entries whose time is over, at most so many."""
        while most > 0 and self._dues and self._dues[0] <= now:
            bucket = self._buckets[self._dues[0]]
            while bucket and most > 0:
                self._drop(bucket.pop())
                most -= 1
            if not bucket:
                del self._buckets[heappop(self._dues)]

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= len(key) + len(entry.value)
            self._buckets[entry.due].discard(key)


def _due(expires: float, ttl: float) -> float:
    """Return the end of the bucket of an entry: a multiple of a power of two of seconds."""
    width = math.ldexp(1.0, max(-10, math.frexp(ttl / _FINENESS)[1]))
    return math.ceil(expires / width) * width


def from_url(url: Url) -> MemoryStore:
    """Return a new store: ``memory://[?max_entries=10000&max_bytes=67108864&evict=true]``.

    Raises:
        ConfigError: An option is unknown or wrong, or the URL has more than options.
    """
    options = Options(url)
    entries = options.integer("max_entries", default=_ENTRIES)
    size = options.integer("max_bytes", default=_BYTES)
    evict = options.flag("evict", default=True)
    options.finish()
    if url.hosts or url.path.strip("/") or url.username is not None:
        raise ConfigError(f"{url}: a memory store has options and nothing else")
    return MemoryStore(max_entries=entries, max_bytes=size, evict=evict)
