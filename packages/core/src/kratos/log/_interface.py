"""What a log back end supplies."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Protocol

__all__ = [
    "NO_FIELDS",
    "Level",
    "Levelled",
    "Logger",
    "NopLogger",
    "Threshold",
    "ends_in",
    "require_level",
    "threshold_of",
]

_LAYERS: Final = 100  # more than anybody stacks, and an end to those that go round

NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})


class Level(IntEnum):
    """Severity; the numbers are those of the standard library's ``logging``."""

    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50

    # That of the number, with which it is equal; that of an enumeration takes ten times as long.
    __hash__ = int.__hash__

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


class Threshold:
    """The least level that is written; it may be changed while the program runs.

    Who logs much keeps it and compares with ``floor``, which costs less than a call.

    Args:
        level: To begin with.

    Attributes:
        floor: The number of the level; for reading.

    Raises:
        TypeError: ``level`` is no level.
    """

    __slots__ = ("floor",)

    def __init__(self, level: Level = Level.DEBUG) -> None:
        self.floor = int(require_level(level))

    def set(self, level: Level, /) -> None:
        """Put another level in force, at once and for all who have this.

        Raises:
            TypeError: It is no level.
        """
        self.floor = int(require_level(level))


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

    Whoever computes fields asks first. One whose answer is a comparison also has an attribute
    ``threshold``, a ``Threshold`` below which nothing is written, and that stays the same object.
    """

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written; cheap."""
        ...


def threshold_of(logger: Logger, /) -> Threshold | None:
    """Return the threshold of a logger that has one."""
    found = getattr(logger, "threshold", None)
    return found if isinstance(found, Threshold) else None


def ends_in(logger: object, kind: type, /) -> bool:
    """Tell whether a logger, or one that it writes to through layers, is of a kind.

    Each layer of Kratos calls what it writes to ``inner``. For bridges, which ask lest records go
    round in circles.
    """
    for _ in range(_LAYERS):
        if logger is None or isinstance(logger, kind):
            return logger is not None
        logger = getattr(logger, "inner", None)
    return False


class NopLogger:
    """A logger that drops everything."""

    __slots__ = ()

    def enabled(self, level: Level, /) -> bool:
        """Tell that none is written."""
        return False

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Drop the record."""
