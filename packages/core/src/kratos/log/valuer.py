"""Values of fields that are looked up for each record (Go: ``log.Valuer``)."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import PurePath
from types import FrameType
from typing import Final

__all__ = ["Valuer", "caller", "outside", "service", "timestamp"]

_PACKAGE: Final = __name__.rpartition(".")[0] + "."


class Valuer:
    """A value that is computed when a record is written, in the context of who writes it.

    Args:
        compute: Returns the value. What it raises becomes the value.
    """

    __slots__ = ("_compute",)

    def __init__(self, compute: Callable[[], object], /) -> None:
        self._compute: Final = compute

    def __call__(self) -> object:
        """Return the value."""
        try:
            return self._compute()
        except Exception as error:
            return error


def timestamp(layout: str = "%Y-%m-%dT%H:%M:%S%z") -> Valuer:
    """Return the local time, in a layout of ``time.strftime``; RFC 3339 by default."""
    return Valuer(lambda: time.strftime(layout))


def caller(*, depth: int = 0) -> Valuer:
    """Return where the record was written, as ``folder/file.py:line``.

    Args:
        depth: Frames to go up beyond the first that is not of this package, for helpers of one's
            own.
    """
    return Valuer(lambda: _caller(depth))


def service() -> Valuer:
    """Return the name of the application that runs; empty outside of one."""
    return Valuer(_service)


def outside() -> FrameType | None:
    """Return the innermost frame that is not of this package; ``None`` where there are none."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def _caller(depth: int) -> str:
    frame = outside()
    if frame is None:
        return ""
    for _ in range(depth):
        frame = frame.f_back or frame
    return f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{frame.f_lineno}"


def _service() -> str:
    from kratos.app import app_info

    info = app_info()
    return "" if info is None else info.name
