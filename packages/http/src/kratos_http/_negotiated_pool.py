"""The connections to one server that may speak HTTP/2: one then, and else many of HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from kratos_http._exchange import Lost, RawReply
from kratos_http._http2_channel import Http2Channel
from kratos_http._http2_client import Http2ClientConnection
from kratos_http._http2_errors import Reset, SpeaksHttp1
from kratos_http._http2_requests import (
    Http2Request,
    StreamedRequest,
    block_of,
    head_of,
    trailers_of,
)
from kratos_http._http2_streams import Whole
from kratos_http._pool import ConnectionPool
from kratos_http._streaming import StreamConnection

__all__ = ["NegotiatedPool", "Pool"]


class Pool(Protocol):
    """The connections to one server; see ``ConnectionPool``."""

    @property
    def healthy(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        ...

    async def warm(self) -> None:
        """Have a connection that is kept for the next call."""
        ...

    async def exchange(
        self, write: Callable[[], bytes], *, repeatable: bool, head_only: bool
    ) -> RawReply:
        """Send a request and return its answer."""
        ...

    async def dedicate(self, *, through: bool = False, socket: bool = False) -> StreamedRequest:
        """Return what carries one request whose answer is read as it comes."""
        ...

    def dismiss(self, connection: StreamedRequest) -> None:
        """Let go of what was dedicated. Idempotent."""
        ...

    async def aclose(self, *, drain: float) -> None:
        """Refuse new requests, wait for those under way, then cut the rest off. Idempotent."""
        ...


class NegotiatedPool:
    """Speaks HTTP/2 if the server does, and HTTP/1.1 else; which is asked whenever it connects.

    WebSockets are always on HTTP/1.1.

    Args:
        http1: Connections of HTTP/1.1.
        channel: Makes the one of HTTP/2; gets what takes others over, unless ``told``.
        max_reply: Bytes of the largest answer.
        secure: Whether the server speaks TLS.
        told: Whether HTTP/2 is spoken though nothing says that the server does.
    """

    def __init__(
        self,
        http1: ConnectionPool,
        channel: Callable[[Callable[[], asyncio.Protocol] | None], Http2Channel],
        *,
        max_reply: int,
        secure: bool,
        told: bool,
    ) -> None:
        self._http1 = http1
        self._channel = channel(None if told else self._take_over)
        self._max_reply = max_reply
        self._secure = secure
        self._chose_http1 = False

    @property
    def healthy(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        return self._channel.healthy and self._http1.healthy

    @property
    def open(self) -> int:
        """How many connections there are."""
        return self._http1.open + self._channel.ready

    async def warm(self) -> None:
        """Have a connection that is kept for the next call.

        Raises:
            OSError: The server cannot be reached.
        """
        if not self._speaks_http1:
            try:
                await self._channel.connect()
            except SpeaksHttp1:
                pass  # its connection is kept there
            else:
                return
        await self._http1.warm()

    async def exchange(
        self, write: Callable[[], bytes], *, repeatable: bool, head_only: bool
    ) -> RawReply:
        """Send a request and return its answer; see ``ConnectionPool``.

        It is sent once more if the server never looked at it, and also if the connection ended
        before an answer came, provided that doing so cannot do anything twice.

        Raises:
            OSError: The server cannot be reached, or the connection was lost.
            TooLarge: The answer exceeds the limit.
        """
        if not self._speaks_http1:
            try:
                return await self._exchange(write, repeatable=repeatable, head_only=head_only)
            except SpeaksHttp1:
                pass
        return await self._http1.exchange(write, repeatable=repeatable, head_only=head_only)

    async def dedicate(self, *, through: bool = False, socket: bool = False) -> StreamedRequest:
        """Return what carries one request whose answer is read as it comes.

        Args:
            through: Whether a connection of its own leads through a proxy, also in plain text.
            socket: Whether it is to become a WebSocket.

        Raises:
            OSError: The server cannot be reached.
        """
        if not (socket or self._speaks_http1):
            try:
                return Http2Request(await self._connection(), secure=self._secure)
            except SpeaksHttp1:
                pass
        return await self._http1.dedicate(through=through)

    def dismiss(self, connection: StreamedRequest) -> None:
        """Let go of what was dedicated. Idempotent."""
        if isinstance(connection, StreamConnection):
            self._http1.dismiss(connection)
        else:
            connection.close()

    async def aclose(self, *, drain: float) -> None:
        """Refuse new requests, wait for those under way, then cut the rest off. Idempotent.

        Cancellation: cuts off at once.
        """
        if not self._channel.busy:
            await self._channel.aclose()
            await self._http1.aclose(drain=drain)
            return
        async with asyncio.TaskGroup() as closing:
            closing.create_task(self._channel.aclose(drain=drain))
            closing.create_task(self._http1.aclose(drain=drain))

    @property
    def _speaks_http1(self) -> bool:
        """Whether the server chose HTTP/1.1 when it was asked, and its connections still stand."""
        return self._chose_http1 and self._http1.open > 0

    def _take_over(self) -> asyncio.Protocol:
        """Return what goes on with a connection whose server chose HTTP/1.1."""
        self._chose_http1 = True
        return self._http1.successor()

    async def _connection(self) -> Http2ClientConnection:
        return self._channel.current() or await self._channel.open()

    async def _exchange(
        self, write: Callable[[], bytes], *, repeatable: bool, head_only: bool
    ) -> RawReply:
        try:
            return await self._exchange_once(write, head_only=head_only)
        except (Reset, SpeaksHttp1):
            raise
        except Lost as error:
            if error.begun or (error.sent and not repeatable):
                raise
        return await self._exchange_once(write, head_only=head_only)

    async def _exchange_once(self, write: Callable[[], bytes], *, head_only: bool) -> RawReply:
        whole = Whole(await self._connection(), self._max_reply)
        head, _, body = write().partition(b"\r\n\r\n")
        block = block_of(head, secure=self._secure)
        data = await whole.exchange(block, body, no_body=head_only)
        assert whole.head is not None, "it is whole"
        reply = head_of(whole.head)
        reply.body = data
        reply.trailers = trailers_of(whole.trailers)
        return reply
