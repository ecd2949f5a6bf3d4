"""Times of a configuration."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

__all__ = ["in_seconds"]


def in_seconds(duration: Duration) -> float:
    """Return a duration in seconds; it may be negative."""
    return duration.seconds + duration.nanos / 1e9
