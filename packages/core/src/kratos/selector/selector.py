"""What a strategy has to offer (Go: selector.Selector)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["Pick", "Selector"]


class Pick(Protocol):
    """A node chosen for one call."""

    @property
    def node(self) -> Node:
        """Where the call goes."""
        ...

    def done(self, outcome: Outcome, /) -> None:
        """Report how the call ended: once, at its end; later reports are ignored and counted.

        Harmless when the node has left the set meanwhile.
        """
        ...


class Selector(Protocol):
    """Picks one node per call; all methods are synchronous, the event loop is the lock."""

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes. Statistics of addresses that stay are kept."""
        ...

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick a node of the set for a call.

        Args:
            call: What is to be sent.
            filters: Run in order, each over what the one before left.
            avoid: Addresses that earlier attempts used: picked only when nothing else is left.

        Raises:
            Error: 503 ``no_available_node``: the set is empty, or the filters left nothing.
        """
        ...
