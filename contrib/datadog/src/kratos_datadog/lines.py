"""The text of DogStatsD, version 1.1: lines, and packets of lines. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

__all__ = ["cleaned", "number", "packets", "tag", "value_lines"]

# What would end a tag, or a line; the agent itself changes what else Datadog does not have.
_UNFIT: Final = re.compile(r"[,|#\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_TAG: Final = 200  # characters, name and colon among them, as Datadog has it


def cleaned(text: str) -> str:
    """Return a text with ``_`` for what would end a tag."""
    return _UNFIT.sub("_", text)


def tag(name: str, value: str) -> str:
    """Return a tag."""
    return f"{name}:{cleaned(value)}"[:_LONGEST_TAG]


def number(value: float) -> str:
    """Return a number with all of its digits and no more."""
    value = float(value)  # a program may count in whole numbers
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def value_lines(head: str, values: Iterable[float], tail: str, longest: int) -> Iterator[bytes]:
    """Yield lines that hold many values each, in their order.

    Args:
        head: Before the values.
        values: Some.
        tail: After them.
        longest: Bytes of a line; one value is sent all the same.
    """
    begin, end = head.encode(), tail.encode()
    room = longest - len(begin) - len(end)
    told: list[bytes] = []
    size = 0
    for value in values:
        text = b":" + number(value).encode()
        if told and size + len(text) > room:
            yield begin + b"".join(told) + end
            told, size = [], 0
        told.append(text)
        size += len(text)
    if told:
        yield begin + b"".join(told) + end


def packets(lines: Iterable[bytes], longest: int) -> Iterator[Sequence[bytes]]:
    """Yield lines in groups that fit into packets, with a line feed in between.

    A line that is too long is alone.
    """
    packet: list[bytes] = []
    size = 0
    for line in lines:
        if packet and size + 1 + len(line) > longest:
            yield packet
            packet, size = [], 0
        size += len(line) + (1 if packet else 0)
        packet.append(line)
    if packet:
        yield packet
