"""The HTTP/2 connection to one server: opened when it is needed, and again when it has gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kratos.limit import cancel_and_wait, is_cancelled_from_outside
from kratos_http._dial import Dialer
from kratos_http._http2_client import ConnectionOptions, Http2ClientConnection
from kratos_http._http2_errors import Refused, SpeaksHttp1

__all__ = ["CLOSED", "Http2Channel"]

CLOSED: Final = "the connection to the server is being closed"

_FIRST_BACKOFF: Final = 0.5  # seconds
_FACTOR: Final = 1.6
_JITTER: Final = 0.2  # of the wait, either way
_MOVES: Final = 3  # connections that leave, of one request, before it gives up
_LEAVES: Final = "the server leaves as soon as it has come"


class Http2Channel:
    """The connection to one server, which all requests share.

    After an attempt to connect that failed, requests fail at once until the next attempt is
    due: the wait grows from half a second, by half again each time. So it does after three
    connections in a row that the server ended at once, without having answered anything.

    Args:
        dialer: Opens connections.
        options: How they are made and kept.
        uniform: A number from 0 to 1 at random.
        other: What takes over a connection whose server does not choose HTTP/2, which is
            ``SpeaksHttp1`` then; ``None`` if it has to.
    """

    def __init__(
        self,
        dialer: Dialer,
        options: ConnectionOptions,
        *,
        uniform: Callable[[], float] = random.random,
        other: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        self._dialer = dialer
        self._options = options
        self._uniform = uniform
        self._other = other
        self._current: Http2ClientConnection | None = None
        self._leaving: set[Http2ClientConnection] = set()  # with requests that are to end
        self._dialing: asyncio.Task[Http2ClientConnection] | None = None
        self._failures = 0
        self._brief = 0  # connections in a row that were of no use
        self._failed = ""  # why the newest attempt did
        self._not_before = 0.0
        self._closed = False

    @property
    def address(self) -> str:
        """Where it leads to."""
        return self._dialer.address

    @property
    def ready(self) -> bool:
        """Whether the connection stands, and takes requests."""
        return self._current is not None and self._current.usable

    @property
    def healthy(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        return not self._failed

    @property
    def busy(self) -> int:
        """How many requests are in flight."""
        return sum(each.busy for each in self._all())

    async def connect(self) -> None:
        """Have the connection stand; tries at once, whatever failed before.

        Raises:
            OSError: It cannot be had.

        Cancellation: the attempt goes on, for the next request.
        """
        if not self.ready:
            await self._connected()

    def current(self) -> Http2ClientConnection | None:
        """Return the connection if a request can begin on it at once."""
        connection = self._current
        return connection if connection is not None and connection.free else None

    async def open(self) -> Http2ClientConnection:
        """Return the connection when a request can begin: begin it before awaiting anything.

        Raises:
            OSError: The server cannot be reached, or was not a moment ago.
            Refused: Each connection left before the request's turn came.

        Cancellation: safe.
        """
        for _ in range(_MOVES):
            connection = self._current
            if connection is None or not connection.usable:
                self._check_backoff()
                connection = await self._connected()
            with suppress(Refused):
                await connection.room()
                return connection
        raise Refused(_LEAVES)

    async def aclose(self, *, drain: float | None = 0.0) -> None:
        """Refuse new requests, let those in flight end, then cut the rest off. Idempotent.

        Args:
            drain: Seconds for requests to end; ``None`` for no limit.

        Cancellation: cuts off at once.
        """
        self._closed = True
        try:
            if self._dialing is not None:
                await cancel_and_wait(self._dialing)
            if drain != 0.0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain):
                        await asyncio.gather(*(each.drained() for each in self._all()))
        finally:
            for connection in self._all():
                connection.close()
            self._current = None
            self._leaving.clear()

    def _all(self) -> list[Http2ClientConnection]:
        current = [] if self._current is None else [self._current]
        return [*current, *(each for each in self._leaving if each is not self._current)]

    def _check_backoff(self) -> None:
        if self._closed:
            raise ConnectionAbortedError(CLOSED)
        if self._failed and asyncio.get_running_loop().time() < self._not_before:
            raise ConnectionError(f"{self._failed}; the next attempt is due soon")

    async def _connected(self) -> Http2ClientConnection:
        """Return a connection that stands; all that ask meanwhile share one attempt."""
        if self._closed:
            raise ConnectionAbortedError(CLOSED)
        dialing = self._dialing
        if dialing is None:
            dialing = self._begin_dialing()
        try:
            return await asyncio.shield(dialing)
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            raise ConnectionAbortedError(CLOSED) from None

    def _dialed(self, dialing: asyncio.Task[Http2ClientConnection]) -> None:
        self._dialing = None
        if not dialing.cancelled():
            dialing.exception()  # whoever waits gets it, if anybody still does

    async def _dial(self) -> Http2ClientConnection:
        made: list[Http2ClientConnection] = []

        def make() -> Http2ClientConnection:
            connection = Http2ClientConnection(
                self._options, self._on_left, worn=self._renew, other=self._other
            )
            made.append(connection)
            return made[-1]

        seconds = self._options.connect_timeout
        try:
            try:
                async with asyncio.timeout(seconds):
                    connection = await self._dialer.open(make, through=True)
                    await connection.settle()
            except TimeoutError as error:
                heard = bool(made) and made[-1].connected
                what = "the server said nothing" if heard else "no connection"
                raise TimeoutError(f"{what} within {seconds:g} s") from error
        except BaseException as error:
            for given_up in made:
                given_up.close()
            if isinstance(error, SpeaksHttp1):
                self._note_success()
            elif isinstance(error, OSError):
                self._note_failure(error)
            raise
        if connection.usable:  # else the server has left already, which may count as a failure
            self._note_success()
        before = self._current
        if before is not None and before.usable:
            if not connection.usable:
                return before
            before.leave()
        self._current = connection
        return connection

    def _renew(self, connection: Http2ClientConnection) -> None:
        """Have another connection take the place of one, which goes on until it stands."""
        if connection is self._current and self._dialing is None and not self._closed:
            self._begin_dialing()

    def _begin_dialing(self) -> asyncio.Task[Http2ClientConnection]:
        dialing = asyncio.create_task(self._dial(), name="kratos http2 dial")
        self._dialing = dialing
        dialing.add_done_callback(self._dialed)
        return dialing

    def _note_success(self) -> None:
        self._failures = 0
        self._failed = ""

    def _note_failure(self, error: OSError) -> None:
        wait = min(_FIRST_BACKOFF * _FACTOR**self._failures, self._options.max_backoff)
        wait *= 1 + _JITTER * (2 * self._uniform() - 1)
        self._failures = min(self._failures + 1, 100)
        self._failed = str(error) or type(error).__name__
        self._not_before = asyncio.get_running_loop().time() + wait

    def _on_left(self, connection: Http2ClientConnection) -> None:
        """Go on without a connection that takes no more requests."""
        self._brief = self._brief + 1 if connection.brief else 0
        if self._brief >= _MOVES:  # else each request would connect anew, without end
            self._failures = self._brief - _MOVES
            self._note_failure(Refused(_LEAVES))
        if connection is self._current:
            self._current = None
        self._leaving = {each for each in self._leaving if each.failure is None}
        if connection.busy and connection.failure is None:
            self._leaving.add(connection)
