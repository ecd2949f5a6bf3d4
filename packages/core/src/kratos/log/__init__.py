"""Logging: one small interface that every back end implements (Go: log.Logger).

``Logger`` is synchronous and must not block: it is called on the event loop, inside calls.
``Helper`` has a method for each level, ``with_`` and ``context_fields`` add fields, ``Filter``
hides and drops, and ``setup`` lets everything that a process logs come out alike.
"""

from kratos.log._interface import NO_FIELDS, Level, Levelled, Logger, NopLogger, Threshold, ends_in
from kratos.log._text import text_of
from kratos.log.bridge import LogHandler
from kratos.log.fields import context_fields, current_fields, extract, with_
from kratos.log.filter import Filter
from kratos.log.helper import Helper
from kratos.log.line import LineLogger
from kratos.log.messages import message_text
from kratos.log.root import RootLogger, setup
from kratos.log.settings import LogSettings
from kratos.log.std import StdLogger
from kratos.log.valuer import (
    Valuer,
    caller,
    service,
    service_id,
    service_version,
    timestamp,
    worker,
)
from kratos.log.writer import (
    LineWriter,
    QueuedWriter,
    Waiting,
    count_dropped,
    flush_all,
    include_writer,
    standard_error,
)

__all__ = [
    "NO_FIELDS",
    "Filter",
    "Helper",
    "Level",
    "Levelled",
    "LineLogger",
    "LineWriter",
    "LogHandler",
    "LogSettings",
    "Logger",
    "NopLogger",
    "QueuedWriter",
    "RootLogger",
    "StdLogger",
    "Threshold",
    "Valuer",
    "Waiting",
    "caller",
    "context_fields",
    "count_dropped",
    "current_fields",
    "ends_in",
    "extract",
    "flush_all",
    "include_writer",
    "message_text",
    "service",
    "service_id",
    "service_version",
    "setup",
    "standard_error",
    "text_of",
    "timestamp",
    "with_",
    "worker",
]
