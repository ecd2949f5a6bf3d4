"""Consistent hash ring, point for point the one that Go Kratos and aegis build."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias

from aegis._hash import crc32, crc32_points, fnv1a, fnv1a_points

__all__ = ["DEFAULT_REPLICAS", "Ring", "RingAlgorithm"]

DEFAULT_REPLICAS: Final = 20  # points per member

RingAlgorithm: TypeAlias = Literal["crc32", "fnv1a"]

_HashKey: TypeAlias = Callable[[bytes], int]
_HashMember: TypeAlias = Callable[[bytes, int], tuple[int, ...]]

_HASHES: Final[Mapping[str, tuple[_HashKey, _HashMember]]] = {
    "crc32": (crc32, crc32_points),
    "fnv1a": (fnv1a, fnv1a_points),
}


class Ring:
    """An immutable consistent hash ring over distinct texts.

    Each member has ``replicas`` points, the hashes of ``0<member>``, ``1<member>``... A key
    belongs to the first point strictly above its own hash, past the end to the lowest one. If
    two members share a point, the later one has it; so give members in the same order as
    peers that must agree.

    Source: Karger et al., "Consistent Hashing and Random Trees", STOC 1997; Go:
    aegis ``internal/consistent``. Unlike there the ring is sorted once, not once per member,
    and ``get_n`` of nothing is nothing.

    Args:
        members: The texts, in order; repeated ones count once.
        replicas: Points per member, at least 1.
        algorithm: ``crc32`` (IEEE) or ``fnv1a`` (32 bits).

    Raises:
        ValueError: ``replicas`` or ``algorithm`` is not one of these.
    """

    __slots__ = ("_hash", "_members", "_owners", "_points")

    def __init__(
        self,
        members: Iterable[str],
        *,
        replicas: int = DEFAULT_REPLICAS,
        algorithm: RingAlgorithm = "crc32",
    ) -> None:
        if replicas < 1:
            msg = f"a ring needs at least 1 replica per member, got {replicas}"
            raise ValueError(msg)
        if algorithm not in _HASHES:
            msg = f"ring algorithm must be crc32 or fnv1a, got {algorithm!r}"
            raise ValueError(msg)
        self._hash, points_of = _HASHES[algorithm]
        self._members = tuple(dict.fromkeys(members))
        owner_of: dict[int, str] = {}
        for member in self._members:
            owner_of.update(dict.fromkeys(points_of(_encode(member), replicas), member))
        self._points = sorted(owner_of)
        self._owners = [owner_of[point] for point in self._points]

    @property
    def members(self) -> tuple[str, ...]:
        """The distinct members, in the order given."""
        return self._members

    def __len__(self) -> int:
        return len(self._members)

    def get(self, key: str) -> str:
        """Return the member that owns ``key``.

        Raises:
            LookupError: The ring is empty.
        """
        if not self._points:
            msg = "the ring has no members"
            raise LookupError(msg)
        return self._owners[self._start(key)]

    def get_n(self, key: str, n: int) -> tuple[str, ...]:
        """Return up to ``n`` distinct members, in the order in which the ring meets them.

        All members if there are fewer than ``n``, none if ``n`` is not positive.
        """
        if n <= 0 or not self._points:
            return ()
        start = self._start(key)
        owners = self._owners
        found: dict[str, None] = {}
        for index in range(start, start + len(owners)):
            found[owners[index % len(owners)]] = None
            if len(found) == n:
                break
        return tuple(found)

    def _start(self, key: str) -> int:
        return bisect_right(self._points, self._hash(_encode(key))) % len(self._points)


def _encode(text: str) -> bytes:
    # Text of outside origin may hold lone surrogates; hashing is no place to refuse them.
    return text.encode("utf-8", "surrogatepass")
