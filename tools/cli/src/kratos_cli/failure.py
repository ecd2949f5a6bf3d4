"""How a subcommand gives up."""

from __future__ import annotations

__all__ = ["CommandFailure"]


class CommandFailure(Exception):
    """What the user reads, and the exit status.

    Args:
        message: The reason, and what to do.
        status: 1 for work that failed, 2 for a command that was called wrongly.
    """

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
