"""What is measured: loops that make calls, and things that keep something of each key."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, TypeAlias

__all__ = [
    "KEYS",
    "Kept",
    "Loop",
    "Timed",
    "awaited",
    "called",
    "empty",
    "empty_later",
    "keyed",
    "load",
]

Loop: TypeAlias = Callable[[int], Awaitable[None] | None]
"""Makes so many calls. Its own share, about 5 ns a call, is in the figures."""

KEYS = [f"user:{number:06}" for number in range(1000)]
"""Keys for limiters, in turn: one key alone would be an unlikely cache hit."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A loop to be timed.

    Attributes:
        case: The kind of work, the same for all subjects of a case.
        subject: Who does it, as printed.
        loop: The loop.
    """

    case: str
    subject: str
    loop: Loop


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is weighed.

    Attributes:
        case: The kind of thing, the same for all subjects of a case.
        subject: Whose it is, as printed.
        fill: Uses each key once, and returns all that must stay for that.
    """

    case: str
    subject: str
    fill: Callable[[Sequence[str]], object]


def load(name: str) -> Any:
    """Import a package of others. They are untyped here: the checkers need not have them."""
    return importlib.import_module(name)


def empty() -> None:
    """Do the work that is guarded: nothing."""


async def empty_later() -> None:
    """Do nothing, as a coroutine."""


def called(call: Callable[[], object]) -> Loop:
    """Return a loop around a call."""

    def loop(n: int) -> None:
        for _ in range(n):
            call()

    return loop


def awaited(call: Callable[[], Awaitable[object]]) -> Loop:
    """Return a loop around a call of a coroutine function."""

    async def loop(n: int) -> None:
        for _ in range(n):
            await call()

    return loop


def keyed(call: Callable[[str], object], keys: Sequence[str] = KEYS) -> Loop:
    """Return a loop around a call that takes a key."""
    endless = cycle(keys)

    def loop(n: int) -> None:
        for key in islice(endless, n):
            call(key)

    return loop
