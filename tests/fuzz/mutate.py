"""Blind mutations, for machines without a fuzzer that sees where an input leads."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

__all__ = ["mutated"]


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], random: Random) -> bytes:
    """Return a seed with a few things changed, or two that are spliced."""
    data = bytearray(random.choice(seeds))
    if random.random() < 0.2:
        other = random.choice(seeds)
        data = data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]
    for _ in range(1 << random.randrange(4)):
        at = random.randint(0, len(data))
        match random.randrange(6):
            case 0:
                data[at:at] = random.choice(words)
            case 1:
                data[at : at + 1] = bytes((random.randrange(256),))
            case 2:
                del data[at : at + 1 + random.randrange(8)]
            case 3:
                data[at:at] = data[at : at + random.randrange(32)]
            case 4 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case _:
                data[at : at + 4] = random.choice(words)
    return bytes(data)
