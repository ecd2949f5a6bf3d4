"""Records of loguru on their way to a logger of Kratos."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import loguru

from kratos.log import Level, Logger, ends_in
from kratos_loguru import _passing
from kratos_loguru.logger import LoguruLogger

if TYPE_CHECKING:
    from loguru import Message, Record

__all__ = ["KratosSink", "to_kratos"]


class KratosSink:
    """A sink of loguru that hands records to a logger of Kratos.

    What loguru calls ``extra`` are the fields, with the module's name in ``logger`` and an
    exception in ``error``. With the ``RootLogger`` of ``setup``, each module has its own level.

    Args:
        logger: Where to.

    Attributes:
        logger: The same; it may be replaced.

    Raises:
        ValueError: It writes to loguru, and records would go round in circles.
    """

    def __init__(self, logger: Logger) -> None:
        if ends_in(logger, LoguruLogger):
            raise ValueError("a LoguruLogger writes to loguru: records would go round in circles")
        self.logger = logger
        self._at_it: Final = threading.local()

    def __call__(self, message: Message, /) -> None:
        """Hand one record on."""
        if getattr(self._at_it, "now", False):
            return  # it has come round, by whatever way
        self._at_it.now = True
        try:
            self._pass_on(message.record)
        finally:
            self._at_it.now = False

    def _pass_on(self, record: Record) -> None:
        fields: dict[str, object] = dict(record["extra"])
        name = record["name"]
        if name and not _passing.is_ours():
            fields = {"logger": name, **fields}
        exception = record["exception"]
        if exception is not None and exception.value is not None:
            fields.setdefault("error", exception.value)
        to = self.logger
        named = getattr(to, "named", None)
        if named is not None and name:
            to = named(name)
        to.log(_level(record["level"].no), record["message"], fields)


def to_kratos(logger: Logger) -> None:
    """Let all records of loguru go to a logger of Kratos, in place of its sinks so far.

    Whether a level is written is for the logger to say. To be called once, when the program
    starts.

    Raises:
        ValueError: The logger writes to loguru itself.
    """
    sink = KratosSink(logger)
    loguru.logger.remove()
    loguru.logger.add(sink, level=0, format=nothing)


def wanted(record: Record) -> bool:
    """Tell whether ``logging`` has a level for the module that lets a record through."""
    name = record["name"]
    return _passing.is_ours() or logging.getLogger(name).isEnabledFor(record["level"].no)


def nothing(_record: Record) -> str:
    """Return no text: a format that is a function keeps loguru from rendering traces."""
    return ""


def _level(number: int) -> Level:
    """Return ours for one of loguru's, which has some in between and those that users add."""
    for level in (Level.FATAL, Level.ERROR, Level.WARN, Level.INFO):
        if number >= level:
            return level
    return Level.DEBUG
