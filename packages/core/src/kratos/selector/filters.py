"""Ready-made node filters (Go: selector/filter).

A filter of your own is a function of the call and the nodes that returns those which the call may
use. Its name, or its ``repr`` if it is an object, stands in the error of a call that it leaves
without a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kratos.errors import ConfigError
from kratos.selector.node import Node, NodeFilter

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["region", "version"]

_REGION: Final = "region"


def version(wanted: str, /) -> NodeFilter:
    """Make a filter that keeps the nodes of one version."""
    return _Version(wanted)


def region(
    *preferred: str, strict: bool = False, minimum: int = 1, key: str = _REGION
) -> NodeFilter:
    """Make a filter that keeps the nodes of the nearest region that has some.

    Only nodes that can be picked count: those that are not connected, or that are taken out
    because they fail, make a region smaller, until calls go to the next one.

    Args:
        preferred: Regions from the nearest to the farthest, the own one first.
        strict: Whether only these will do; else calls that find no node in any of them use all.
        minimum: Nodes that a region needs to be used, so that a few left over are not run down
            by the calls of all. Where no region has as many, 1 is enough.
        key: Key of the nodes' metadata.

    Raises:
        ConfigError: No region is given, or ``minimum`` is less than 1.
    """
    if not preferred or "" in preferred:
        raise ConfigError(f"region needs names, the own one first; not {preferred!r}")
    if minimum < 1:
        raise ConfigError(f"minimum={minimum}: a region that is used has at least 1 node")
    return _Region(preferred, strict=strict, minimum=minimum, key=key)


class _Version:
    def __init__(self, wanted: str) -> None:
        self._wanted = wanted

    def __call__(self, _call: Call, nodes: Sequence[Node], /) -> Sequence[Node]:
        wanted = self._wanted
        return [node for node in nodes if node.version == wanted]

    def __repr__(self) -> str:
        return f"version({self._wanted!r})"


class _Region:
    def __init__(self, preferred: tuple[str, ...], *, strict: bool, minimum: int, key: str) -> None:
        self._preferred = dict.fromkeys(preferred)
        self._strict = strict
        self._minimum = minimum
        self._key = key

    def __call__(self, _call: Call, nodes: Sequence[Node], /) -> Sequence[Node]:
        found: dict[str, list[Node]] = {name: [] for name in self._preferred}
        for node in nodes:
            there = found.get(node.metadata.get(self._key, ""))
            if there is not None:
                there.append(node)
        for minimum in {self._minimum: None, 1: None}:
            for there in found.values():
                if len(there) >= minimum:
                    return there
        return [] if self._strict else nodes

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self._preferred))
        return f"region({names}, strict=True)" if self._strict else f"region({names})"
