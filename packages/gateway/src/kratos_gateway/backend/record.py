"""What became of the attempts at a node."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NodeRecord"]


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
