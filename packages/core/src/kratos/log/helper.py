"""Levels as methods, for code that logs (Go: ``log.Helper``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from kratos.log._interface import NO_FIELDS, Level, Logger, Threshold, threshold_of
from kratos.log._text import text_of

__all__ = ["Helper"]

# Members of an enumeration are slow to find.
_DEBUG, _INFO, _WARN, _ERROR, _FATAL = Level


class Helper:
    """Writes records of each level to a logger.

        log = Helper(logger)
        log.info("listening", port=80)
        log.error("the order %s is lost", order, error=error)

    Text with arguments is formatted by ``%``, and only for a record that is wanted. It is no
    place for what strangers sent: give that as a field, which is quoted.

    Args:
        logger: Where to.
        level: Records below it are dropped, besides those that the logger drops.

    Attributes:
        threshold: Records below it are not written, at next to no cost.

    Raises:
        TypeError: It is a logger of ``logging``, or ``level`` is no level.
    """

    __slots__ = ("_asked", "_logger", "threshold")

    def __init__(self, logger: Logger, *, level: Level = Level.DEBUG) -> None:
        if isinstance(logger, logging.Logger):  # has a method log, too, but another one
            raise TypeError("logger must be one of Kratos, such as StdLogger(logger)")
        self._logger: Final = logger
        own = Threshold(level)
        # What is compared first; all others have their say before a record is written.
        gate = threshold_of(logger) if own.floor <= Level.DEBUG else None
        self.threshold: Final = gate or own
        self._asked: Callable[[Level], bool] | None = getattr(logger, "enabled", None)

    # Plain numbers are compared faster than members of an enumeration.
    def debug(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record for developers."""
        if self.threshold.floor <= 10 and (self._asked is None or self._asked(_DEBUG)):
            self._write(_DEBUG, message, args, fields)

    def info(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what goes well."""
        if self.threshold.floor <= 20 and (self._asked is None or self._asked(_INFO)):
            self._write(_INFO, message, args, fields)

    def warn(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what is wrong and goes on."""
        if self.threshold.floor <= 30 and (self._asked is None or self._asked(_WARN)):
            self._write(_WARN, message, args, fields)

    def error(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of a failure; the exception goes under ``error``."""
        if self.threshold.floor <= 40 and (self._asked is None or self._asked(_ERROR)):
            self._write(_ERROR, message, args, fields)

    def fatal(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what ends the program; unlike Go's, it does not end it."""
        if self._asked is None or self._asked(_FATAL):
            self._write(_FATAL, message, args, fields)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self.threshold.floor and (self._asked is None or self._asked(level))

    def _write(
        self, level: Level, message: str, args: tuple[object, ...], fields: Mapping[str, object]
    ) -> None:
        if args:
            try:
                message = message % args
            except Exception:
                # A record that is wrong is worth more than none, and than an exception.
                message = f"{message} {text_of(args)}"
        self._logger.log(level, message, fields or NO_FIELDS)
