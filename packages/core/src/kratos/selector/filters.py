"""Ready-made node filters (Go: selector/filter)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kratos.selector.node import Node, NodeFilter

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["version"]


def version(wanted: str, /) -> NodeFilter:
    """Make a filter that keeps the nodes of one version."""

    def of_version(_call: Call, nodes: Sequence[Node], /) -> Sequence[Node]:
        return [node for node in nodes if node.version == wanted]

    return of_version
