"""The turns of smooth weighted round robin, in two ways that give the same sequence."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from operator import add
from typing import Final, Protocol

__all__ = ["Turns", "turns"]

_FEW: Final = 3  # nodes per distinct weight from which heaps are the faster way


class Turns(Protocol):
    """Says whose turn it is; places count from 0."""

    def next(self) -> int:
        """Return the place of the next turn."""
        ...

    def scores(self) -> list[int]:
        """Return what each place has waited for, to go on elsewhere."""
        ...


def turns(weights: Sequence[int], scores: Sequence[int]) -> Turns:
    """Return the turns of places with these weights, from these scores on; there is one at least.

    Each turn raises every score by its weight, takes the highest, the first of equals, and lowers
    that one by the sum of the weights.
    """
    if len(weights) >= _FEW * len(set(weights)):
        return _Heaps(weights, scores)
    return _Scan(weights, scores)


class _Scan:
    """Does what the definition says: a pass over all places for each turn."""

    __slots__ = ("_scores", "_total", "_weights")

    def __init__(self, weights: Sequence[int], scores: Sequence[int]) -> None:
        self._weights = weights
        self._scores = list(scores)
        self._total = sum(weights)

    def next(self) -> int:
        scores = self._scores = list(map(add, self._scores, self._weights))
        place = scores.index(max(scores))
        scores[place] -= self._total
        return place

    def scores(self) -> list[int]:
        return list(self._scores)


class _Heaps:
    """Keeps places of equal weight in a heap: their scores rise alike, so their order stays.

    A heap holds what each place has been lowered by, less its score at the start, so that the
    least has the highest score; a turn compares the first of each heap.
    """

    __slots__ = ("_heaps", "_passed", "_places", "_total")

    def __init__(self, weights: Sequence[int], scores: Sequence[int]) -> None:
        self._total = sum(weights)
        self._places = len(weights)
        self._passed = 0
        by_weight: dict[int, list[tuple[int, int]]] = {}
        for place, (weight, score) in enumerate(zip(weights, scores, strict=True)):
            by_weight.setdefault(weight, []).append((-score, place))
        for heap in by_weight.values():
            heapify(heap)
        self._heaps = list(by_weight.items())

    def next(self) -> int:
        self._passed += 1
        if len(self._heaps) == 1:
            chosen = self._heaps[0][1]
            lowered, place = chosen[0]
        else:
            chosen, lowered, place = self._highest()
        heapreplace(chosen, (lowered + self._total, place))
        return place

    def scores(self) -> list[int]:
        scores = [0] * self._places
        for weight, heap in self._heaps:
            risen = weight * self._passed
            for lowered, place in heap:
                scores[place] = risen - lowered
        return scores

    def _highest(self) -> tuple[list[tuple[int, int]], int, int]:
        passed = self._passed
        chosen: list[tuple[int, int]] = []
        best = lowered = place = 0
        for weight, heap in self._heaps:
            down, at = heap[0]
            score = weight * passed - down
            if not chosen or score > best or (score == best and at < place):
                chosen, best, lowered, place = heap, score, down, at
        return chosen, lowered, place
