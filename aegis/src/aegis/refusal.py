"""What is raised in place of a call that a guard does not let through."""

from __future__ import annotations

__all__ = ["BreakerOpen", "Overloaded", "RateExceeded", "Refused"]


class Refused(Exception):
    """A guard did not let the call through; nothing of it has run.

    Args:
        message: What refused, and why.
        retry_after: Seconds after which a try may succeed; ``None`` where that is unknown.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BreakerOpen(Refused):
    """The circuit is open: the one that would be called has failed too often of late."""


class RateExceeded(Refused):
    """There were too many calls within a time."""


class Overloaded(Refused):
    """There are too many calls at a time, or not enough capacity for one of this priority."""
