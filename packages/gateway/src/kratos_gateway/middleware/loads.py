"""One question for many who ask the same at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum
from typing import Final

__all__ = ["Load", "Loads", "Verdict"]

_REMEMBERED: Final = 4096
_PASSING: Final = 60.0  # seconds


class Verdict(Enum):
    """What became of a question."""

    KEPT = "kept"
    """Its answer is kept: look there."""
    OWN = "own"
    """Its answer is for whoever asked alone: ask yourself."""
    LEFT = "left"
    """Whoever asked has gone: one of the others asks."""


class Load:
    """A question under way.

    Attributes:
        waiting: How many wait for what becomes of it.
    """

    __slots__ = ("_ended", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self._ended: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Verdict:
        """Wait for what becomes of it.

        Cancellation: safe.
        """
        self.waiting += 1
        try:
            await asyncio.wait({self._ended})
            return self._ended.result()
        finally:
            self.waiting -= 1

    def end(self, verdict: Verdict) -> None:
        """Tell what became of it."""
        if not self._ended.done():
            self._ended.set_result(verdict)


class Loads:
    """Questions under way, and those whose answers are known to be for one alone."""

    def __init__(self) -> None:
        self._loads: Final[dict[Hashable, Load]] = {}
        # By the hash of a name: clients choose how long names are, and of two that have one in
        # common nothing worse comes than that both ask.
        self._own: Final[OrderedDict[int, float]] = OrderedDict()

    def find(self, name: Hashable, /) -> Load | None:
        """Return the question that is under way; ``None`` for none."""
        return self._loads.get(name)

    def begin(self, name: Hashable, /) -> Load:
        """Begin a question."""
        load = self._loads[name] = Load()
        return load

    def end(self, name: Hashable, load: Load, verdict: Verdict, /) -> None:
        """End a question."""
        if self._loads.get(name) is load:
            del self._loads[name]
        load.end(verdict)

    def pass_by(self, name: Hashable, now: float, /) -> None:
        """Remember for a while that answers are for one alone, so that nobody waits in vain."""
        self._own[hash(name)] = now + _PASSING
        self._own.move_to_end(hash(name))
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)

    def passes_by(self, name: Hashable, now: float, /) -> bool:
        """Tell whether that is remembered."""
        until = self._own.get(hash(name))
        if until is None:
            return False
        if until > now:
            return True
        del self._own[hash(name)]
        return False
