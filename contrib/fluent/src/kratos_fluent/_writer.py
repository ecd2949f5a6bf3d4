"""Records on their way to a server that may be away: a queue, and a thread that empties it."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

from kratos.errors import ConfigError
from kratos.limit import describe
from kratos.log import Level, Logger, include_writer
from kratos.options import require_count, require_number
from kratos_fluent._connection import Connection, Endpoint
from kratos_fluent._frames import Mode, chunk_id, message

__all__ = ["Delivery", "ForwardWriter"]

_BYTES_AT_ONCE: Final = 1 << 20  # of entries in one message
_GROWTH: Final = 1.5  # of waits, as in Go's client
_IDLE: Final = 60.0  # seconds without a record after which the thread ends
_AT_THE_END: Final = 0.1  # seconds between attempts while the process waits for the last ones
_EACH: Final = 64  # bytes that an entry takes besides its own, in the queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How records are delivered; see ``FluentLogger``, which has the same options."""

    mode: Mode
    ack: bool
    compress: bool
    limit_bytes: int
    retry_wait: float
    max_retry_wait: float
    max_retry: int
    linger: float
    patience: float

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: An option is wrong; the text names it.
        """
        if self.mode not in get_args(Mode):
            raise ConfigError(f"mode is packed, forward or message, not {self.mode!r}")
        if self.compress and self.mode != "packed":
            raise ConfigError(f"compress is for the mode packed, not for {self.mode}")
        require_count("limit_bytes", self.limit_bytes)
        require_count("max_retry", self.max_retry, least=0)
        require_number("retry_wait", self.retry_wait, above=0, finite=True)
        require_number("max_retry_wait", self.max_retry_wait, above=0, finite=True)
        require_number("linger", self.linger, least=0, finite=True)
        require_number("patience", self.patience, least=0, finite=True)


@dataclass(slots=True)
class _Chunk:
    """Entries of one tag that go into one message, or into several without acknowledgement."""

    tag: str
    entries: list[bytes]
    size: int = 0


class ForwardWriter:
    """Takes entries from any thread and delivers them in a thread of its own.

    Args:
        to: Where to.
        how: How.
        log: Where it is told that the server is away.
        last_log: Where it is told at the end what was lost; at once, as what waits elsewhere may
            have been written by then.
        losses: Makes the entry, with its tag, that tells the server how many were dropped.
        connect: Makes a connection; raises ``OSError`` if it cannot.
    """

    def __init__(
        self,
        to: Endpoint,
        how: Delivery,
        *,
        log: Logger,
        last_log: Logger,
        losses: Callable[[int], tuple[str, bytes]],
        connect: Callable[[Endpoint], Connection] = Connection,
    ) -> None:
        self._to: Final = to
        self._how: Final = how
        self._log: Final = log
        self._last_log: Final = last_log
        self._losses: Final = losses
        self._connect: Final = connect
        self._dropped = 0
        self._told = 0
        self._closed = False
        self._deadline = 0.0
        self._begin()
        include_writer(self)

    def _begin(self) -> None:
        self._waiting: deque[tuple[str, bytes] | threading.Event] = deque()
        self._chunks: list[_Chunk] = []  # taken out of the queue, and not delivered yet
        # Re-entrant: a handler of a signal may log while its thread does.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._failure = ""  # why the server is away; empty while it is not
        self._bytes = 0

    @property
    def dropped(self) -> int:
        """Records that were dropped because too many waited, or because nobody takes them."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Bytes that are not delivered yet."""
        return self._bytes

    def write(self, tag: str, entry: bytes, /) -> None:
        """Take one entry."""
        size = len(entry) + _EACH
        with self._lock:
            if self._closed or self._bytes + size > self._how.limit_bytes:
                self._dropped += 1
                return
            self._bytes += size
            self._waiting.append((tag, entry))
            if self._thread is None:
                self._start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all entries so far are delivered, or given up; tell whether they are."""
        with self._lock:
            if self._thread is None and self._waiting:
                self._start()
            thread = self._thread
            if thread is None:
                return not self._waiting
            reached = threading.Event()
            if not self._closed:
                self._waiting.append(reached)
        if self._closed:
            thread.join(timeout)
            return not self._left()
        self._hurry.set()
        self._wake.set()
        return reached.wait(timeout) and not self._leaves_some()

    def close(self) -> None:
        """Deliver what waits, for at most ``patience`` seconds, and take no more. Idempotent."""
        with self._lock:
            if self._closed:
                return
            if self._thread is None and self._waiting:
                self._start()
            self._deadline = time.monotonic() + self._how.patience
            self._closed = True
            thread = self._thread
        atexit.unregister(self.close)
        if thread is not None:
            self._closing.set()
            self._hurry.set()
            self._wake.set()
            thread.join(self._how.patience)
        waiting = self._left()
        lost = waiting + self._dropped - self._told
        if lost:
            fields: dict[str, object] = {"address": self._to.address, "records": lost}
            if self._failure:
                fields["error"] = self._failure
            elif waiting:
                fields["error"] = f"they were not taken within {self._how.patience:g} s"
            self._last_log.log(Level.WARN, "records for Fluentd were lost", fields)

    def restart(self) -> None:
        """Begin anew in a process that was forked: threads and what waits are the parent's."""
        if self._connection is not None:
            self._connection.close()
        self._told = self._dropped
        self._begin()

    def _leaves_some(self) -> bool:
        return self._closed and self._left() > 0

    def _left(self) -> int:
        waiting = sum(not isinstance(each, threading.Event) for each in tuple(self._waiting))
        return waiting + sum(len(chunk.entries) for chunk in tuple(self._chunks))

    def _start(self) -> None:
        # A daemon: a server that takes nothing must not keep the process.
        thread = threading.Thread(target=self._run, name="kratos-log-fluent", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process may have no more of them now: the next record tries
            return
        self._thread = thread
        atexit.register(self.close)

    def _run(self) -> None:
        while self._wake.wait(_IDLE) or not self._rests():
            self._wake.clear()
            self._hurry.wait(self._how.linger)
            self._hurry.clear()
            while self._waiting and not self._is_over():
                self._deliver_some(self._take())
            if self._closed:
                self._disconnect()
                self._let_go()
                return

    def _let_go(self) -> None:
        """Tell those who wait for the last records that nothing more is delivered."""
        for each in tuple(self._waiting):
            if isinstance(each, threading.Event):
                each.set()

    def _rests(self) -> bool:
        """End the thread, and its connection, unless something has come in."""
        with self._lock:
            if self._waiting or self._closed:
                return False
            self._disconnect()
            self._thread = None
            atexit.unregister(self.close)  # before another thread can begin, which registers it
        return True

    def _is_over(self) -> bool:
        return self._closed and time.monotonic() >= self._deadline

    def _take(self) -> threading.Event | None:
        """Take entries out of the queue, by tag, up to a mark that somebody waits for."""
        chunks: dict[str, _Chunk] = {}
        alone = self._how.mode == "message" and self._how.ack
        size = 0
        mark: threading.Event | None = None
        with self._lock:
            while self._waiting and mark is None and size < _BYTES_AT_ONCE:
                item = self._waiting.popleft()
                if isinstance(item, threading.Event):
                    mark = item
                    continue
                tag, entry = item
                size += len(entry)
                chunk = chunks.get(tag)
                if chunk is None or alone:
                    chunk = chunks[tag] = _Chunk(tag, [])
                    self._chunks.append(chunk)
                chunk.entries.append(entry)
                chunk.size += len(entry) + _EACH
        return mark

    def _deliver_some(self, mark: threading.Event | None) -> None:
        while self._chunks:
            chunk = self._chunks[0]
            try:
                delivered = self._deliver(chunk)
            except Exception as error:  # of whatever kind, others may be delivered
                delivered = False
                self._disconnect()
                self._give_up(chunk, error)
            if not delivered and self._is_over():
                if mark is not None:
                    mark.set()
                return  # what is left is counted as lost
            with self._lock:
                del self._chunks[0]
                self._bytes -= chunk.size
                self._dropped += 0 if delivered else len(chunk.entries)
        if mark is not None or not self._waiting:
            self._tell_losses()
        if mark is not None:
            mark.set()

    def _deliver(self, chunk: _Chunk) -> bool:
        """Deliver a chunk, trying again for as long as it takes; ``False`` if it is given up."""
        name = chunk_id() if self._how.ack else ""
        data = self._message(chunk.tag, chunk.entries, name)
        failures, wait = 0, self._how.retry_wait
        while not self._is_over():
            used = self._connection is not None
            connected = used
            try:
                connection = self._connected()
                connected = True
                connection.send(data, chunk=name)
                if not connection.keepalive:
                    self._disconnect()
                self._arrived()
                return True
            except (OSError, ValueError) as error:  # certificates and names are the latter
                self._disconnect()
                if used:
                    continue  # a connection that was idle may have ended at any time
                failures += connected
                if failures > self._how.max_retry:
                    self._give_up(chunk, error)
                    return False
                self._failed(error)
            self._pause(wait)
            wait = min(wait * _GROWTH, self._how.max_retry_wait)
        return False

    def _message(self, tag: str, entries: list[bytes], name: str) -> bytes:
        how = self._how
        if how.mode == "message":
            return b"".join(message(how.mode, tag, [each], chunk=name) for each in entries)
        return message(how.mode, tag, entries, chunk=name, compress=how.compress)

    def _tell_losses(self) -> None:
        lost = self._dropped - self._told
        if not lost or self._connection is None:
            return
        tag, entry = self._losses(lost)
        name = chunk_id() if self._how.ack else ""
        try:
            self._connection.send(self._message(tag, [entry], name), chunk=name)
        except OSError:
            self._disconnect()  # it is told next time
        else:
            self._told += lost

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self._to)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            time.sleep(max(0.0, min(seconds, _AT_THE_END, self._deadline - time.monotonic())))
        else:
            self._closing.wait(seconds)

    def _give_up(self, chunk: _Chunk, error: Exception) -> None:
        self._tell(
            Level.ERROR,
            "records that Fluentd does not take are dropped",
            records=len(chunk.entries),
            error=describe(error),
        )

    def _failed(self, error: Exception) -> None:
        if self._is_over():
            return  # how many were lost is told already, and nothing waits
        first, self._failure = not self._failure, describe(error)
        if first:
            self._tell(Level.WARN, "Fluentd cannot be reached, records wait", error=self._failure)

    def _arrived(self) -> None:
        if self._failure:
            self._failure = ""
            self._tell(Level.INFO, "Fluentd takes records again")

    def _tell(self, level: Level, message: str, **fields: object) -> None:
        self._log.log(level, message, {"address": self._to.address, **fields})
