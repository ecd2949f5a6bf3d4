"""Records of the standard library's ``logging`` on their way to a ``Logger``.

``StdLogger`` is the way back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Final, cast

from kratos.log._interface import Level, Logger, ends_in
from kratos.log._text import OneLine, Rendered
from kratos.log.std import StdLogger

__all__ = ["LogHandler"]

_CIRCLE: Final = "the logger writes to logging itself, and records would go round in circles"


class LogHandler(logging.Handler):
    """Hands what libraries log to a ``Logger``, with its level, name, fields and exception.

    Args:
        logger: Where to. Not one that writes to ``logging`` itself, by whatever way: those of
            Kratos are found out here, and from others a record does not come round again, which
            is told once, on standard error.

    Raises:
        ValueError: It is one, and records would go round in circles.
    """

    def __init__(self, logger: Logger) -> None:
        if ends_in(logger, StdLogger):
            raise ValueError(f"a LogHandler cannot hand on to this: {_CIRCLE}")
        super().__init__()
        self._to: Final = logger
        self._at_it: Final = threading.local()
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on."""
        if getattr(self._at_it, "now", False):
            self._tell(record)
            return
        self._at_it.now = True
        try:
            own = record.__dict__.get("kratos")
            fields: dict[str, object] = {"logger": record.name}
            if isinstance(own, Mapping):
                fields.update(cast("Mapping[str, object]", own))
            if record.exc_info and record.exc_info[1] is not None:
                fields["error"] = record.exc_info[1]
            self._to.log(_level(record.levelno), _message(record), fields)
        except Exception:
            self.handleError(record)
        finally:
            self._at_it.now = False

    def _tell(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            try:
                raise RuntimeError(f"a record of {record.name!r} is dropped: {_CIRCLE}")
            except RuntimeError:
                self.handleError(record)


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record, without the fields that Kratos' own have at their ends."""
    args = record.args
    if not isinstance(args, tuple) or not any(isinstance(each, Rendered) for each in args):
        return record.getMessage()
    bare = tuple(_bare(each) for each in args)
    return (str(record.msg) % bare).rstrip()


def _bare(part: object) -> object:
    if isinstance(part, OneLine):
        return part.message
    return "" if isinstance(part, Rendered) else part


def _level(number: int) -> Level:
    for level in (Level.FATAL, Level.ERROR, Level.WARN, Level.INFO):
        if number >= level:
            return level
    return Level.DEBUG
