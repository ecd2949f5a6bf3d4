"""Why a request did not get to a node."""

from __future__ import annotations

__all__ = ["Unreachable", "because"]


class Unreachable(ConnectionError):
    """There is no node, or no connection to it: nothing of the request was sent."""


def because(error: OSError) -> Unreachable:
    """Return what stands for a failure to connect; one of time is none of the request's time."""
    return Unreachable(str(error) or type(error).__name__)
