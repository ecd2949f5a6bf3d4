"""Records of Kratos on OpenTelemetry."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from typing import Final

from opentelemetry import _logs as logs
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber

from kratos.log import NO_FIELDS, Level, LineLogger, Logger, Threshold, current_fields, text_of
from kratos.log.line import Format
from kratos_otel._current import Providers, follow
from kratos_otel._values import Carried, carried, clean

__all__ = ["OtelLogger"]

_SCOPE: Final = "kratos"
_UNNAMED: Final = "_"  # what has no name would be left out
_OWN: Final = "opentelemetry"
_SEVERITIES: Final = (
    # By tens of the level; numbers as in Go, where FATAL is ERROR+4.
    (SeverityNumber.DEBUG, "DEBUG"),
    (SeverityNumber.DEBUG, "DEBUG"),
    (SeverityNumber.INFO, "INFO"),
    (SeverityNumber.WARN, "WARN"),
    (SeverityNumber.ERROR, "ERROR"),
    (SeverityNumber.FATAL, "FATAL"),
)


class OtelLogger:
    """Writes records to OpenTelemetry, which exports them.

    The message is the body, fields are attributes, those of the context among them, and the span
    is the current one. From ``ERROR`` on, an exception in the field ``error`` is told under
    ``exception.type``, ``exception.message`` and ``exception.stacktrace``, too.

    What OpenTelemetry does not take is a line on standard error: records of before a ``Telemetry``
    is entered and of after its end, and those of OpenTelemetry itself, which would go round in
    circles.

    Args:
        provider: Makes the logger of OpenTelemetry; that of the ``Telemetry`` of this process if
            ``None``, or OpenTelemetry's global one where there is none.
        level: Records below it are dropped.
        format: Of the lines on standard error, as of ``LineLogger``.

    Attributes:
        threshold: What ``level`` set, and may be changed.
    """

    __slots__ = ("__weakref__", "_format", "_lines", "_logger", "threshold")

    def __init__(
        self,
        provider: LoggerProvider | None = None,
        *,
        level: Level = Level.DEBUG,
        format: Format = "auto",  # noqa: A002 - as LineLogger has it
    ) -> None:
        self.threshold: Final = Threshold(level)
        self._format: Final[Format] = format
        self._lines: Logger | None = None
        self._logger: logs.Logger | None = None
        if provider is None:
            follow(self)
        else:
            self._logger = provider.get_logger(_SCOPE)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level < self.threshold.floor:
            return
        to = self._logger or self._found()
        if to is None or str(fields.get("logger", "")).startswith(_OWN):
            self._line().log(level, message, fields)
            return
        try:
            to.emit(_record(level, message, {**current_fields(), **fields}))
        except Exception as failure:
            self._line().log(level, message, {**fields, "opentelemetry": failure})

    def bind(self, providers: Providers, /) -> None:
        """Use these from now on."""
        known = providers.logs
        self._logger = None if known is None else known.get_logger(_SCOPE)

    def _found(self) -> logs.Logger | None:
        """Return a logger of the global provider, if the program has set one meanwhile."""
        provider = logs.get_logger_provider()
        if isinstance(provider, logs.NoOpLoggerProvider) or not _is_set(provider):
            return None
        self._logger = provider.get_logger(_SCOPE)
        return self._logger

    def _line(self) -> Logger:
        if self._lines is None:
            self._lines = LineLogger(level=Level.DEBUG, format=self._format)
        return self._lines


def _record(level: Level, message: str, fields: Mapping[str, object]) -> LogRecord:
    number, text = _SEVERITIES[min(max(level // 10, 0), 5)]
    told: dict[str, Carried] = {
        clean(text_of(key)) or _UNNAMED: carried(fields[key]) for key in fields
    }
    error = fields.get("error")
    if isinstance(error, BaseException) and level >= Level.ERROR:
        told |= _exception(error)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        told.setdefault("trace_id", f"{span.trace_id:032x}")
        told.setdefault("span_id", f"{span.span_id:016x}")
        told.setdefault("trace_flags", f"{span.trace_flags:02x}")
    return LogRecord(
        timestamp=time.time_ns(),
        severity_number=number,
        severity_text=text,
        body=clean(message),
        attributes=told,
    )


def _exception(error: BaseException) -> dict[str, Carried]:
    told: dict[str, Carried] = {
        "exception.type": type(error).__qualname__,
        "exception.message": clean(text_of(error)),
    }
    try:
        told["exception.stacktrace"] = clean("".join(traceback.format_exception(error)))
    except Exception as failure:  # of an exception's own code
        told["exception.stacktrace"] = f"cannot be shown: {type(failure).__name__}"
    return told


def _is_set(provider: LoggerProvider) -> bool:
    return type(provider).__name__ != "ProxyLoggerProvider"
