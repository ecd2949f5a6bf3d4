"""Which instances of a service a back end uses, and what part of the requests each of them gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd, lcm
from typing import Final

from aegis.subset import subset
from kratos.selector import Node
from kratos_gateway.backend.targets import BackendTarget

__all__ = ["chosen", "weighted"]

_VERSION: Final = "version"
_WEIGHT: Final = 10  # of a node that has none where others have one, as in Go


def chosen(target: BackendTarget, nodes: Sequence[Node], *, identity: str) -> Sequence[Node]:
    """Return those of a service's nodes that a back end uses.

    Args:
        target: The back end.
        nodes: All that the registry tells.
        identity: Of this gateway, by which it uses other nodes than its like, and the same again.
    """
    if target.labels:
        nodes = [node for node in nodes if _fits(node, target.labels)]
    if not target.size:
        return nodes
    return subset(identity, nodes, size=target.size, text=_text)


def weighted(nodes: Sequence[Node], targets: Mapping[str, BackendTarget]) -> Sequence[Node]:
    """Return nodes with weights if any has one, or a back end of theirs has.

    The weight of a back end that is looked up is that of all its nodes together, however many there
    are: they share it by weights of their own.

    Args:
        nodes: Those that may be picked.
        targets: Back ends by the addresses of their nodes.
    """
    totals: dict[int, int] = {}
    for node in nodes:
        target = targets[node.address]
        if target.share is not None:
            totals[id(target)] = totals.get(id(target), 0) + _own(node)
    if not totals:
        if all(node.weight is None for node in nodes):
            return nodes
        return [
            node if node.weight is not None else replace(node, weight=_WEIGHT) for node in nodes
        ]
    whole = lcm(*(total or 1 for total in totals.values()))
    weights: list[int] = []
    for node in nodes:
        target = targets[node.address]
        if target.share is None:
            weights.append(_own(node) * whole)
        else:
            total = totals[id(target)]
            weights.append(target.share * _own(node) * whole // total if total else 0)
    least = gcd(*weights) or 1
    pairs = zip(nodes, weights, strict=True)
    return [replace(node, weight=weight // least) for node, weight in pairs]


def _own(node: Node) -> int:
    return _WEIGHT if node.weight is None else max(0, node.weight)


def _fits(node: Node, labels: Mapping[str, str]) -> bool:
    for name, wanted in labels.items():
        found = node.metadata.get(name)
        if found is None and name == _VERSION:
            found = node.version
        if found != wanted:
            return False
    return True


def _text(node: Node) -> str:
    """Return what identifies an instance, as clients of Kratos have it."""
    return f"{node.name}-{node.id}"
