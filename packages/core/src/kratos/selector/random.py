"""Uniform random choice (Go: selector/random)."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter, SinglePick
from kratos.selector.node import Node, NodeFilter
from kratos.selector.selector import Pick, Selector

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["RandomChoice", "build"]


class RandomChoice:
    """Picks any node with equal probability; weights are ignored, as in Go.

    Args:
        random: Gives numbers of [0, 1).
    """

    __slots__ = ("_counter", "_list", "_nodes", "_random")

    def __init__(self, *, random: Callable[[], float] = random.random) -> None:
        self._random = random
        self._counter = Counter()
        self._nodes: dict[str, Node] = {}
        self._list: list[Node] = []

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        self._nodes = unique(nodes)
        self._list = list(self._nodes.values())

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick any node; see ``Selector``."""
        if filters or avoid:
            addresses = narrow(call, self._nodes, filters=filters, avoid=avoid)
            node = self._nodes[addresses[int(self._random() * len(addresses))]]
        elif self._list:
            node = self._list[int(self._random() * len(self._list))]
        else:
            raise no_available_node()
        return SinglePick(node, self._counter)


def build() -> Selector:
    """Return a fresh selector (the plug-in ``random``)."""
    return RandomChoice()
