"""How much of what was written has not reached the peer."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

if sys.platform == "linux":  # at once: without file descriptors nothing can be imported later
    import fcntl
    import termios

__all__ = ["unsent"]

_NOTHING: Final = bytes(4)  # a C int


def unsent(transport: asyncio.WriteTransport) -> int:
    """Return the bytes that the peer has not taken.

    What the system took from us says little: it takes megabytes at once, and a slow peer that
    reads all the time would seem to do nothing for minutes.
    """
    return transport.get_write_buffer_size() + _queued(transport)


def _queued(transport: asyncio.WriteTransport) -> int:
    """Return the bytes that wait in the system; 0 where it does not tell."""
    sock: Any = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None:
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, _NOTHING)
    except OSError:
        return 0  # it is closed
    return int.from_bytes(answer, sys.byteorder)
