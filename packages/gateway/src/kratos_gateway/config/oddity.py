"""What a configuration says to nobody."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Oddity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that is left out because nothing reads it.

    Attributes:
        place: Where, such as ``endpoints[2].retry.attemps``.
        text: What is wrong, and what to do.
    """

    place: str
    text: str
