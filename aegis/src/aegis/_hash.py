"""The two hashes of the ring, alone and for all replicas of a member at once.

A member's points are the hashes of ``0<member>``, ``1<member>``, ``2<member>``... Both hashes
read left to right, so the state after each number is computed once per process and shared by
all members.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import Final

__all__ = ["crc32", "crc32_points", "fnv1a", "fnv1a_points"]

_OFFSET: Final = 2166136261
_PRIME: Final = 16777619
_MASK: Final = 0xFFFFFFFF
_LANE_BITS: Final = 64


def fnv1a(data: bytes, state: int = _OFFSET) -> int:
    """Return the 32-bit FNV-1a hash of ``data`` (G. Fowler, L. C. Noll, K.-P. Vo)."""
    for byte in data:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def crc32(data: bytes, state: int = 0) -> int:
    """Return the CRC-32 (IEEE) of ``data``."""
    return zlib.crc32(data, state)


def fnv1a_points(member: bytes, replicas: int) -> tuple[int, ...]:
    """Return FNV-1a of ``<i><member>`` for each ``i`` below ``replicas``.

    All replicas advance together inside one large integer, a 64-bit lane each: a product of
    a 32-bit state and the 25-bit prime stays inside its lane. Much faster in Python than one
    replica after the other.
    """
    lanes, ones, mask, layout = _fnv1a_lanes(replicas)
    for byte in member:
        lanes = ((lanes ^ (ones * byte)) * _PRIME) & mask
    return layout.unpack(lanes.to_bytes(layout.size, "little"))


def crc32_points(member: bytes, replicas: int) -> tuple[int, ...]:
    """Return CRC-32 of ``<i><member>`` for each ``i`` below ``replicas``."""
    return tuple(zlib.crc32(member, state) for state in _crc32_states(replicas))


@cache
def _fnv1a_lanes(replicas: int) -> tuple[int, int, int, struct.Struct]:
    ones = sum(1 << (_LANE_BITS * i) for i in range(replicas))
    lanes = sum(fnv1a(b"%d" % i) << (_LANE_BITS * i) for i in range(replicas))
    return lanes, ones, ones * _MASK, struct.Struct(f"<{replicas}Q")


@cache
def _crc32_states(replicas: int) -> tuple[int, ...]:
    return tuple(zlib.crc32(b"%d" % i) for i in range(replicas))
