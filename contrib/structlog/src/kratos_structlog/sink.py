"""Records of structlog on their way to a logger of Kratos."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, NoReturn, cast

import structlog

from kratos.log import Level, Logger, ends_in
from kratos_structlog.logger import StructlogLogger

__all__ = ["KratosSink", "to_kratos"]

_LEVELS: Final[Mapping[str, Level]] = {
    "debug": Level.DEBUG,
    "warn": Level.WARN,
    "warning": Level.WARN,
    "err": Level.ERROR,
    "error": Level.ERROR,
    "exception": Level.ERROR,
    "critical": Level.FATAL,
    "fatal": Level.FATAL,
}  # all others are INFO


class KratosSink:
    """The last processor: hands events to a logger of Kratos, and ends their way there.

    The event is the message, all else are fields, and ``exc_info`` is the field ``error``. With the
    ``RootLogger`` of ``setup``, an event whose field ``logger`` has a name has that module's level.

    Args:
        logger: Where to.

    Attributes:
        logger: The same; it may be replaced.

    Raises:
        ValueError: It writes to structlog, and records would go round in circles.
    """

    def __init__(self, logger: Logger) -> None:
        if ends_in(logger, StructlogLogger):
            raise ValueError(
                "a StructlogLogger writes to structlog: records would go round in circles"
            )
        self.logger = logger
        self._at_it: Final = threading.local()

    def __call__(
        self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any], /
    ) -> NoReturn:
        """Hand one event on.

        Raises:
            structlog.DropEvent: Always: there is nothing left to do for structlog.
        """
        if not getattr(self._at_it, "now", False):  # else it has come round, by whatever way
            self._at_it.now = True
            try:
                self._pass_on(method_name, dict(event_dict))
            finally:
                self._at_it.now = False
        raise structlog.DropEvent

    def _pass_on(self, method_name: str, fields: dict[str, Any]) -> None:
        message = str(fields.pop("event", ""))
        error = _exception(fields.pop("exc_info", None))
        if error is not None:
            fields.setdefault("error", error)
        to = self.logger
        named = getattr(to, "named", None)
        if named is not None and isinstance(fields.get("logger"), str):
            to = named(fields["logger"])
        to.log(level_of(method_name), message, fields)


def level_of(method_name: str) -> Level:
    """Return the level that a method of structlog's loggers stands for."""
    return _LEVELS.get(method_name, Level.INFO)


def to_kratos(logger: Logger) -> None:
    """Configure structlog so that all its records go to a logger of Kratos.

    What ``structlog.contextvars`` holds goes along. Whether a level is written is for the logger
    to say. To be called once, when the program starts, before structlog's loggers are used.

    Raises:
        ValueError: The logger writes to structlog itself.
    """
    configure(KratosSink(logger))


def configure(*last: Any) -> None:
    """Configure structlog with processors that need nothing written."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _name, *last],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=_Nowhere,
        context_class=dict,
        cache_logger_on_first_use=True,
    )


class _Nowhere:
    """Where the processors would write to; it keeps the name that ``get_logger`` was given."""

    def __init__(self, *args: Any) -> None:
        self.name = str(args[0]) if args else ""

    def msg(self, message: str) -> None:
        """Do nothing: the processors have done it."""

    debug = info = warning = warn = error = err = exception = critical = fatal = log = msg
    failure = msg


def _name(logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the name of the logger, a processor."""
    name = getattr(logger, "name", "")
    if name:
        event.setdefault("logger", name)
    return event


def _exception(given: object) -> BaseException | None:
    """Return the exception that ``exc_info`` stands for, in each of its forms."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        parts = cast("tuple[object, ...]", given)
        return next((part for part in parts if isinstance(part, BaseException)), None)
    return sys.exc_info()[1] if given else None
