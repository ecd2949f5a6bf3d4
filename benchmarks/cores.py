"""Who runs where: what makes a load has the first core, servers have the second."""

from __future__ import annotations

import os

__all__ = ["take_first_core"]


def take_first_core() -> None:
    """Leave the second core to the server (for processes that are about to begin)."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
