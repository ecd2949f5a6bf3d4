"""When Python's collector of cycles goes over everything, which halts requests meanwhile.

Ten thousand endpoints are some 600,000 objects, and their text as many. The collector goes over all
of them several times as they are made, for up to 0.3 s each, and now and then later. They hold no
cycles: counting references frees them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Final

__all__ = ["lasting", "uncollected"]

_NEVER: Final = 1_000_000_000


@contextmanager
def uncollected() -> Generator[None]:
    """Let the collector look at young objects only, until all who asked for that are done.

    May be entered by several threads at once.
    """
    _rest.begin()
    try:
        yield
    finally:
        _rest.end()


@contextmanager
def lasting() -> Generator[None]:
    """As ``uncollected``, and have what exists at the end left alone for good.

    That is also what others have made, whose cycles are then not found: for processes of which the
    gateway is all there is.
    """
    with uncollected():
        yield
        gc.freeze()


class _Rest:
    """Counts who is at work, and knows the threshold that is to be there again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._before = 0

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                young, middle, self._before = gc.get_threshold()
                gc.set_threshold(young, middle, _NEVER)

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                young, middle, _ = gc.get_threshold()
                gc.set_threshold(young, middle, self._before)


_rest: Final = _Rest()
