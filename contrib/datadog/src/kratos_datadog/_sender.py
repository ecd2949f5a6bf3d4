"""The thread that sends what instruments have added up."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kratos.log import Level, Logger
from kratos.process import worker_slot
from kratos_datadog._agent import Agent, Socket
from kratos_datadog.instruments import Series
from kratos_datadog.lines import packets

__all__ = ["Delivery", "Sender"]

_FULL: Final = 5_000  # values of histograms that are sent ahead of time
_TELL_AGAIN: Final = 300.0  # seconds
_LOOP_MAY_TAKE: Final = 1.0  # seconds, for what has to be done there before gauges are sent
_LARGEST: Final = 8192  # bytes of a line that agents read


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How metrics are sent; see ``DogStatsdMeter``.

    Attributes:
        agent: Where to.
        interval: Seconds from one time to the next.
        limit: Values of histograms that may wait.
        max_packet: Bytes of a packet.
        patience: Seconds for the last time, when the process ends.
        tags: What every line has.
    """

    agent: Agent
    interval: float
    limit: int
    max_packet: int
    patience: float
    tags: tuple[str, ...]


class Sender:
    """What the instruments of a meter share: a lock, what is to be sent, and who sends it.

    Args:
        how: How.
        log: Where it is told that the agent cannot be reached.

    Attributes:
        lock: Held while a series changes. Re-entrant: a handler of a signal may count while its
            thread does.
        dropped: Values that were not sent.
    """

    def __init__(self, how: Delivery, log: Logger) -> None:
        self._how: Final = how
        self._log: Final = log
        self._publishers: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lasting: dict[Series, None] = {}
        self.dropped = 0
        self._told_at = -_TELL_AGAIN
        self._begin()
        _senders.add(self)

    def _begin(self) -> None:
        self.lock = threading.RLock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._changed: list[Series] = []
        self._taken: list[Series] = []  # of these, what is being sent
        self._values = 0
        self._socket = Socket(self._how.agent, self._how.interval / 2)
        self._thread: threading.Thread | None = None
        self._closed = False

    def touch(self, series: Series, /) -> None:
        """Note that a series has something to send; called with the lock held."""
        if series.lasting:
            self._lasting[series] = None
        else:
            self._changed.append(series)
        if self._thread is None and not self._closed:
            self._start()

    def admit(self) -> bool:
        """Tell whether one more value of a histogram may wait; called with the lock held."""
        if self._values >= self._how.limit:
            self.dropped += 1
            return False
        self._values += 1
        if self._values == _FULL:
            self._wake.set()
        return True

    def release(self, number: int, /) -> None:
        """Note that so many values do not wait any more; called with the lock held."""
        self._values -= number

    def on_collect(self, publish: Callable[[], None]) -> None:
        """Call ``publish`` in the event loop before gauges are sent."""
        self.meet_loop()
        self._publishers.append(publish)
        with self.lock:
            if self._thread is None and not self._closed:
                self._start()

    def meet_loop(self) -> None:
        """Remember the event loop that this is called in, if there is one."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return

    def flush(self) -> bool:
        """Send what there is to be sent; tell whether the agent could be reached."""
        self._publish()
        with self._sending:
            try:
                self._socket.connect()  # else what was added up stays, and goes on
            except (OSError, UnicodeError) as error:
                self._tell(error)
                return False
            return self._send()

    def close(self) -> None:
        """Send what there is for the last time, for at most ``patience`` seconds. Idempotent."""
        with self.lock:
            if self._closed:
                return
            if self._thread is None and self._changed:
                self._start()
            self._closed = True
            thread = self._thread
        atexit.unregister(self.close)
        if thread is not None:
            self._wake.set()
            thread.join(self._how.patience)

    def restart(self) -> None:
        """Begin anew in a process that was forked; what waits is the parent's to send."""
        self._socket.close()
        # Also of those that were being sent at that moment: they would seem to wait for ever.
        for series in (*self._changed, *self._taken, *self._lasting):
            series.forget()
        self._lasting.clear()
        self._begin()

    def _start(self) -> None:
        # A daemon: an agent that takes nothing must not keep the process.
        thread = threading.Thread(target=self._run, name="kratos-datadog", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process may have no more of them now: the next value tries
            return
        self._thread = thread
        atexit.register(self.close)

    def _run(self) -> None:
        last = False
        while not last:
            self._wake.wait(self._how.interval)
            self._wake.clear()
            last = self._closed  # before: it may be closed while this sends what was there earlier
            try:
                self.flush()
            except Exception as error:  # of whatever kind, the next time may go well
                self._log.log(Level.ERROR, "metrics could not be sent", {"error": error})
        self._socket.close()

    def _publish(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed() or self._closed or not self._publishers:
            return
        if loop is _running():
            self._call_publishers()
            return
        if not loop.is_running():
            return  # it would be asked again each time, and do all of that when it goes on
        done = threading.Event()

        def call() -> None:
            self._call_publishers()
            done.set()

        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            return  # it was closed just now
        done.wait(_LOOP_MAY_TAKE)

    def _call_publishers(self) -> None:
        for publish in self._publishers:
            try:
                publish()
            except Exception as error:
                self._log.log(Level.ERROR, "a gauge could not be set", {"error": error})

    def _send(self) -> bool:
        reached = True
        for packet in packets(self._lines(), self._how.max_packet):
            if len(packet) == 1 and len(packet[0]) > _LARGEST:
                self.dropped += 1
                continue
            try:
                self._socket.send(b"\n".join(packet))
            except OSError as error:
                reached = False
                self.dropped += len(packet)
                self._tell(error)
        return reached

    def _lines(self) -> Iterator[bytes]:
        how = self._how
        slot = worker_slot()
        # Gauges of several workers would replace each other.
        of_gauges = how.tags if slot is None else (*how.tags, f"worker:{slot}")
        with self.lock:
            changed, self._changed = self._changed, []
            self._taken = changed
            lasting = tuple(self._lasting)
        for series, tags in (*_each(changed, how.tags), *_each(lasting, of_gauges)):
            with self.lock:  # of each, so that calls need not wait for all
                values = series.take()
            try:
                told = list(series.lines(values, tags, how.max_packet))
            except (TypeError, ValueError) as error:  # what was told was no number
                self.dropped += len(values)
                self._log.log(Level.ERROR, "a metric cannot be sent", {"error": error})
            else:
                yield from told

    def _tell(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN:
            self._told_at = now
            fields = {
                "address": self._how.agent.address,
                "error": f"{type(error).__name__}: {error}",
            }
            self._log.log(Level.WARN, "Datadog's agent cannot be reached", fields)


def _each(
    series: Sequence[Series], tags: tuple[str, ...]
) -> Iterator[tuple[Series, tuple[str, ...]]]:
    return ((each, tags) for each in series)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_senders: Final[weakref.WeakSet[Sender]] = weakref.WeakSet()


def _restart_all() -> None:
    for sender in tuple(_senders):
        sender.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
