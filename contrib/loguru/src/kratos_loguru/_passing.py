"""Whose record is on its way through loguru: one of Kratos, or one of a program's own."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["is_ours", "ours"]

_state: Final = threading.local()


@contextmanager
def ours() -> Generator[None]:
    """Mark what this thread logs meanwhile as Kratos' own, whose level was looked at."""
    before = is_ours()
    _state.ours = True
    try:
        yield
    finally:
        _state.ours = before


def is_ours() -> bool:
    """Tell whether this thread is about to log a record of Kratos."""
    return bool(getattr(_state, "ours", False))
