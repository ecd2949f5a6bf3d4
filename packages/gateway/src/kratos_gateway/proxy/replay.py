"""How much of the bodies of requests is kept for further attempts."""

from __future__ import annotations

from kratos.options import require_count

__all__ = ["ReplayMemory"]


class ReplayMemory:
    """Bytes that all requests under way may keep together.

    A body that finds no room is sent once: its request is served, and has no further attempt.

    Args:
        limit: How many bytes; 0 or more.

    Attributes:
        used: How many are kept now.
        refused: How many bodies found no room.

    Raises:
        ConfigError: The limit is negative.
    """

    __slots__ = ("_limit", "refused", "used")

    def __init__(self, limit: int) -> None:
        require_count("limit", limit, least=0)
        self._limit = limit
        self.used = 0
        self.refused = 0

    def take(self, size: int) -> bool:
        """Make room for so many bytes, and tell whether there is."""
        if self.used + size > self._limit:
            self.refused += 1
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Keep so many bytes no more."""
        self.used -= size
