"""Calls of protocols on the HTTP seam for tests, without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport import Cause, Mount, Service
from kratos.transport.http import Buffered, Endpoint, Head, Memo, Reply, Streamed, WireHeaders
from kratos_grpc._envelopes import envelope, whole
from kratos_http import HttpServer
from kratos_http.protocols import HttpProtocol

__all__ = [
    "GRPC_HEADERS",
    "FakeWire",
    "answer",
    "call",
    "end_of",
    "head",
    "messages_of",
    "server",
    "status_of",
    "turns_during",
]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

GRPC_HEADERS: Final = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
_MOST: Final = 1 << 24


class FakeWire:
    """A ``Wire`` whose body is given, and whose answer is kept.

    Args:
        pieces: Of the body; ``None`` at the end for one that does not end.
    """

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self._pieces = list(pieces)
        self.status = 0
        self.headers: WireHeaders = ()
        self.body = b""
        self.trailers: WireHeaders | None = None
        self.reading = asyncio.Event()
        self.writing = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.gone = False

    async def read(self) -> bytes:
        """Return the next piece; waits for ever at a ``None``."""
        if not self._pieces:
            return b""
        piece = self._pieces[0]
        if piece is None:
            self.reading.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        del self._pieces[0]
        return piece

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """Keep status and headers."""
        assert not self.status, "begun before"
        self.status, self.headers = status, headers

    async def write(self, data: bytes, /) -> None:
        """Keep a piece, once ``room`` is set."""
        assert self.status, "not begun"
        if self.gone:
            raise Cause.PEER_GONE.error()
        self.writing.set()
        await self.room.wait()
        self.body += data

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """Keep the trailers."""
        assert self.trailers is None, "finished before"
        if self.gone:
            raise Cause.PEER_GONE.error()
        self.trailers = trailers

    def reset(self, cause: Cause, /) -> None:
        """Fail: nothing here breaks an answer off."""
        raise AssertionError(cause)

    @property
    def reply(self) -> Reply:
        """The answer as a whole one."""
        assert self.trailers is not None, "not finished"
        return Reply(self.status, self.headers, self.body, self.trailers)


def server(*protocols: HttpProtocol, services: Sequence[Service], **options: Any) -> HttpServer:
    """Return a server that was mounted, for its application."""
    made = HttpServer(protocols=protocols, **options)
    made.mount(Mount(services=services))
    return made


def head(
    operation: str,
    headers: Headers = GRPC_HEADERS,
    *,
    method: str = "POST",
    version: str = "2",
    memo: Memo | None = None,
) -> Head:
    """Return the head of a call."""
    made = Head(method, operation.encode(), b"", list(headers), version=version, peer="peer:1")
    made.memo = memo
    return made


async def answer(endpoint: Endpoint, asked: Head, *pieces: bytes) -> Reply:
    """Return what an endpoint of either kind answers to a body."""
    if hasattr(endpoint, "answer"):
        buffered, body = cast("Buffered", endpoint), b"".join(pieces)
        if len(body) > buffered.max_body:
            overflow: Callable[[Head, Error], Reply] = getattr(endpoint, "overflow")  # noqa: B009
            return overflow(asked, Error(413, "BODY_TOO_LARGE", "as an engine would say"))
        return await buffered.answer(asked, body)
    wire = FakeWire(pieces)
    await cast("Streamed", endpoint).converse(asked, wire)
    return wire.reply


async def call(
    served: HttpServer,
    operation: str,
    *messages: Message,
    headers: Headers = GRPC_HEADERS,
    version: str = "2",
) -> Reply:
    """Call an operation with messages and return its whole answer."""
    asked = head(operation, headers, version=version)
    endpoint = served.application.route(asked)
    bodies = [envelope(message.SerializeToString()) for message in messages]
    return await answer(endpoint, asked, *bodies)


def end_of(reply: Reply) -> dict[bytes, bytes]:
    """Return how a call over gRPC ended: its trailers, be they the headers of the answer."""
    return dict(reply.trailers or reply.headers)


def status_of(reply: Reply) -> tuple[int, str]:
    """Return status code and message of a call over gRPC."""
    end = end_of(reply)
    return int(end[b"grpc-status"]), unquote(end.get(b"grpc-message", b"").decode())


def messages_of(reply: Reply) -> list[bytes]:
    """Return the messages of an answer, none of which is compressed."""
    found = whole(reply.body, _MOST)
    assert all(flags == 0 for flags, _ in found)
    return [data for _, data in found]


async def turns_during(work: Awaitable[object]) -> int:
    """Return how many turns of the event loop another task has while something is awaited."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        await work
    finally:
        await cancel_and_wait(counting)
    return turns
