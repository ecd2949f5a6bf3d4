"""Ends in order where a signal asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["Terminated", "held_back", "terminable"]

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


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


@contextmanager
def held_back() -> Generator[None]:
    """Let signals that end the program by an exception wait for the end of the block.

    A process that is begun in it is known by then to who has to end it. In another thread than
    the main one nothing waits: no signal comes there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}
    handled = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
