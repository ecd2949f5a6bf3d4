"""What a test has left behind: tasks, threads and sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["LeakCheck"]

_FDS: Final = Path("/proc/self/fd")
# Threads of the loop's own executor, which lives as long as the loop; and two that serve the whole
# process: that of grpc.aio, and that which writes the lines of the log.
_LASTING: Final = ("asyncio_", "(_poll_wrapper)", "kratos-log")
_FIRST_LOOK: Final = 0.01  # seconds; what is about to end is seldom later
_LONGEST_LOOK: Final = 1.0  # each look collects garbage, which takes a large process a while


class LeakCheck:
    """Notes what there is now, and tells later what has come and not gone.

        check = LeakCheck()
        ...
        await check.nothing_left()

    Made and asked in a running event loop. Sockets are seen where the system lists them, that
    is on Linux.
    """

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())
        self._sockets = _sockets()

    def left(self) -> list[str]:
        """Return what is there now and was not before, in words."""
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() - self._tasks if task is not current]
        threads = [
            thread
            for thread in threading.enumerate()
            if thread not in self._threads and not any(name in thread.name for name in _LASTING)
        ]
        sockets = _sockets()
        ends = [_ends(sockets[new]) for new in sockets.keys() - self._sockets.keys()]
        return [
            *(f"task {task.get_name()}: {task.get_coro()}" for task in tasks),
            *(f"thread {thread.name}" for thread in threads),
            *(f"socket {end}" for end in ends if end),
        ]

    async def nothing_left(self, *, patience: float = 15.0) -> None:
        """Return when nothing is left.

        Args:
            patience: Seconds for what is about to end.

        Raises:
            AssertionError: Something is left; names it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        look = _FIRST_LOOK
        while left := self.left():
            if loop.time() >= until:
                raise AssertionError(f"left behind: {'; '.join(sorted(left))}")
            gc.collect()  # some libraries let go of their threads with their last object
            await asyncio.sleep(min(look, max(0.0, until - loop.time())))
            look = min(2 * look, _LONGEST_LOOK)


def _sockets() -> Mapping[str, int]:
    """Return the file descriptor of each socket, by its name in the system."""
    if not _FDS.is_dir():
        return {}
    found: dict[str, int] = {}
    for entry in _FDS.iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            found[target] = int(entry.name)
    return found


def _ends(descriptor: int) -> str:
    """Return the addresses of a socket; empty for a pair within this process.

    By such pairs loops and libraries wake themselves up.
    """
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            if sock.family == socket.AF_UNIX and not sock.getsockname() and not _peer(sock):
                return ""
            return repr(sock).partition("type=")[2].rstrip(">")
    except OSError:  # it has been closed meanwhile
        return ""


def _peer(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername())
    except OSError:  # it is not connected
        return ""
