"""A small cache in the process that keeps the keys which are asked for most."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from aegis._check import above, at_least
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.hotkey.heavykeeper import HeavyKeeper, HotKey
from aegis.hotkey.rules import CacheRule, Rules

__all__ = ["HotKeyCache", "HotKeyCacheStats"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class HotKeyCacheStats:
    """What a cache holds and has done.

    Attributes:
        entries: Values it holds, of which some may have expired.
        hits: Times that ``get`` found a value.
        misses: Times that it found none.
        evicted: Values that left for want of room.
        hot: Keys in the top now.
        total: Sum of what was added, halved by each ``fading``.
    """

    entries: int
    hits: int
    misses: int
    evicted: int
    hot: int
    total: int


class HotKeyCache(Lockable, Generic[V]):
    """Counts which keys are asked for most, and keeps the values of those and of chosen ones.

    The way of use is ``get``; on a miss load the value, then ``add_with_value`` it. What is kept:

    - never a key of ``black_list``;
    - a key of ``white_list``, for the time of its rule, hot or not;
    - with ``auto_cache`` a key that is hot, for ``cache_ttl``, until it is not hot any more.

    Source: Go: aegis ``hotkey``. Different from there: the black list goes before the white one
    and the time of a white-list rule before ``cache_ttl``, with or without ``auto_cache``; a key
    of the white list stays when it is no longer hot; a pattern has nothing to do with the empty
    key; ``add`` too lets a value go whose key leaves the top; entries still expire when the
    process has run for 50 days.

    Args:
        hot_key_count: How many hot keys to find; 0 for no search.
        local_cache_count: Most values to hold, of which the one not used for longest goes first; 0
            for no limit.
        auto_cache: Whether to keep the values of hot keys.
        cache_ttl: Seconds for which a value is kept; more than 0.
        min_count: Keys that came less often are not hot.
        white_list: Keys whose values are kept, hot or not.
        black_list: Keys whose values are never kept.
        exact: Whether hot keys are sought with Go's hash and Go's answers; see ``HeavyKeeper``.
        clock: Gives monotonic nanoseconds.
        random: Gives numbers of [0, 1).
        threadsafe: Whether to hold a lock in each method.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_auto_cache",
        "_black",
        "_clock",
        "_entries",
        "_evicted",
        "_hits",
        "_misses",
        "_room",
        "_top",
        "_ttl",
        "_white",
    )

    LOCKED: ClassVar[tuple[str, ...]] = (
        "__len__",
        "add",
        "add_with_value",
        "clear",
        "delete",
        "fading",
        "get",
        "items",
        "stats",
    )

    def __init__(
        self,
        *,
        hot_key_count: int = 100,
        local_cache_count: int = 1000,
        auto_cache: bool = False,
        cache_ttl: float = 1.0,
        min_count: int = 0,
        white_list: Iterable[CacheRule] = (),
        black_list: Iterable[CacheRule] = (),
        exact: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        threadsafe: bool = False,
    ) -> None:
        at_least("hot_key_count", hot_key_count, 0)
        at_least("local_cache_count", local_cache_count, 0)
        above("cache_ttl", cache_ttl)
        at_least("min_count", min_count, 0)
        self._top: HeavyKeeper | None = None
        if hot_key_count:
            self._top = HeavyKeeper(hot_key_count, min_count=min_count, exact=exact, random=random)
        self._room = local_cache_count
        self._auto_cache = auto_cache
        self._ttl = round(cache_ttl * NANOSECONDS)
        self._white = Rules(
            (rule, self._ttl if rule.ttl is None else round(rule.ttl * NANOSECONDS))
            for rule in white_list
        )
        self._black = Rules((rule, rule) for rule in black_list)
        self._clock = clock
        self._entries: OrderedDict[str, tuple[int, V]] = OrderedDict()  # key: (expiry in ns, value)
        self._hits = 0
        self._misses = 0
        self._evicted = 0

    def add(self, key: str, n: int = 1) -> bool:
        """Count a key ``n`` times; return whether it is hot, ``False`` where none are sought."""
        if self._top is None:
            return False
        expelled, hot = self._top.add(key, n)
        if expelled is not None:
            self._cooled(expelled.key)
        return hot

    def add_with_value(self, key: str, value: V, n: int = 1) -> bool:
        """Count a key ``n`` times and keep its value if it is to be kept; return whether it is hot.

        A value that was kept before is replaced, or dropped where it is not to be kept now.
        """
        hot = False
        if self._top is not None:
            expelled, hot = self._top.add(key, n)
            if expelled is not None:
                self._cooled(expelled.key)
        ttl = self._kept_for(key, hot=hot)
        if ttl is None:
            self._entries.pop(key, None)  # an older value would contradict the new one
        else:
            self._keep(key, value, ttl)
        return hot

    def get(self, key: str) -> V | None:
        """Return the value of a key, or ``None`` if there is none that is valid still."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry[0] > self._clock():
                self._entries.move_to_end(key)
                self._hits += 1
                return entry[1]
            del self._entries[key]
        self._misses += 1
        return None

    def delete(self, key: str) -> None:
        """Drop the value of a key; nothing happens if there is none."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Drop all values; what is known of hot keys stays."""
        self._entries.clear()

    def fading(self) -> None:
        """Halve the counts of keys (see ``HeavyKeeper.fading``), and drop what has expired.

        Without it values that nobody asks for stay until there is no room, which
        ``local_cache_count=0`` puts off for ever.
        """
        now = self._clock()
        for key in [key for key, (expiry, _) in self._entries.items() if expiry <= now]:
            del self._entries[key]
        if self._top is not None:
            for gone in self._top.fading():
                self._cooled(gone.key)

    def items(self) -> list[HotKey]:
        """Return the hot keys, greatest count first, of equal ones the lesser key first."""
        return [] if self._top is None else self._top.items()

    def __len__(self) -> int:
        return len(self._entries)

    def stats(self) -> HotKeyCacheStats:
        """Return what it holds and has done."""
        return HotKeyCacheStats(
            entries=len(self._entries),
            hits=self._hits,
            misses=self._misses,
            evicted=self._evicted,
            hot=0 if self._top is None else len(self._top),
            total=0 if self._top is None else self._top.total,
        )

    def _kept_for(self, key: str, *, hot: bool) -> int | None:
        """Return for how many nanoseconds the value of a key is kept; ``None``: not at all."""
        chosen = self._white.find(key)
        if chosen is None and not (hot and self._auto_cache):
            return None
        if self._black.find(key) is not None:
            return None
        return self._ttl if chosen is None else chosen

    def _keep(self, key: str, value: V, ttl: int) -> None:
        entries = self._entries
        entries[key] = (self._clock() + ttl, value)
        entries.move_to_end(key)
        if self._room and len(entries) > self._room:
            entries.popitem(last=False)
            self._evicted += 1

    def _cooled(self, key: str) -> None:
        if key in self._entries and self._white.find(key) is None:
            del self._entries[key]
