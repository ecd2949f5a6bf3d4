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

    Nodes to avoid are left out before the filters run, so that a filter which prefers some nodes
    prefers among the others. If that leaves nothing they are let in.

    Raises:
        Error: 503 ``no_available_node``: nothing is left; says which filter left nothing.
    """
    if avoid:
        wanted = [node for address, node in nodes.items() if address not in avoid]
        addresses, _ = _passed(call, nodes, wanted, filters)
        if addresses:
            return addresses
    addresses, last = _passed(call, nodes, tuple(nodes.values()), filters)
    if not addresses:
        if last is None:
            raise no_available_node()
        raise no_available_node(f"{_name(last)} leaves none of the {len(nodes)} nodes")
    return addresses


def _passed(
    call: Call, nodes: dict[str, Node], left: Sequence[Node], filters: Sequence[NodeFilter]
) -> tuple[list[str], NodeFilter | None]:
    """Return the addresses that pass the filters, and the filter at which there was an end."""
    last: NodeFilter | None = None
    for last in filters if left else ():
        left = last(call, left)
        if not left:
            return [], last
    # A filter may return what it likes; a call goes only to nodes of the set.
    return [node.address for node in left if node.address in nodes], last


def no_available_node(message: str = "") -> Error:
    """Return what a call gets when there is no node for it (Go: selector.ErrNoAvailable)."""
    return Error(503, "no_available_node", message)


def _name(node_filter: NodeFilter) -> str:
    """Return what a filter is called: a function by its name, an object by its ``repr``."""
    name: object = getattr(node_filter, "__qualname__", None)
    return f"the filter {name if isinstance(name, str) else repr(node_filter)}"
