"""Ends in order where a signal asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "terminable"]


class Terminated(BaseException):
    """SIGTERM has come."""


@contextmanager
def terminable() -> Generator[None]:
    """Let SIGTERM end the block by an exception, so that it takes back what it has begun.

    Where somebody else handles that signal, or in another thread than the main one, it is left as
    it is.

    Raises:
        Terminated: It has come.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
