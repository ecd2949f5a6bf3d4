"""The plug-in ``structlog`` of the group ``kratos.log``."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from kratos.log import Level, LineLogger
from kratos.log.line import Format
from kratos_structlog import _passing
from kratos_structlog.logger import StructlogLogger
from kratos_structlog.sink import KratosSink, configure, level_of

__all__ = ["logger"]

_sink: Final = KratosSink(LineLogger(level=Level.DEBUG, format="json"))


def logger(*, format: Format = "auto") -> StructlogLogger:  # noqa: A002 - as LineLogger has it
    """Return what writes to structlog, as the program has configured it.

    If it has not, structlog's records, Kratos' among them, become the lines of ``LineLogger``;
    the levels of ``setup`` hold for all of them.

    Args:
        format: Of those lines; a configuration of the program's own has its own.
    """
    if not structlog.is_configured():
        configure(_wanted, _sink)
    _sink.logger = LineLogger(level=Level.DEBUG, format=format)
    return StructlogLogger()


def _wanted(
    _logger: Any, method_name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop what is below the level that ``logging`` has for the logger's name; a processor."""
    name = event.get("logger") or None
    if _passing.is_ours() or logging.getLogger(name).isEnabledFor(level_of(method_name)):
        return event
    raise structlog.DropEvent
