"""What the HTTP/2 connections of one loop do together, once in a turn of it."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from contextvars import Context
from typing import Protocol

from kratos_http._eager import Starter

__all__ = ["Turn"]


class Turning(Protocol):
    """A connection, as far as a turn goes."""

    def begin_ready(self) -> None:
        """Start the requests that have come."""
        ...

    def flush(self) -> None:
        """Write what there is to write."""
        ...


class Turn:
    """Starts what has come on several connections, then writes all answers that are there.

    A connection that is the only one to get something acts by itself, at once: a turn of the loop
    is dear beside a call. Where several get something, their requests are started together when
    all of it has been read, since work of one kind at a time is quicker.

    Args:
        loop: The running loop.
        context: What tasks begin with.

    Attributes:
        latest: The connection that got something last.
        starter: Starts what answers requests.
    """

    __slots__ = ("_asked", "_context", "_due", "_loop", "_ready", "latest", "starter")

    def __init__(self, loop: AbstractEventLoop, context: Context) -> None:
        self.latest: Turning | None = None
        self.starter = Starter(loop, context)
        self._loop = loop
        self._context = context
        self._ready: list[Turning] = []
        self._due: list[Turning] = []
        self._asked = False

    def begin(self, *connections: Turning) -> None:
        """Have connections start their requests."""
        starter = self.starter
        starter.hold()
        try:
            for connection in connections:
                connection.begin_ready()
        finally:
            starter.release()

    def begin_soon(self, connection: Turning) -> None:
        """Have a connection start its requests, in this turn of the loop or the next."""
        self._ready.append(connection)
        self._ask()

    def flush_soon(self, connection: Turning) -> None:
        """Have a connection write, after all that begins before."""
        self._due.append(connection)
        self._ask()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._loop.call_soon(self._take, context=self._context)

    def _take(self) -> None:
        """Start, then write."""
        ready, self._ready = self._ready, []
        try:
            self.begin(*ready)
        finally:
            self._asked = False
        due, self._due = self._due, []
        for connection in due:
            connection.flush()
        if self._ready:  # something came of what was done
            self._ask()
