"""What a program shows that has not configured the standard library's ``logging``."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from kratos.log._text import indented

__all__ = ["shown"]

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def shown(who: str = "") -> Generator[None]:
    """Write Kratos' records from ``INFO`` on to standard error, unless they go somewhere already.

    They do when the logger ``kratos`` or the root logger has a handler. If the program adds one
    to the root logger later, for instance in a hook, this one falls silent. A level that the
    logger ``kratos`` was given holds.

    Args:
        who: Put before each message, where several processes write to one place.
    """
    logger = logging.getLogger("kratos")
    if logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(_FORMAT.replace("%(message)", f"{who}%(message)")))
    handler.addFilter(lambda _record: not logging.getLogger().handlers)
    level = logger.level
    if level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """Sets traces apart from lines, which the text of an exception could pretend to be."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the base class
        return indented(super().formatException(ei))
