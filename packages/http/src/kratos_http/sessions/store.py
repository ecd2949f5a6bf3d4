"""Where sessions are kept that are more than a cookie."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError

__all__ = ["MemorySessionStore", "SessionStore"]


class SessionStore(Protocol):
    """Keeps bytes by key for a while.

    Keys are digests of what is in the cookie: whoever reads the store cannot take a session over.
    """

    async def load(self, key: str, /) -> bytes | None:
        """Return what was saved last; ``None`` if there is nothing, or no more."""
        ...

    async def save(self, key: str, data: bytes, /, *, ttl: float, new: bool) -> bool:
        """Keep data, in place of what was there.

        Args:
            key: Letters and digits.
            data: What to keep.
            ttl: Seconds from now for which to keep it.
            new: Whether the key is new. One that is not, and is gone, stays gone: a request that
                was under way must not bring back a session that another one has ended.

        Returns:
            Whether it is kept.
        """
        ...

    async def delete(self, key: str, /) -> None:
        """Forget a key; one that is absent is left so."""
        ...


class MemorySessionStore:
    """Keeps sessions in this process: for one process, and until it ends.

    When it is full, the sessions go first that were not used for longest.

    Args:
        max_entries: How many sessions it keeps.
        max_bytes: How many bytes it keeps in all, keys and overhead not counted.
        clock: Tells the time.

    Raises:
        ConfigError: A bound is not positive.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ConfigError(f"max_entries={max_entries} and max_bytes={max_bytes} must be over 0")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """How many bytes it keeps."""
        return self._size

    async def load(self, key: str, /) -> bytes | None:
        """See ``SessionStore``."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock.time():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    async def save(self, key: str, data: bytes, /, *, ttl: float, new: bool) -> bool:
        """See ``SessionStore``; what exceeds ``max_bytes`` alone is not kept."""
        now = self._clock.time()
        present = self._entries.get(key)
        if not new and (present is None or present[0] <= now):
            return False
        if len(data) > self._max_bytes:
            return False
        self._drop(key)
        self._entries[key] = (now + ttl, data)
        self._size += len(data)
        self._make_room(now)
        return True

    async def delete(self, key: str, /) -> None:
        """See ``SessionStore``."""
        self._drop(key)

    def _make_room(self, now: float) -> None:
        while self._entries:
            key, (expires, _) = next(iter(self._entries.items()))
            full = len(self._entries) > self._max_entries or self._size > self._max_bytes
            if not full and expires > now:
                return
            self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= len(entry[1])
