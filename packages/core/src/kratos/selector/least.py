"""The node with the fewest calls in flight."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._levels import Levels
from kratos.selector._pick import Counter
from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome
from kratos.selector.selector import Pick, Selector
from kratos.selector.wrr import DEFAULT_WEIGHT

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["LeastLoaded", "build"]

_LEAST_WEIGHT: Final = 1


class LeastLoaded:
    """Picks the node with the fewest calls in flight from this client, for its weight.

    Slow nodes get less by themselves, as their calls stay in flight. Among equals it draws, so
    that clients do not all begin with the same node. It does not look at what calls end with: a
    node that fails at once seems idle, hence put ``OutlierEjection`` around it.

    A node of weight 200 bears twice the calls of one of 100, which is also the weight of a node
    that publishes none; a weight below 1 counts as 1. Finding the node takes constant time where
    all have one weight, and time by the number of distinct weights else.

    Args:
        random: Gives numbers of [0, 1).
    """

    __slots__ = ("_classes", "_counter", "_members", "_nodes", "_only", "_random")

    def __init__(self, *, random: Callable[[], float] = random.random) -> None:
        self._random = random
        self._counter = Counter()
        self._nodes: dict[str, Node] = {}
        self._members: dict[str, _Member] = {}
        self._classes: dict[int, Levels[_Member]] = {}
        self._only: Levels[_Member] | None = None  # where all have one weight

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    def in_flight(self, address: str) -> int:
        """Return how many calls are under way to an address; 0 for one that is not listed."""
        member = self._members.get(address)
        return 0 if member is None else member.level

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        self._nodes = unique(nodes)
        old, self._members, self._classes = self._members, {}, {}
        for address, node in self._nodes.items():
            # The old member itself, as open picks report to it; the class is one of this set.
            member = old.pop(address, None) or _Member()
            member.node, member.weight = node, _weight(node)
            self._members[address] = member
            levels = member.levels = self._classes.setdefault(member.weight, Levels())
            levels.add(member)
        for member in old.values():
            member.levels = None
        classes = list(self._classes.values())
        self._only = classes[0] if len(classes) == 1 else None

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick the least loaded node; see ``Selector``."""
        if filters or avoid:
            addresses = narrow(call, self._nodes, filters=filters, avoid=avoid)
            member = self._least_of([self._members[address] for address in addresses])
        elif self._classes:
            equals = (self._only or self._lightest()).at_lowest()
            member = equals[int(self._random() * len(equals))]
        else:
            raise no_available_node()
        return _CountedPick(member, self._counter)

    def _lightest(self) -> Levels[_Member]:
        # What the load would be with one more call, so that idle nodes compare by weight.
        return min(
            self._classes.values(),
            key=lambda each: (each.lowest + 1) / each.at_lowest()[0].weight,
        )

    def _least_of(self, members: Sequence[_Member]) -> _Member:
        loads = [(member.level + 1) / member.weight for member in members]
        least = min(loads)
        equals = [member for member, load in zip(members, loads, strict=True) if load == least]
        return equals[int(self._random() * len(equals))]


class _Member:
    """A node, its calls in flight, and its place among nodes of its weight."""

    __slots__ = ("level", "levels", "node", "place", "weight")

    node: Node
    weight: int

    def __init__(self) -> None:
        self.level = 0
        self.place = 0
        self.levels: Levels[_Member] | None = None


class _CountedPick:
    __slots__ = ("_counter", "_member", "node")

    def __init__(self, member: _Member, counter: Counter) -> None:
        self.node = member.node
        self._member: _Member | None = member
        self._counter = counter
        if member.levels is not None:
            member.levels.up(member)

    def done(self, _outcome: Outcome, /) -> None:
        member = self._member
        if member is None:
            self._counter.late += 1
            return
        self._member = None
        if member.levels is not None:
            member.levels.down(member)


def build() -> Selector:
    """Return a fresh selector (the plug-in ``least``)."""
    return LeastLoaded()


def _weight(node: Node) -> int:
    return DEFAULT_WEIGHT if node.weight is None else max(_LEAST_WEIGHT, node.weight)
