"""Spans and records on their way to an exporter, in batches and by a thread of its own.

That of OpenTelemetry's SDK logs a line for each span that finds its queue full, in the call that
ends it, knows no time limit for its flush, and does not tell what it dropped.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

__all__ = ["Batches"]

T = TypeVar("T")


class Batches(Generic[T]):
    """Hands what is put in to a function, in a thread that begins with the first.

    After a fork the child goes on with a thread of its own; what waited then is sent by the parent.

    Args:
        send: Takes a batch; may block, and does not raise.
        drop: Called with how many there was no room for, when a batch has been sent.
        limit: How many may wait; further ones are dropped.
        size: The most of one batch.
        delay: Seconds for which one waits for others.
        name: Of the thread.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], object],
        drop: Callable[[int], object],
        *,
        limit: int,
        size: int,
        delay: float,
        name: str,
    ) -> None:
        self._send: Final = send
        self._drop: Final = drop
        self._limit: Final = limit
        self._size: Final = size
        self._delay: Final = delay
        self._name: Final = name
        self._closed = False
        self._dropped = 0
        self._restart()
        _all.add(self)

    def put(self, item: T, /) -> None:
        """Take one; from any thread, never blocks and never raises."""
        waiting = self._waiting
        if len(waiting) >= self._limit or self._closed:
            self._dropped += 1
            return
        waiting.append(item)
        if self._thread is None:
            self._start()
        if len(waiting) >= self._size and not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Wait until all so far are sent; tell whether they are within ``timeout`` seconds."""
        if self._thread is None:
            self._start()
        if self._thread is None:
            return not self._waiting
        reached = threading.Event()
        self._flushing.append(reached)
        self._wake.set()
        return reached.wait(timeout)

    def close(self) -> None:
        """Take no more, and wait until all are sent, or ``give_up`` is called. Idempotent."""
        if self._thread is None:
            self._start()
        self._closed = True
        self._wake.set()
        if self._thread is None:
            self.give_up()
        else:
            self._thread.join()
        self._tell_dropped()

    def give_up(self) -> None:
        """Drop what waits, and take no more."""
        self._closed = True
        self._dropped += len(self._waiting)
        self._waiting.clear()
        self._tell_dropped()

    @property
    def under_way(self) -> int:
        """How many are being sent at this moment."""
        return self._under_way

    def restart(self) -> None:
        """Begin anew in a process that was forked."""
        self._restart()

    def _restart(self) -> None:
        self._waiting: deque[T] = deque()
        self._flushing: deque[threading.Event] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._under_way = 0

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and self._waiting:
                # A daemon: who never answers must not keep the process.
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the process may have no more of them now: the next one tries
                    return
                self._thread = thread

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self._delay)
            self._wake.clear()
            flushing = [self._flushing.popleft() for _ in range(len(self._flushing))]
            self._send_waiting()
            for reached in flushing:
                reached.set()
        self._send_waiting()
        for reached in self._flushing:
            reached.set()

    def _send_waiting(self) -> None:
        # What comes meanwhile goes with the next batch, unless that is full.
        left = len(self._waiting)
        while left > 0 or len(self._waiting) >= self._size:
            batch = self._taken()
            if not batch:
                break
            left -= len(batch)
            self._under_way = len(batch)
            self._send(batch)
            self._under_way = 0
        self._tell_dropped()

    def _taken(self) -> Sequence[T]:
        batch: list[T] = []
        while len(batch) < self._size:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:  # all of it, or somebody has given up
                break
        return batch

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._drop(dropped)


_all: Final[weakref.WeakSet[Batches[Any]]] = weakref.WeakSet()


def _restart_all() -> None:
    for batches in tuple(_all):
        batches.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
