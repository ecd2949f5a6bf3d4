"""Requests of other protocols than REST over HTTP/1.1."""

from __future__ import annotations

from asyncio import shield

from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_http._exchange import RawReply
from kratos_http._format import chunk, last_chunk
from kratos_http._pool import ConnectionPool
from kratos_http._request_head import RequestHeads
from kratos_http._streaming import StreamConnection
from kratos_http.carrier import Request, Transmission

__all__ = ["PoolCarrier"]


class PoolCarrier:
    """A ``Carrier`` over HTTP/1.1: a pool of connections, and one more for each transmission.

    Args:
        pool: The connections.
        heads: Writes the heads of requests.
        through: Writes those of transmissions, which lead through a proxy, if there is one.
    """

    def __init__(self, pool: ConnectionPool, heads: RequestHeads, through: RequestHeads) -> None:
        self._pool = pool
        self._heads = heads
        self._through = through

    @property
    def ready(self) -> bool:
        """See ``Carrier``."""
        return self._pool.healthy

    async def warm(self) -> None:
        """See ``Carrier``."""
        await self._pool.warm()

    async def ask(self, request: Request, body: bytes, *, repeatable: bool) -> RawReply:
        """See ``Carrier``."""
        verb, target, headers = request.verb, request.target, request.headers
        data = self._heads.plain(verb, target, headers, length=len(body)) + body
        return await self._pool.exchange(
            lambda: data, repeatable=repeatable, head_only=verb == "HEAD"
        )

    async def open(self, request: Request) -> Transmission:
        """See ``Carrier``."""
        head = self._through.plain(request.verb, request.target, request.headers, length=None)
        connection = await self._pool.dedicate(through=True)
        try:
            return _Chunked(self._pool, connection, head)
        except BaseException:
            self._pool.dismiss(connection)
            raise

    async def aclose(self, *, drain: float = 0.0) -> None:
        """See ``Carrier``."""
        await self._pool.aclose(drain=drain)


class _Chunked:
    """A ``Transmission`` in chunks."""

    __slots__ = ("_answer", "_connection", "_pool")

    def __init__(self, pool: ConnectionPool, connection: StreamConnection, head: bytes) -> None:
        self._pool = pool
        self._connection = connection
        self._answer = connection.begin(head)

    @property
    def trailers(self) -> WireHeaders:
        return self._connection.trailers

    async def send(self, data: bytes, /) -> bool:
        self._connection.send(chunk(data))
        try:
            await self._connection.room()
        except Error:
            return False
        return True

    async def end(self) -> None:
        self._connection.send(last_chunk())

    async def answer(self) -> tuple[int, WireHeaders]:
        reply = await shield(self._answer)
        return reply.status, reply.headers

    async def read(self) -> bytes:
        return await self._connection.read()

    def close(self) -> None:
        self._pool.dismiss(self._connection)
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()  # looked at: whoever wanted to know has been told
