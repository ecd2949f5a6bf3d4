"""The set of a selector and what one call leaves of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from kratos.errors import Error
from kratos.selector.node import Node, NodeFilter

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["narrow", "no_available_node", "unique"]


def unique(nodes: Iterable[Node]) -> dict[str, Node]:
    """Return nodes by address; the first of an address wins."""
    by_address: dict[str, Node] = {}
    for node in nodes:
        by_address.setdefault(node.address, node)
    return by_address


def narrow(
    call: Call,
    nodes: dict[str, Node],
    *,
    filters: Sequence[NodeFilter],
    avoid: Collection[str],
) -> list[str]:
    """Return the addresses of a set that one call may use.

    Raises:
        Error: 503 ``no_available_node``: nothing is left.
    """
    left: Sequence[Node] = tuple(nodes.values())
    for node_filter in filters:
        left = node_filter(call, left)
    # A filter may return what it likes; a call goes only to nodes of the set.
    addresses = [node.address for node in left if node.address in nodes]
    if avoid:
        addresses = [each for each in addresses if each not in avoid] or addresses
    if not addresses:
        raise no_available_node()
    return addresses


def no_available_node() -> Error:
    """Return what a call gets when there is no node for it (Go: selector.ErrNoAvailable)."""
    return Error(503, "no_available_node")
