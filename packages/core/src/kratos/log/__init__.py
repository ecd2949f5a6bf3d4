"""Logging: one small interface that every back end implements (Go: log.Logger).

``Logger`` is synchronous and must not block: it is called on the event loop, inside calls.
``Helper`` has a method for each level, ``with_`` and ``context_fields`` add fields, ``Filter``
hides and drops, and ``setup`` lets everything that a process logs come out alike.
"""

from kratos.log._interface import NO_FIELDS, Level, Levelled, Logger, NopLogger
from kratos.log.bridge import LogHandler, setup
from kratos.log.fields import context_fields, current_fields, with_
from kratos.log.filter import Filter
from kratos.log.helper import Helper
from kratos.log.line import LineLogger
from kratos.log.std import StdLogger
from kratos.log.valuer import Valuer, caller, service, timestamp
from kratos.log.writer import LineWriter, QueuedWriter

__all__ = [
    "NO_FIELDS",
    "Filter",
    "Helper",
    "Level",
    "Levelled",
    "LineLogger",
    "LineWriter",
    "LogHandler",
    "Logger",
    "NopLogger",
    "QueuedWriter",
    "StdLogger",
    "Valuer",
    "caller",
    "context_fields",
    "current_fields",
    "service",
    "setup",
    "timestamp",
    "with_",
]
