"""Which keys come most often, in memory that does not grow with the number of keys."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import log, log1p
from typing import ClassVar, Final, NamedTuple

from aegis._check import at_least, between
from aegis._locked import Lockable
from aegis.hotkey._murmur3 import murmur3
from aegis.hotkey._top import Top

__all__ = ["Added", "HeavyKeeper", "HeavyKeeperStats", "HotKey", "default_width"]

_POWERS: Final = 256
_LAST_POWER: Final = _POWERS - 1
_STEP_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class HotKey:
    """A key and how often it came, which is never said to be more than it was."""

    key: str
    count: int


class Added(NamedTuple):
    """What became of a key that was added.

    Attributes:
        expelled: The key that had to leave the top for it.
        hot: Whether the key is among the top now.
    """

    expelled: HotKey | None
    hot: bool


_COLD: Final = Added(None, False)
_HOT: Final = Added(None, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavyKeeperStats:
    """What a sketch has seen.

    Attributes:
        total: Sum of all that was added, halved by each ``fading``.
        hot: Keys in the top now.
        least: Lowest count in the top; 0 while it is empty.
        expelled: Keys that left the top for others, ever.
    """

    total: int
    hot: int
    least: int
    expelled: int


def default_width(k: int) -> int:
    """Return the width that Go gives the sketch of a hot key cache of ``k`` keys."""
    return 1024 * max(1, int(log(k)))


class HeavyKeeper(Lockable):
    """Finds the ``k`` keys that come most often, by a sketch with exponential decay.

    Each key has one bucket in each of ``depth`` rows. A bucket belongs to one key at a time and
    counts it; another key that meets there takes one off with probability ``decay ** count``, and
    the bucket over when nothing is left. So rare keys cannot dislodge frequent ones, and no count
    is above the truth unless two keys share a fingerprint. Costs about a microsecond and allocates
    nothing per key; memory is ``width * depth`` buckets (about 40 bytes each) and ``k`` entries.

    Buckets are chosen by ``hash()`` of the text. It differs between processes unless
    ``PYTHONHASHSEED`` is set, so which rare keys disturb each other differs too: nobody outside
    can make keys collide. With ``exact=True`` the buckets and answers are those of Go (murmur3,
    20 times slower), for comparing the two; some of its habits are then kept that the default
    mends: a key that ties with the least of the top is called hot though it is not taken in, a key
    may enter with a count of 0, and the count of a key in the top may fall, or lie below
    ``min_count`` after ``fading``. Its random numbers are not Go's.

    Source: J. Gong et al., "HeavyKeeper: An Accurate Algorithm for Finding Top-k Elephant Flows",
    USENIX ATC 2018; Go: aegis ``topk/heavykeeper.go``. Where Go sends what is expelled into a
    channel that drops, here ``add`` returns it.

    Args:
        k: How many keys to find; at least 1.
        width: Buckets per row; by default what Go's hot key cache takes, 1024 times the whole part
            of ln k, at least 1024.
        depth: Rows; at least 1.
        decay: Chance that a count of 1 is taken off by another key, between 0 and 1.
        min_count: Keys below this count are not hot; at least 0.
        exact: Whether to take Go's hash and Go's answers.
        random: Gives numbers of [0, 1).
        threadsafe: Whether to hold a lock in each method.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_bases",
        "_counts",
        "_depth",
        "_exact",
        "_expelled",
        "_marks",
        "_min_count",
        "_powers",
        "_random",
        "_top",
        "_total",
        "_width",
    )

    LOCKED: ClassVar[tuple[str, ...]] = (
        "__contains__",
        "__len__",
        "add",
        "fading",
        "items",
        "stats",
        "total",
    )

    def __init__(
        self,
        k: int,
        *,
        width: int | None = None,
        depth: int = 4,
        decay: float = 0.925,
        min_count: int = 0,
        exact: bool = False,
        random: Callable[[], float] = random.random,
        threadsafe: bool = False,
    ) -> None:
        at_least("k", k, 1)
        width = default_width(k) if width is None else width
        at_least("width", width, 1)
        at_least("depth", depth, 1)
        between("decay", decay, 0, 1)
        at_least("min_count", min_count, 0)
        self._width = width
        self._depth = depth
        self._min_count = min_count
        self._exact = exact
        self._random = random
        self._powers = tuple(decay**count for count in range(_POWERS))
        self._bases = tuple(row * width for row in range(depth))
        self._marks = [0] * (width * depth)  # fingerprint of the key that has the bucket
        self._counts = [0] * (width * depth)
        self._top = Top(k)
        self._total = 0
        self._expelled = 0

    def add(self, key: str, n: int = 1) -> Added:
        """Count a key ``n`` times; at least once.

        Returns:
            Whether it is hot, and the key that left the top for it. An ``n`` below 1 changes
            nothing, and the answer is whether the key is hot already.
        """
        if n == 1 and not self._exact:
            self._total += 1
            estimate = self._counted_once(hash(key))
        elif n < 1:
            return _HOT if key in self._top.entries else _COLD
        else:
            self._total += n
            estimate = self._counted(*self._place(key), n)
        if self._exact:
            return self._answered_as_go(key, estimate)
        top = self._top
        entry = top.entries.get(key)
        if entry is not None:
            if estimate > entry.count:
                entry.count = estimate
            return _HOT
        if estimate < self._min_count or not estimate:
            return _COLD
        if not top.is_full:
            top.push(key, estimate)
            return _HOT
        if estimate <= top.least().count:
            return _COLD
        return self._taken_in(key, estimate)

    def _answered_as_go(self, key: str, estimate: int) -> Added:
        top = self._top
        entry = top.entries.get(key)
        least = top.least().count if top.is_full else 0
        if estimate < self._min_count or estimate < least:
            return _COLD
        if entry is not None:
            fallen = estimate < entry.count
            entry.count = estimate
            if fallen:
                top.reorder()
            return _HOT
        if not top.is_full:
            top.push(key, estimate)
            return _HOT
        return self._taken_in(key, estimate) if estimate > least else _HOT

    def _taken_in(self, key: str, estimate: int) -> Added:
        gone = self._top.replace(key, estimate)
        self._expelled += 1
        return Added(HotKey(gone.key, gone.count), True)

    def _place(self, key: str) -> tuple[int, list[int]]:
        """Return the mark of a key and its columns."""
        width = self._width
        if self._exact:
            data = key.encode("utf-8", "surrogatepass")
            return murmur3(data), [murmur3(data, row) % width for row in range(self._depth)]
        hashed = hash(key)
        step = hashed >> _STEP_BITS
        return hashed, [(hashed + row * step) % width for row in range(self._depth)]

    def _counted_once(self, mark: int) -> int:
        """Count a key in its buckets, as ``_counted`` does; return the greatest of its counts."""
        marks, counts, width = self._marks, self._counts, self._width
        column = mark % width
        step = (mark >> _STEP_BITS) % width
        estimate = 0
        for base in self._bases:
            slot = base + column
            column += step
            if column >= width:
                column -= width
            if marks[slot] == mark:
                count = counts[slot] + 1
            else:
                count = counts[slot]
                if count:
                    power = self._powers[count if count < _POWERS else _LAST_POWER]
                    if self._random() >= power:
                        continue
                    if count > 1:
                        counts[slot] = count - 1
                        continue
                marks[slot] = mark
                count = 1
            counts[slot] = count
            if count > estimate:
                estimate = count
        return estimate

    def _counted(self, mark: int, columns: list[int], n: int) -> int:
        """Count a key ``n`` times in its buckets; return the greatest of its counts."""
        marks, counts = self._marks, self._counts
        estimate = 0
        for base, column in zip(self._bases, columns, strict=True):
            slot = base + column
            if counts[slot] == 0 or marks[slot] == mark:
                counts[slot] += n
            else:
                left = self._worn(slot, n)
                if not left:
                    continue
                counts[slot] = left
            marks[slot] = mark
            estimate = max(estimate, counts[slot])
        return estimate

    def _worn(self, slot: int, n: int) -> int:
        """Let ``n`` arrivals of another key wear down a bucket; return how many are left over.

        The one that takes the last off counts among them. Those that take nothing off are skipped
        by a draw from the geometric distribution, so the work follows the count and not ``n``.
        """
        counts = self._counts
        left = n
        while left > 0:
            power = self._powers[min(counts[slot], _LAST_POWER)]
            if power < 1.0:
                left -= int(log1p(-self._random()) / log1p(-power)) if power else left
                if left <= 0:
                    return 0
            counts[slot] -= 1
            if counts[slot] == 0:
                return left
            left -= 1
        return 0

    def items(self) -> list[HotKey]:
        """Return the top, greatest count first, of equal ones the lesser key first."""
        return [HotKey(entry.key, entry.count) for entry in self._top.ordered()]

    def fading(self) -> list[HotKey]:
        """Halve all counts, so that what was hot once gives way to what is hot now.

        Call it at intervals, such as every minute; it costs about 0.05 ms per 1000 buckets.

        Returns:
            The keys that left the top because their count fell below ``min_count`` or to 0.
        """
        self._counts[:] = [count >> 1 for count in self._counts]
        self._total >>= 1
        for entry in self._top:
            entry.count >>= 1
        gone = [] if self._exact else self._top.drop_below(max(1, self._min_count))
        self._top.reorder()
        return [HotKey(entry.key, entry.count) for entry in gone]

    @property
    def total(self) -> int:
        """Sum of all that was added, halved by each ``fading``."""
        return self._total

    def __contains__(self, key: object) -> bool:
        """Whether a key is in the top."""
        return key in self._top.entries

    def __len__(self) -> int:
        return len(self._top.entries)

    def stats(self) -> HeavyKeeperStats:
        """Return what it has seen."""
        entries = self._top.entries
        return HeavyKeeperStats(
            total=self._total,
            hot=len(entries),
            least=self._top.least().count if entries else 0,
            expelled=self._expelled,
        )
