"""Smooth weighted round robin (Go: selector/wrr; the algorithm is nginx's)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter, SinglePick
from kratos.selector._turns import Turns, turns
from kratos.selector.node import Node, NodeFilter
from kratos.selector.selector import Pick, Selector

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["DEFAULT_WEIGHT", "WeightedRoundRobin", "build"]

DEFAULT_WEIGHT: Final = 100  # of a node that publishes none


class WeightedRoundRobin:
    """Gives each node its share by weight, spread as evenly as the shares allow.

    Every pick raises each node's score by its weight, takes the node of the highest score, the
    first of equals, and lowers that score by the sum of the weights. Weights 5, 1, 1 give the
    cycle a a b a c a a. Scores belong to addresses: they survive changes of the set. Where weights
    change, scores keep what they stand for, which is a part of the sum of the weights.

    A weight of zero or less takes a node out while another has a positive one.
    """

    __slots__ = ("_able", "_counter", "_list", "_nodes", "_places", "_scores", "_turns", "_weights")

    def __init__(self) -> None:
        self._counter = Counter()
        self._able = 0  # how many of the nodes take turns; the others stand behind them
        self._nodes: dict[str, Node] = {}
        self._list: list[Node] = []
        self._places: dict[str, int] = {}
        self._weights: list[int] = []
        self._scores: list[int] = []  # while there are no turns, which hold them else
        self._turns: Turns | None = None

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        self._pause()
        scores = dict(zip(self._nodes, self._scores, strict=True))
        weights = dict(zip(self._nodes, self._weights, strict=True))
        self._nodes = _heavy_first(unique(nodes))
        self._list = list(self._nodes.values())
        self._places = {address: place for place, address in enumerate(self._nodes)}
        self._scores = [scores.get(address, 0) for address in self._nodes]
        self._weights = _even_if_zero([_weight(node) for node in self._list])
        self._able = sum(weight > 0 for weight in self._weights)
        if weights != dict(zip(self._nodes, self._weights, strict=True)):
            self._settle(weights)

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick the node whose turn it is; see ``Selector``."""
        if filters or avoid:
            place = self._turn_among(narrow(call, self._nodes, filters=filters, avoid=avoid))
        elif self._turns is not None:
            place = self._turns.next()
        elif self._list:
            self._turns = turns(self._weights[: self._able], self._scores[: self._able])
            place = self._turns.next()
        else:
            raise no_available_node()
        return SinglePick(self._list[place], self._counter)

    def _pause(self) -> None:
        """Take the scores back from the turns of all nodes."""
        if self._turns is not None:
            self._scores[: self._able] = self._turns.scores()
            self._turns = None

    def _settle(self, weights: Mapping[str, int]) -> None:
        """Fit the scores to other weights than those before, so that nobody waits for long."""
        scores, able = self._scores, self._able
        total, before = sum(self._weights), sum(weights.values())
        if any(
            weights.get(address, weight) != weight
            for address, weight in zip(self._nodes, self._weights, strict=True)
        ):
            scores = [score * total // before for score in scores]
        middle = sum(scores[:able]) // max(1, able)  # they make up for each other
        self._scores = [
            max(-total, min(total, score - middle)) if place < able else 0
            for place, score in enumerate(scores)
        ]

    def _turn_among(self, addresses: Sequence[str]) -> int:
        """Play one round among some nodes; the scores of the others rest."""
        self._pause()
        places = [self._places[address] for address in addresses]
        places = [place for place in places if place < self._able] or places
        weights = _even_if_zero([self._weights[place] for place in places])
        scores = self._scores
        for place, weight in zip(places, weights, strict=True):
            scores[place] += weight
        best = max(places, key=scores.__getitem__)
        scores[best] -= sum(weights)
        return best


def build() -> Selector:
    """Return a fresh selector (the plug-in ``wrr``)."""
    return WeightedRoundRobin()


def _weight(node: Node) -> int:
    return DEFAULT_WEIGHT if node.weight is None else max(0, node.weight)


def _heavy_first(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return nodes with those behind the others that have no weight."""
    return dict(sorted(nodes.items(), key=lambda item: _weight(item[1]) == 0))


def _even_if_zero(weights: list[int]) -> list[int]:
    return weights if any(weights) else [1] * len(weights)
