"""Writing lines without waiting for whoever reads them."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from typing import Final, Protocol

__all__ = ["LineWriter", "QueuedWriter"]

_AT_ONCE: Final = 1000  # lines


class LineWriter(Protocol):
    """Takes lines."""

    def write(self, line: bytes, /) -> None:
        """Take one line, with its end; never raises and never blocks."""
        ...


class QueuedWriter:
    """Hands lines to a thread, which writes them to a file descriptor.

    A pipe that nobody reads would stop the event loop; here at most ``limit`` lines wait, and
    further ones are dropped and counted. What waits is written when the program ends, for at most
    ``patience`` seconds. After a fork the child goes on with a thread of its own; what waited then
    is written by the parent.

    Args:
        fd: Where to; standard error by default. It is not closed.
        limit: Lines that may wait, at least 1.
        patience: Seconds for what waits when the program ends.

    Raises:
        ValueError: ``limit`` is less than 1.
    """

    def __init__(self, fd: int = 2, *, limit: int = 10_000, patience: float = 2.0) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self._fd: Final = fd
        _writers.add(self)
        self._limit: Final = limit
        self._patience: Final = patience
        self._waiting: deque[bytes | threading.Event] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._closed = False

    @property
    def dropped(self) -> int:
        """Lines that were dropped because too many waited, or because nobody takes them."""
        return self._dropped

    def write(self, line: bytes, /) -> None:
        """Take one line; from any thread."""
        if len(self._waiting) >= self._limit or self._closed:
            self._dropped += 1
            return
        self._put(line)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all lines so far are written.

        Args:
            timeout: Seconds; ``None`` for as long as it takes.

        Returns:
            Whether they are.
        """
        if self._closed:
            return self._ended(timeout)
        reached = threading.Event()
        self._put(reached)
        return reached.wait(timeout)

    def close(self) -> None:
        """Write what waits, for at most ``patience`` seconds, and take no more. Idempotent."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            self._ended(self._patience)

    def restart(self) -> None:
        """Begin anew in a process that was forked: threads and locks are the parent's."""
        self._waiting.clear()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread = None

    def _ended(self, timeout: float | None) -> bool:
        """Wait for the end of the thread, which writes what waits before; tell whether it has."""
        thread = self._thread
        if thread is None:
            return True
        self._wake.set()
        thread.join(timeout)
        return not thread.is_alive()

    def _put(self, item: bytes | threading.Event) -> None:
        self._waiting.append(item)
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                atexit.register(self.close)
                # A daemon: a reader that never reads must not keep the process.
                self._thread = threading.Thread(target=self._run, name="kratos-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed or self._waiting:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._write_waiting()

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        reached: threading.Event | None = None
        while self._waiting and reached is None and len(lines) < _AT_ONCE:
            item = self._waiting.popleft()
            if isinstance(item, bytes):
                lines.append(item)
            else:
                reached = item
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            # Nobody takes them, and there is nobody to tell.
            self._dropped += len(lines)
        if reached is not None:
            reached.set()


_writers: Final[weakref.WeakSet[QueuedWriter]] = weakref.WeakSet()


def _restart_all() -> None:
    for writer in tuple(_writers):
        writer.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
