"""Records through the standard library's ``logging``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from kratos.log._interface import NO_FIELDS, Level

__all__ = ["StdLogger"]

_DELIMITERS = frozenset(' ="')


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

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record, attributed to the line that called this."""
        if not self._logger.isEnabledFor(level):
            return
        error = fields.get("error") if level >= Level.ERROR else None
        self._logger.log(
            level,
            "%s%s",
            message,
            _Rendered(fields),
            exc_info=error if isinstance(error, BaseException) else None,
            extra={"kratos": fields},
            stacklevel=2,
        )


class _Rendered:
    """Fields as text, made when the text is needed."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return "".join(f" {key}={_quoted(value)}" for key, value in self._fields.items())


def _quoted(value: object) -> str:
    if isinstance(value, BaseException):
        text = str(value)
        value = f"{type(value).__name__}: {text}" if text else type(value).__name__
    text = str(value)
    printable = text.isprintable()
    if text and printable and _DELIMITERS.isdisjoint(text):
        return text
    return json.dumps(text, ensure_ascii=not printable)
