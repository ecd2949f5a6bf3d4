"""A thread that ends a worker whose supervisor is gone, even if its event loop is stuck."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import Final

__all__ = ["EXIT_ORPHANED", "Guard"]

EXIT_ORPHANED: Final = 3


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
        os._exit(EXIT_ORPHANED)
