"""The plug-ins ``otel`` of the groups ``kratos.tracing``, ``kratos.metrics`` and ``kratos.log``."""

from __future__ import annotations

from kratos.log.line import Format
from kratos_otel.logger import OtelLogger
from kratos_otel.meter import OtelMeter
from kratos_otel.tracer import OtelTracer

__all__ = ["logger", "meter", "tracer"]


def tracer() -> OtelTracer:
    """Return a tracer on what is in force in this process."""
    return OtelTracer()


def meter() -> OtelMeter:
    """Return a meter on what is in force in this process."""
    return OtelMeter()


def logger(*, format: Format = "auto") -> OtelLogger:  # noqa: A002 - as LineLogger has it
    """Return a logger on what is in force in this process.

    Args:
        format: Of the lines on standard error that records are while nothing is.
    """
    return OtelLogger(format=format)
