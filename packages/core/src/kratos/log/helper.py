"""Levels as methods, for code that logs (Go: ``log.Helper``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from kratos.log._interface import NO_FIELDS, Level, Logger, require_level

__all__ = ["Helper"]

# Plain numbers: members of an enum are slow to find and to compare.
_DEBUG, _INFO, _WARN, _ERROR = (int(each) for each in list(Level)[:4])


class Helper:
    """Writes records of each level to a logger.

        log = Helper(logger)
        log.info("listening", port=80)
        log.error("the order %s is lost", order, error=error)

    Text with arguments is formatted by ``%``, and only for a record that is wanted. It is no
    place for what strangers sent: give that as a field, which is quoted.

    Args:
        logger: Where to.
        level: Records below it cost next to nothing.

    Raises:
        TypeError: It is a logger of ``logging``, or ``level`` is no level.
    """

    __slots__ = ("_enabled", "_floor", "_logger")

    def __init__(self, logger: Logger, *, level: Level = Level.DEBUG) -> None:
        if isinstance(logger, logging.Logger):  # has a method log, too, but another one
            raise TypeError("logger must be one of Kratos, such as StdLogger(logger)")
        self._logger: Final = logger
        self._floor: Final = int(require_level(level))
        self._enabled: Callable[[Level], bool] | None = getattr(logger, "enabled", None)

    def debug(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record for developers."""
        if self._floor <= _DEBUG:
            self._write(Level.DEBUG, message, args, fields)

    def info(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what goes well."""
        if self._floor <= _INFO:
            self._write(Level.INFO, message, args, fields)

    def warn(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what is wrong and goes on."""
        if self._floor <= _WARN:
            self._write(Level.WARN, message, args, fields)

    def error(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of a failure; the exception goes under ``error``."""
        if self._floor <= _ERROR:
            self._write(Level.ERROR, message, args, fields)

    def fatal(self, message: str, /, *args: object, **fields: object) -> None:
        """Write a record of what ends the program; unlike Go's, it does not end it."""
        self._write(Level.FATAL, message, args, fields)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self._floor and (self._enabled is None or self._enabled(level))

    def _write(
        self, level: Level, message: str, args: tuple[object, ...], fields: Mapping[str, object]
    ) -> None:
        if self._enabled is not None and not self._enabled(level):
            return
        if args:
            try:
                message = message % args
            except (TypeError, ValueError):
                # A record that is wrong is worth more than none, and than an exception.
                message = f"{message} {args!r}"
        self._logger.log(level, message, fields or NO_FIELDS)
