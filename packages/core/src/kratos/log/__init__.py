"""Logging: one small interface that every back end implements (Go: log.Logger).

``Logger`` is synchronous and must not block: it is called on the event loop, inside calls.
"""

from kratos.log._interface import NO_FIELDS, Level, Logger, NopLogger
from kratos.log.std import StdLogger

__all__ = ["NO_FIELDS", "Level", "Logger", "NopLogger", "StdLogger"]
