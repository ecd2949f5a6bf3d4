"""Picks that take one report."""

from __future__ import annotations

from kratos.selector.node import Node
from kratos.selector.outcome import Outcome

__all__ = ["Counter", "SinglePick"]


class Counter:
    """How many reports came after the first of their pick."""

    __slots__ = ("late",)

    def __init__(self) -> None:
        self.late = 0


class SinglePick:
    """The pick of a strategy that learns nothing from reports, and base of those that do."""

    __slots__ = ("_counter", "_open", "node")

    def __init__(self, node: Node, counter: Counter) -> None:
        self.node = node
        self._counter = counter
        self._open = True

    def done(self, outcome: Outcome, /) -> None:
        """Report how the call ended; later reports are ignored and counted."""
        if self._open:
            self._open = False
            self._end(outcome)
        else:
            self._counter.late += 1

    def _end(self, outcome: Outcome) -> None:
        """Learn from the one report."""
