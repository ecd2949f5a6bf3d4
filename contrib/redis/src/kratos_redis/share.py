"""What one of several processes may do of what all may do together."""

from __future__ import annotations

__all__ = ["share", "whole_share"]


def share(whole: float, replicas: int) -> float:
    """Return the share of one process.

    Raises:
        ValueError: ``replicas`` is less than 1.
    """
    if replicas < 1:
        msg = f"replicas must be at least 1, got {replicas!r}"
        raise ValueError(msg)
    return whole / replicas


def whole_share(whole: int, replicas: int) -> int:
    """Return the share of one process in permits, of which it has one at least.

    Raises:
        ValueError: ``replicas`` is less than 1.
    """
    part = int(share(whole, replicas))
    return part if whole < 1 else max(1, part)  # what is out of range stays so, and is refused
