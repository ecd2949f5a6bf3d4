"""Records through the standard library's ``logging``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping

from kratos.log._interface import NO_FIELDS, Level
from kratos.log._text import Rendered
from kratos.log.fields import current_fields
from kratos.log.valuer import outside

__all__ = ["StdLogger"]


class StdLogger:
    """Writes ``message key=value key=value`` to a logger of the standard library.

    Fields are rendered only when a handler writes the record; handlers that understand
    structure find them in the record's attribute ``kratos``. From ``ERROR`` on, an exception
    in the field ``error`` brings its trace along. Values with white space or unprintable
    characters are quoted, so that nobody can forge a line.

    Args:
        logger: Where to; ``kratos`` by default. Its level and handlers decide.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("kratos") if logger is None else logger

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return self._logger.isEnabledFor(level)

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
            message,
            Rendered(fields),
            exc_info=error if isinstance(error, BaseException) else None,
            extra={"kratos": fields},
            stacklevel=_depth(),
        )


def _depth() -> int:
    """Return how many frames up the one is that logs, past those of this package."""
    frame, target, depth = inspect.currentframe(), outside(), 0
    while frame is not None and frame is not target:
        frame, depth = frame.f_back, depth + 1
    return depth
