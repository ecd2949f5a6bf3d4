"""Values of fields that are looked up for each record (Go: ``log.Valuer``)."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import PurePath
from types import FrameType
from typing import Final

from kratos.process import worker_slot

__all__ = [
    "Valuer",
    "caller",
    "is_inside",
    "outside",
    "service",
    "service_id",
    "service_version",
    "timestamp",
    "worker",
]

_LISTENERS: Final = 4  # more than anybody stacks
_PACKAGE: Final = __name__.rpartition(".")[0] + "."


class Valuer:
    """A value that is computed when a record is written, in the context of who writes it.

    Args:
        compute: Returns the value; ``None`` leaves the field out. What it raises is the value.
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
    """Return the name of the application of this process; empty if there is none, or several."""
    return Valuer(lambda: _of_application("name"))


def service_id() -> Valuer:
    """Return its id, as in the registry."""
    return Valuer(lambda: _of_application("id"))


def service_version() -> Valuer:
    """Return its version."""
    return Valuer(lambda: _of_application("version"))


def worker() -> Valuer:
    """Return the number of this process among a supervisor's workers; no field outside of one."""
    return Valuer(worker_slot)


def outside() -> FrameType | None:
    """Return the innermost frame that neither this package nor ``logging`` has; or ``None``.

    Nor what others have put into ``logging``, to listen to records on their way.
    """
    frame = inspect.currentframe()
    while frame is not None and (is_inside(frame) or _is_listener(frame)):
        frame = frame.f_back
    return frame


def is_inside(frame: FrameType) -> bool:
    """Tell whether a frame only hands on what another logs."""
    module = frame.f_globals.get("__name__")
    # The standard library's own frames are there when a ``LogHandler`` hands on what others log.
    return isinstance(module, str) and (module.startswith(_PACKAGE) or module == "logging")


def _is_listener(frame: FrameType) -> bool:
    """Tell whether ``logging`` has called this on a record's way, or what called this."""
    for _ in range(_LISTENERS):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_globals.get("__name__") == "logging":
            return frame.f_code.co_name == "handle"
    return False


def _caller(depth: int) -> str:
    frame = outside()
    if frame is None:
        return ""
    for _ in range(depth):
        frame = frame.f_back or frame
    return f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{frame.f_lineno}"


def _of_application(attribute: str) -> object:
    from kratos.app._context import app_of_process  # an App is built on this

    app = app_of_process()
    return "" if app is None else getattr(app.info, attribute)
