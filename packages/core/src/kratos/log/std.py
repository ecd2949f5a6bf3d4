"""Records through the standard library's ``logging``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping

from kratos.log._interface import NO_FIELDS, Level
from kratos.log._text import OneLine, Rendered
from kratos.log.fields import current_fields
from kratos.log.valuer import is_inside

__all__ = ["StdLogger"]


class StdLogger:
    """Writes ``message key=value key=value`` to a logger of the standard library.

    Fields are rendered only when a handler writes the record; handlers that understand
    structure find them in the record's attribute ``kratos``. A message with line breaks or
    unprintable characters is quoted as well. From ``ERROR`` on, an exception
    in the field ``error`` brings its trace along. Values with white space or unprintable
    characters are quoted, so that nobody can forge a line.

    Args:
        logger: Where to; ``kratos`` by default. Its level and handlers decide.
    """

    __slots__ = ("_logger", "enabled")

    enabled: Callable[[Level], bool]
    """Tells whether a record of this level is written."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("kratos") if logger is None else logger
        self.enabled = self._logger.isEnabledFor  # without a call in between

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record, attributed to the line that called this."""
        if not self._logger.isEnabledFor(level):
            return
        context = current_fields()
        if context:
            fields = {**context, **fields}
        error = fields.get("error") if level >= Level.ERROR else None
        self._logger.log(
            level,
            "%s %s" if fields else "%s%s",
            message if message.isprintable() else OneLine(message),
            Rendered(fields),
            exc_info=error if isinstance(error, BaseException) else None,
            extra={"kratos": fields},
            stacklevel=_depth(),
        )


def _depth() -> int:
    """Return how many frames up the one is that logs, counted from 1 for ``log`` itself."""
    frame, depth = inspect.currentframe(), 0
    while frame is not None and is_inside(frame):
        frame, depth = frame.f_back, depth + 1
    return depth
