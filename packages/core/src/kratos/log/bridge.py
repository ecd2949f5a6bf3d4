"""Records of the standard library's ``logging`` on their way to a ``Logger``.

``StdLogger`` is the way back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, cast

from kratos.log._interface import Level, Logger
from kratos.log._text import Rendered
from kratos.log.line import Format, LineLogger
from kratos.log.std import StdLogger

__all__ = ["LogHandler", "setup"]


class LogHandler(logging.Handler):
    """Hands what libraries log to a ``Logger``, with its level, name, fields and exception.

    Args:
        logger: Where to. Not one that writes to ``logging`` itself.

    Raises:
        ValueError: It is one, and records would go round in circles.
    """

    def __init__(self, logger: Logger) -> None:
        if isinstance(logger, StdLogger):
            raise ValueError("a StdLogger writes to logging: records would go round in circles")
        super().__init__()
        self._to: Final = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on."""
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


def setup(*, level: Level = Level.INFO, format: Format = "auto") -> LineLogger:  # noqa: A002
    """Let everything that this process logs come out alike, as lines on standard error.

    Kratos, the program and all libraries that use ``logging`` write to one ``LineLogger``, which
    is returned, for a ``Helper`` or for ``App(log=...)``. Handlers that the root logger has
    are taken away. To be called once, when the program starts.

    Args:
        level: Records below it are dropped.
        format: As of ``LineLogger``.

    Raises:
        TypeError: ``level`` is no level; the name of one is read by ``Level.parse``.
        ValueError: There is no such format.
    """
    logger = LineLogger(level=level, format=format)
    root = logging.getLogger()
    root.handlers[:] = [LogHandler(logger)]
    root.setLevel(level)
    return logger


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record, without the fields that Kratos' own have at their ends."""
    args = record.args
    if not isinstance(args, tuple) or not any(isinstance(each, Rendered) for each in args):
        return record.getMessage()
    bare = tuple("" if isinstance(each, Rendered) else each for each in args)
    return (str(record.msg) % bare).rstrip()


def _level(number: int) -> Level:
    for level in (Level.FATAL, Level.ERROR, Level.WARN, Level.INFO):
        if number >= level:
            return level
    return Level.DEBUG
