"""Threads that end a worker whose time is over, even if something in it is stuck."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import Final

from kratos.log import flush_all

__all__ = ["EXIT_ORPHANED", "Guard", "end_within"]

EXIT_ORPHANED: Final = 3

_LAST_LINES: Final = 0.5  # seconds for what is logged and not written yet


class Guard(threading.Thread):
    """Waits for the other end of a socket to close, then ends the process.

    Args:
        end: Our end; it is left alone.

    Attributes:
        patience: Seconds that the process has, from then on, to end by itself; 0 as long as it
            has nothing to finish.
    """

    def __init__(self, end: socket.socket) -> None:
        super().__init__(name="kratos-guard", daemon=True)
        self.patience = 0.0
        self._end = end.dup()

    def run(self) -> None:
        """Wait, then end the process."""
        poll = select.poll()
        poll.register(self._end, 0)  # hang-ups are told unasked
        poll.poll()
        time.sleep(self.patience)
        _exit(EXIT_ORPHANED)


def end_within(seconds: float, code: int) -> None:
    """Let the process end, with ``code``, but not wait longer for what its threads still do.

    Else one that serves no more would be there as long as any thread that somebody forgot, and
    none would be started in its place.
    """
    timer = threading.Timer(seconds, _exit, (code,))
    timer.daemon = True
    timer.start()


def _exit(code: int) -> None:
    flush_all(_LAST_LINES)
    os._exit(code)
