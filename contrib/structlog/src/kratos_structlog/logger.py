"""A logger of Kratos that writes to structlog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from kratos.log import NO_FIELDS, Level, LineLogger, Logger, current_fields
from kratos_structlog import _passing

__all__ = ["StructlogLogger"]

# What methods of structlog's loggers call their own arguments, and what its processors add.
_OWN: Final = frozenset(
    {
        "event",
        "exc_info",
        "exception",
        "level",
        "method_name",
        "positional_args",
        "self",
        "stack",
        "stack_info",
        "timestamp",
    }
)
_METHODS: Final = ("debug", "debug", "info", "warning", "error", "critical")  # by tens


class StructlogLogger:
    """Writes records to a logger of structlog, with its processors.

    A field of a name that structlog uses itself gets an ``_`` after it. From ``ERROR`` on, an
    exception in the field ``error`` is ``exc_info``, too, from which structlog makes its trace.
    Fields of the context are among the others. What structlog fails to write, because one of its
    processors raises, is a line on standard error, with the failure in the field ``structlog``.

    Args:
        logger: Where to; ``structlog.get_logger()`` by default. Its configuration is looked at
            when the first record is written, as structlog's own loggers do. Writing takes the
            time that it takes: a logger that prints to a pipe nobody reads blocks.
    """

    def __init__(self, logger: Any = None) -> None:
        self._given: Final = logger
        self._logger: Any = None
        self._asked: Callable[[int], bool] | None = None
        self._fallback: Logger | None = None

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written, as far as structlog can tell."""
        if self._logger is None:
            self._bind()
        return self._asked is None or bool(self._asked(level))

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        try:
            if not self.enabled(level):
                return
            whole = {**current_fields(), **fields}
            error = whole.get("error")
            if not _OWN.isdisjoint(whole):
                whole = {f"{key}_" if key in _OWN else key: part for key, part in whole.items()}
            if level >= Level.ERROR and isinstance(error, BaseException):
                whole["exc_info"] = error
            with _passing.ours():
                self._method(level)(message, **whole)
        except Exception as failure:
            self._write_all_the_same(level, message, fields, failure)

    def _method(self, level: int) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._logger, _METHODS[min(max(level // 10, 0), 5)])
        return method

    def _bind(self) -> None:
        logger = structlog.get_logger() if self._given is None else self._given
        bound = logger.bind()
        self._asked = getattr(bound, "is_enabled_for", None)
        self._logger = bound

    def _write_all_the_same(
        self, level: Level, message: str, fields: Mapping[str, object], failure: Exception
    ) -> None:
        if self._fallback is None:
            self._fallback = LineLogger(level=Level.DEBUG)
        self._fallback.log(level, message, {**fields, "structlog": failure})
