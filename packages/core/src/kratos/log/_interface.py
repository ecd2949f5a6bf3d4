"""What a log back end supplies."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Protocol

__all__ = ["NO_FIELDS", "Level", "Levelled", "Logger", "NopLogger", "require_level"]

NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})


class Level(IntEnum):
    """Severity; the numbers are those of the standard library's ``logging``."""

    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50

    @classmethod
    def parse(cls, text: str, /) -> Level:
        """Return the level of a name in any case; of an unknown one ``INFO``, as Go does."""
        return cls.__members__.get(text.strip().upper(), cls.INFO)


def require_level(level: Level, /) -> Level:
    """Return a level, which may be a number of ``logging``.

    Raises:
        TypeError: It is something else, its name for instance.
    """
    if not isinstance(level, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"level must be one such as Level.INFO, not {level!r}; see Level.parse")
    return level


class Logger(Protocol):
    """A place for structured records."""

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record; never raises and never blocks.

        Args:
            level: Severity. ``FATAL`` is a severity like the others: it does not end the process.
            message: Constant text, so that records of one kind can be found by it.
            fields: What differs from record to record. An exception goes under ``error``.
                The mapping belongs to the logger from here on.
        """
        ...


class Levelled(Protocol):
    """What a logger has besides if it can say which levels it writes; optional.

    Whoever computes fields asks first.
    """

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written; cheap."""
        ...


class NopLogger:
    """A logger that drops everything."""

    __slots__ = ()

    def enabled(self, level: Level, /) -> bool:
        """Tell that none is written."""
        return False

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Drop the record."""
