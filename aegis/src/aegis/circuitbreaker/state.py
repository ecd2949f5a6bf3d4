"""The states of a circuit breaker."""

from __future__ import annotations

from enum import Enum

__all__ = ["BreakerState"]


class BreakerState(Enum):
    """What a circuit breaker does with calls at present."""

    CLOSED = "closed"
    """All calls are let through."""

    OPEN = "open"
    """Calls are refused; by ``SreBreaker`` some, by ``WindowBreaker`` all."""

    HALF_OPEN = "half_open"
    """A few calls are let through to see whether it is over."""

    FORCED_OPEN = "forced_open"
    """All calls are refused, by order."""

    FORCED_CLOSED = "forced_closed"
    """All calls are let through, by order, whatever becomes of them."""
