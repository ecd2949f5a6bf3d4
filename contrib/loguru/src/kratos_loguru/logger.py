"""A logger of Kratos that writes to loguru."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import loguru

from kratos.log import NO_FIELDS, Level, LineLogger, Logger, Threshold, current_fields
from kratos.log.valuer import is_inside
from kratos_loguru import _passing

if TYPE_CHECKING:
    from loguru import Logger as Loguru

__all__ = ["LoguruLogger"]

_NAMES: Final = ("DEBUG", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")  # by tens


class LoguruLogger:
    """Writes records to loguru, attributed to the line that logs.

    Fields are what loguru calls ``extra``, those of the context among them. From ``ERROR`` on, an
    exception in the field ``error`` is the record's, too. What loguru fails to take, because a
    patcher of it raises, is a line on standard error, with the failure in the field ``loguru``.

    Args:
        logger: Where to; ``loguru.logger`` by default. Writing takes the time that its sinks take:
            one that prints to a pipe nobody reads blocks.
        level: Records below it are dropped before loguru sees them: it does not tell which ones
            it wants, and takes its time for each.

    Attributes:
        threshold: What ``level`` set, and may be changed.
    """

    __slots__ = ("_fallback", "_logger", "threshold")

    def __init__(self, logger: Loguru | None = None, *, level: Level = Level.DEBUG) -> None:
        self._logger: Final = loguru.logger if logger is None else logger
        self.threshold: Final = Threshold(level)
        self._fallback: Logger | None = None

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is handed to loguru."""
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level < self.threshold.floor:
            return
        try:
            whole = {**current_fields(), **fields}
            error = whole.get("error") if level >= Level.ERROR else None
            options = self._logger.opt(
                depth=_depth(), exception=error if isinstance(error, BaseException) else None
            )
            with _passing.ours():
                options.bind(**whole).log(_NAMES[min(max(level // 10, 0), 5)], message)
        except Exception as failure:
            self._write_all_the_same(level, message, fields, failure)

    def _write_all_the_same(
        self, level: Level, message: str, fields: Mapping[str, object], failure: Exception
    ) -> None:
        if self._fallback is None:
            self._fallback = LineLogger(level=Level.DEBUG)
        self._fallback.log(level, message, {**fields, "loguru": failure})


def _depth() -> int:
    """Return how many frames above ``log`` the one is that logs, past those that only hand on."""
    here = inspect.currentframe()
    log = None if here is None else here.f_back
    frame, depth = (None if log is None else log.f_back), 1
    while frame is not None and is_inside(frame):
        frame, depth = frame.f_back, depth + 1
    return depth if frame is not None else 1
