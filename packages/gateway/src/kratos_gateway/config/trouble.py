"""One thing that is wrong with a part of a configuration."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Trouble"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a part, told by whoever knows that part alone.

    Attributes:
        field: Where in the part; empty for all of it.
        text: What is wrong, and what to do.
        fatal: Whether it will not work.
    """

    field: str
    text: str
    fatal: bool = True
