"""A logger that keeps its records."""

from __future__ import annotations

from collections.abc import Mapping

from kratos.log import NO_FIELDS, Level

__all__ = ["MemoryLogger"]


class MemoryLogger:
    """Keeps every record for a test to look at.

    Attributes:
        records: Level, message and fields of each record, in order.
    """

    def __init__(self) -> None:
        self.records: list[tuple[Level, str, dict[str, object]]] = []

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Keep one record."""
        self.records.append((level, message, dict(fields)))

    def messages(self, level: Level = Level.DEBUG) -> list[str]:
        """Return the messages of records at ``level`` or above."""
        return [message for found, message, _ in self.records if found >= level]
