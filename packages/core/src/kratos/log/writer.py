"""Writing lines without waiting for whoever reads them."""

from __future__ import annotations

import atexit
import json
import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from kratos.metrics import Meter

__all__ = [
    "LineWriter",
    "QueuedWriter",
    "Waiting",
    "count_dropped",
    "flush_all",
    "include_writer",
    "standard_error",
]

_LINES_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 1 << 20
_ON_A_PIPE: Final = getattr(select, "PIPE_BUF", 512)  # what nobody else can write into
_LOOK_AGAIN: Final = 1.0  # seconds, where a descriptor does not say when it takes more


class LineWriter(Protocol):
    """Takes lines."""

    def write(self, line: bytes, /) -> None:
        """Take one line, with its end; never raises and never blocks."""
        ...


class Waiting(Protocol):
    """A writer whose records may wait; see ``include_writer``."""

    @property
    def dropped(self) -> int:
        """Records that were dropped so far."""
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all records so far are written; see ``QueuedWriter.flush``."""
        ...

    def restart(self) -> None:
        """Begin anew in a process that was forked; what waits is the parent's to write."""
        ...


class QueuedWriter:
    """Hands lines to a thread, which writes them to a file descriptor.

    A pipe that nobody reads would stop the event loop; here at most ``limit`` lines of
    ``limit_bytes`` together wait, and further ones are dropped and counted. So are lines that the
    descriptor does not take: its reader is gone, or its disk is full. When lines get through
    again, one tells how many did not.

    What waits is written when the program ends, for at most ``patience`` seconds. After a fork
    the child goes on with a thread of its own; what waited then is written by the parent. Where
    several processes write to one pipe, lines of up to 4 KiB (``PIPE_BUF``) stay whole.

    The thread waits a moment for further lines: to wake it for each one costs more than the line.

    Args:
        fd: Where to; standard error by default. It is not closed.
        limit: Lines that may wait, at least 1.
        limit_bytes: Bytes that may wait, at least 1; a line that is longer is dropped.
        patience: Seconds for what waits when the program ends.
        linger: Seconds for which a line may wait for others; 0 for none.

    Raises:
        ValueError: A limit is less than 1, or ``linger`` less than 0.
    """

    def __init__(
        self,
        fd: int = 2,
        *,
        limit: int = 10_000,
        limit_bytes: int = 16 << 20,
        patience: float = 2.0,
        linger: float = 0.002,
    ) -> None:
        if linger < 0:
            raise ValueError(f"linger must not be negative, got {linger}")
        for name, value in (("limit", limit), ("limit_bytes", limit_bytes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._fd: Final = fd
        self._limit: Final = limit
        self._limit_bytes: Final = limit_bytes
        self._patience: Final = patience
        self._linger: Final = linger
        self._waiting: deque[bytes | threading.Event] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        # Re-entrant: a handler of a signal may log while its thread does.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._bytes = 0
        self._dropped = 0
        self._told = 0
        self._torn = False
        self._closed = False
        self._losses: Callable[[int], bytes] = _losses
        include_writer(self)

    @property
    def dropped(self) -> int:
        """Lines that were dropped because too many waited, or because nobody takes them."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Bytes that are not written yet."""
        return self._bytes

    def tell_losses(self, render: Callable[[int], bytes], /) -> None:
        """Let ``render`` make the line that tells how many were dropped; JSON by default."""
        self._losses = render

    def write(self, line: bytes, /) -> None:
        """Take one line; from any thread."""
        size = len(line)
        with self._lock:
            if (
                len(self._waiting) >= self._limit
                or self._bytes + size > self._limit_bytes
                or self._closed
            ):
                self._dropped += 1
                return
            self._bytes += size
            self._waiting.append(line)
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all lines so far are written.

        Args:
            timeout: Seconds; ``None`` for as long as it takes.

        Returns:
            Whether they are.
        """
        if self._closed:
            return self._ended(timeout)
        if self._thread is None and not self._waiting:
            return True
        reached = threading.Event()
        self._waiting.append(reached)
        self._hurry.set()
        self._wake.set()
        self._start()
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
        self._hurry = threading.Event()
        self._lock = threading.RLock()
        self._thread = None
        self._bytes = 0
        self._told = self._dropped
        self._torn = False

    def _ended(self, timeout: float | None) -> bool:
        """Wait for the end of the thread, which writes what waits before; tell whether it has."""
        thread = self._thread
        if thread is None:
            return True
        self._hurry.set()
        self._wake.set()
        thread.join(timeout)
        return not thread.is_alive()

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
            self._hurry.wait(self._linger)
            self._hurry.clear()
            while self._waiting:
                self._write_waiting()
        self._tell_losses()

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        size = 0
        reached: threading.Event | None = None
        most = _most_at_once(self._fd)
        while self._waiting and len(lines) < _LINES_AT_ONCE:
            item = self._waiting[0]
            if isinstance(item, threading.Event):
                reached = item
                self._waiting.popleft()
                break
            if lines and size + len(item) > most:
                break
            lines.append(item)
            size += len(item)
            self._waiting.popleft()
        if lines:
            written = self._send(lines)
            with self._lock:
                self._bytes -= size
                self._dropped += len(lines) - written
        if reached is not None or not self._waiting:
            self._tell_losses()
        if reached is not None:
            reached.set()

    def _tell_losses(self) -> None:
        lost = self._dropped - self._told
        if lost and self._send([self._losses(lost)]):
            self._told += lost

    def _send(self, lines: Sequence[bytes]) -> int:
        """Write lines, and return how many got through as a whole."""
        # What ends in the middle of a line would run into the next one.
        data = b"".join((b"\n", *lines) if self._torn else lines)
        left = memoryview(data)
        try:
            while left:
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError:  # somebody who shares it has made it so
                    _wait(self._fd)
        except OSError:
            done = len(data) - len(left)
            self._torn = (data[done - 1] != 0x0A) if done else self._torn
            return _whole(lines, done - (1 if data[:1] == b"\n" and done else 0))
        self._torn = False
        return len(lines)


def standard_error() -> QueuedWriter:
    """Return the writer to standard error that all loggers of this process share."""
    return _standard_error()


def include_writer(writer: Waiting, /) -> None:
    """Let ``flush_all``, ``count_dropped`` and forks know of a writer, which is held weakly.

    For loggers that write otherwise than by a ``QueuedWriter``, which does this itself.
    """
    _writers.add(writer)


def flush_all(timeout: float) -> None:
    """Wait until what waits in all writers is written: for who ends a process without ``atexit``.

    Args:
        timeout: Seconds for all of them together.
    """
    end = time.monotonic() + timeout
    for writer in tuple(_writers):
        writer.flush(max(0.0, end - time.monotonic()))


def count_dropped(meter: Meter) -> None:
    """Show the lines that the writers of this process drop as ``log_lines_dropped_total``.

    An application does this with its meter, which must be one that says when it is read
    (``kratos.metrics.Collecting``); with others this does nothing. Calling it again does nothing.
    """
    from kratos.metrics import Collecting  # which logs itself

    if not isinstance(meter, Collecting) or meter in _meters:
        return
    _meters.add(meter)
    counter = meter.counter(
        "log_lines_dropped_total",
        description="Lines of the log that were dropped, as too many waited or nobody took them.",
    )
    # By writer: a sum of all would fall with one that is gone, and hide what others drop then.
    counted: weakref.WeakKeyDictionary[Waiting, int] = weakref.WeakKeyDictionary()

    def publish() -> None:
        for writer in tuple(_writers):
            dropped, before = writer.dropped, counted.get(writer, 0)
            if dropped > before:
                counter.inc(dropped - before)
            counted[writer] = dropped  # less in a process that was forked

    meter.on_collect(publish)


@cache
def _standard_error() -> QueuedWriter:
    return QueuedWriter()


def _most_at_once(fd: int) -> int:
    """Return how many bytes go into one write, so that lines of several processes stay whole."""
    try:
        shared = stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        shared = False
    return _ON_A_PIPE if shared else _BYTES_AT_ONCE


def _wait(fd: int) -> None:
    """Wait until a descriptor takes more, or for a moment where it cannot be asked."""
    if hasattr(select, "poll"):
        poll = select.poll()  # for descriptors of any number
        poll.register(fd, select.POLLOUT)
        poll.poll(_LOOK_AGAIN * 1000)
    else:
        time.sleep(_LOOK_AGAIN)


def _whole(lines: Sequence[bytes], size: int) -> int:
    """Return how many lines there are within the first ``size`` bytes."""
    for number, line in enumerate(lines):
        size -= len(line)
        if size < 0:
            return number
    return len(lines)


def _losses(lost: int) -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"time": now, "level": "WARN", "msg": "lines of the log were dropped", "lines": lost}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


_meters: Final[weakref.WeakSet[Meter]] = weakref.WeakSet()
_writers: Final[weakref.WeakSet[Waiting]] = weakref.WeakSet()


def _restart_all() -> None:
    for writer in tuple(_writers):
        writer.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
