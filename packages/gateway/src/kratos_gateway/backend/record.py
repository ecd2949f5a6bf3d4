"""What became of the attempts at a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["NodeRecord", "NodeRecords"]


@dataclass(slots=True)
class NodeRecord:
    """Counts attempts at a node, from when it was first named.

    Attributes:
        attempts: How many were begun.
        failures: How many found no connection, or lost it.
        failure: Why the newest of these did; empty if none has.
        failed: When that was, in seconds since the epoch.
    """

    attempts: int = 0
    failures: int = 0
    failure: str = ""
    failed: float = 0.0

    def fail(self, why: str, now: float) -> None:
        """Count a failure."""
        self.failures += 1
        self.failure = why
        self.failed = now


@dataclass(slots=True)
class NodeRecords:
    """Those of the nodes of a route, which go on where another configuration has it, too.

    Attributes:
        newest: Those of the nodes that were named last, by address.
    """

    newest: Mapping[str, NodeRecord] = field(default_factory=dict[str, NodeRecord])

    def take(
        self, addresses: Iterable[str], /, known: Mapping[str, NodeRecord]
    ) -> Mapping[str, NodeRecord]:
        """Return records for the nodes that there are now.

        Args:
            addresses: Of the nodes.
            known: Records of those that there were, which go before all others.
        """
        self.newest = {
            each: known.get(each) or self.newest.get(each) or NodeRecord() for each in addresses
        }
        return self.newest
