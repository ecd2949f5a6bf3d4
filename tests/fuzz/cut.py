"""Bytes in pieces, as a network might bring them."""

from __future__ import annotations

from random import Random

__all__ = ["cut"]


def cut(data: bytes, plan: bytes, *, most: int = 1000) -> list[bytes]:
    """Return data in pieces.

    Args:
        data: All of it.
        plan: Where to cut; the same plan cuts the same data alike.
        most: Pieces at most, the last one being the rest.
    """
    random = Random(plan)
    largest = 1 << random.randrange(8)
    pieces: list[bytes] = []
    while data and len(pieces) < most - 1:
        size = random.randint(1, largest)
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data] if data else pieces
