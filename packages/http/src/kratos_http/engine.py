"""The built-in engine: serves any ``HttpApplication`` on connections of a loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final

from kratos.errors import ConfigError
from kratos.metrics import Counter as Counted
from kratos.metrics import Meter
from kratos.transport.http import HttpApplication
from kratos_http._connection import ServerConnection
from kratos_http._format import date_line
from kratos_http._http2_connection import Http2Connection
from kratos_http._http2_replies import ReplyBlocks
from kratos_http._link import Link
from kratos_http._turn import Turn
from kratos_http._version_choice import ALPN, VersionChoice
from kratos_http.conduct import Conductor
from kratos_http.limits import Limits

__all__ = ["VERSIONS", "Engine"]

_log = logging.getLogger("kratos.http")

VERSIONS: Final = ("2", "1.1")
TICK: Final = 1.0  # seconds between two looks at all connections
_IDLE: Final = 1.0  # seconds after which a connection may be closed for those who wait
_PART_CLOSED: Final = 16  # of all, at once


class Engine:
    """The connections of one server, and what they share.

    An ``Acceptor`` gives it connections; call ``start`` before and ``aclose`` after.

    Args:
        application: What is served.
        limits: What peers may do.
        versions: Of HTTP that are spoken, the preferred one first: ``2``, ``1.1`` or both.
        conductor: Makes further rules for each HTTP/2 connection; ``None`` for no more.

    Attributes:
        connections: All that are open, or whose request is still being answered.
        requests: How many of HTTP/2 are under way.
        leaving: Whether every answer is the last one of its connection, so that peers go
            elsewhere before they are sent away.
        draining: Whether idle connections are closed.
        relief: Called when a connection has ended.
        now: The loop's time at the latest tick; exact enough for limits of seconds.
        date: The Date header of the latest tick.
        conductor: Makes further rules for each HTTP/2 connection.
        replies: Header blocks of answers over HTTP/2.
        offences: How often peers of HTTP/2 exceeded which limit, by its name in ``Limits``, here or
            of ``kratos_http2``; ``protocol`` is what no peer may do at all, ``conduct`` what
            further rules forbid.
        context: What tasks and callbacks begin with.
    """

    def __init__(
        self,
        application: HttpApplication,
        *,
        limits: Limits | None = None,
        versions: Sequence[str] = VERSIONS,
        conductor: Conductor | None = None,
    ) -> None:
        self.application = application
        self.conductor = conductor
        self.limits = limits or Limits()
        self.connections: set[Link] = set()
        self.requests = 0
        self.replies = ReplyBlocks()
        self.offences: Counter[str] = Counter()
        self.context: Context = copy_context()
        self.leaving = False
        self.draining = False
        self.relief: Callable[[], None] | None = None
        self.now = 0.0
        self.date = b""
        self._series: _Series | None = None
        self._sent_away = False
        self._spawning = False  # a task is being made, and has not been given to anybody
        self._crowded = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: Turn | None = None
        self._versions = _checked(versions)
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Begin to keep time; called in the loop that will serve."""
        self._loop = asyncio.get_running_loop()
        self.context = copy_context()
        self._turn = Turn(self._loop, self.context)
        self._tick()

    @property
    def turn(self) -> Turn:
        """What HTTP/2 connections do together."""
        assert self._turn is not None, "started before"
        return self._turn

    @property
    def alpn(self) -> Sequence[str]:
        """What TLS handshakes offer, the preferred one first."""
        return [ALPN[version] for version in self._versions]

    def protocol(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if "2" not in self._versions:
            return ServerConnection(self)
        return VersionChoice(self) if "1.1" in self._versions else Http2Connection(self)

    def spawn(self, work: Coroutine[Any, Any, None], /) -> asyncio.Task[None]:
        """Run the answering of one request in a task, in a context of its own."""
        loop = self._loop
        assert loop is not None, "started before"
        # Not the caller's context: that may be of the request answered before on a connection.
        context = self.context.copy()
        if loop.get_task_factory() is None:
            return loop.create_task(work, context=context)
        self._spawning = True
        try:
            return loop.create_task(self._later(work), context=context)
        finally:
            self._spawning = False

    def detached(self, call: Callable[[], None], /) -> None:
        """Call something that a transport may remember the present context for."""
        self.context.copy().run(call)

    def sweep(self, now: float) -> None:
        """Close connections whose peers take too long.

        Args:
            now: The loop's time.
        """
        self.now = now
        self.date = date_line(time.time())
        self.replies.tell_time(time.time())
        for connection in tuple(self.connections):
            connection.check(now)
        if self._crowded:
            self._make_room(now)

    def send_away(self, *, away: bool) -> None:
        """Have peers go elsewhere after their next answers, or not any more."""
        self._sent_away = away
        self._decide()

    def crowd(self, *, crowded: bool) -> None:
        """Note that peers wait for others to go, or that none does any more."""
        if crowded is not self._crowded:
            self._crowded = crowded
            self._decide()
            if crowded:
                self._make_room(self.now)

    def has_room(self, of_connection: int, /) -> bool:
        """Tell whether an HTTP/2 connection may have one more request under way.

        Args:
            of_connection: How many it has.
        """
        most = self.limits.max_requests
        if self.requests < most:
            return True
        return of_connection < max(1, most // max(1, len(self.connections)))

    def count_offences(self, meter: Meter, *, kind: str) -> None:
        """Show offences as ``server_connection_offences_total``, by kind and limit.

        Args:
            meter: Makes the counter.
            kind: Of the server.
        """
        counter = meter.counter(
            "server_connection_offences_total",
            description="Times that a peer of HTTP/2 exceeded a limit.",
            labels=("kind", "limit"),
        )
        # Grows with the names of limits, which are few, and not with the peers.
        self._series = _Series(partial(counter.labels, kind))

    def note_offence(self, connection: Link, limit: str, why: str, /) -> None:
        """Note that a peer exceeded a limit; a log gets the first time of each connection."""
        self.offences[limit] += 1
        if self._series is not None:
            self._series[limit].inc()
        if not connection.offended:
            connection.offended = True
            _log.info("HTTP/2 with %s: %s", connection, why)

    def forget(self, connection: Link, /) -> None:
        """Note that a connection has ended (for connections)."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()
        if self.relief is not None:
            self.relief()

    async def drain(self) -> None:
        """Close idle connections, the others after their present requests, and wait for all.

        One that was opened a moment ago is not idle: its first request may be on its way.

        Cancellation: stops waiting; connections stay as they are.
        """
        self.draining = True
        self._decide()
        for connection in tuple(self.connections):
            connection.drain()
        while self.connections:
            self._empty.clear()
            await self._empty.wait()

    async def aclose(self, *, grace: float = 0.0) -> None:
        """Cut off every connection and stop keeping time.

        Args:
            grace: Seconds for handlers to clean up; who takes longer is left behind.

        Cancellation: leaves handlers behind at once.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in tuple(self.connections):
            connection.cut()
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            _log.error("%d requests ignored their cancellation", len(self.connections))
            self.connections.clear()

    async def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a connection have its task first, though the loop's factory begins tasks at once."""
        try:
            if self._spawning:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            work.close()
            raise
        await work

    def _decide(self) -> None:
        self.leaving = self._sent_away or self._crowded or self.draining

    def _make_room(self, now: float) -> None:
        """Close some of the connections that were idle for longest."""
        idle = [
            (since, connection)
            for connection in self.connections
            if (since := connection.idle_since) is not None and now - since >= _IDLE
        ]
        idle.sort(key=lambda each: each[0])
        for _, connection in idle[: max(1, len(self.connections) // _PART_CLOSED)]:
            connection.close_idle()

    def _tick(self) -> None:
        assert self._loop is not None, "started before"
        self.sweep(self._loop.time())
        self._timer = self._loop.call_later(TICK, self._tick)


class _Series(dict[str, Counted]):
    """Counters by the name of a limit, made when they are first needed."""

    def __init__(self, labels: Callable[[str], Counted]) -> None:
        super().__init__()
        self._labels = labels

    def __missing__(self, limit: str) -> Counted:
        made = self[limit] = self._labels(limit)
        return made


def _checked(versions: Sequence[str]) -> tuple[str, ...]:
    found = tuple(versions)
    if not found or isinstance(versions, str) or not set(found) <= set(VERSIONS):
        raise ConfigError(f"versions are some of {', '.join(VERSIONS)}, not {versions!r}")
    return found
