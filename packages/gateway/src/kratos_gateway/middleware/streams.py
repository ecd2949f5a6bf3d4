"""Streams watched as they pass: requests and answers, messages of gRPC, and WebSockets.

Middleware that wants to see them adds a ``StreamHook`` by ``hooks_of``; ``streamrecorder``, which
has to be in the chain, calls it.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from kratos.transport.cause import Cause
from kratos.transport.http import WireHeaders
from kratos_gateway.backend.websocket import NodeSocket, Upgraded
from kratos_gateway.exchange import Answer, Body, Request
from kratos_gateway.middleware.messages import Messages
from kratos_gateway.middleware.refusal import hears_grpc
from kratos_gateway.middleware.requests import with_body

__all__ = ["Chunk", "StreamHook", "Tag", "Watch", "hooks_of"]

Tag: TypeAlias = Literal["request", "response"]

_HOOKS: Final = object()
_log = logging.getLogger("kratos.gateway")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a stream: of a body as it came, a message of gRPC, or one of a WebSocket.

    Attributes:
        index: Its number among all of the stream, both ways, from 0.
        tag: Which way it went.
        data: What it is.
    """

    index: int
    tag: Tag
    data: bytes


class StreamHook(Protocol):
    """Told of a stream as it passes; it must not block. What it raises is logged."""

    def on_response(self, answer: Answer, /) -> None:
        """Learn that the head of the answer has come."""
        ...

    def on_chunk(self, chunk: Chunk, /) -> None:
        """Learn what passes."""
        ...

    def on_finish(self, error: BaseException | None, /) -> None:
        """Learn that the stream has ended; with ``None`` if it ended well. Called once."""
        ...


def hooks_of(request: Request, /) -> list[StreamHook]:
    """Return the hooks of a request, all its attempts included, to which more may be added."""
    hooks: list[StreamHook] = request.options.values.setdefault(_HOOKS, [])
    return hooks


class Watch:
    """Tells hooks of one stream.

    Args:
        request: Whose.
        hooks: Those.
        most: Bytes of the largest message of gRPC that is put together.
    """

    __slots__ = ("_ended", "_grpc", "_hooks", "_index", "_most")

    def __init__(self, request: Request, hooks: Sequence[StreamHook], *, most: int) -> None:
        self._hooks: Final = hooks
        self._grpc: Final = hears_grpc(request)
        self._most: Final = most
        self._index = 0
        self._ended = False

    def request(self, request: Request) -> Request:
        """Return a request whose body is told of."""
        body = request.body
        pieces = self._pieces("request")
        if isinstance(body, bytes):
            if body:
                pieces(body)
            return request
        return with_body(request, _Seen(body, pieces, None))

    def answer(self, answer: Answer) -> Answer:
        """Return an answer that is told of, to its end."""
        self._each(lambda hook: hook.on_response(answer))
        body = answer.body
        if isinstance(body, Upgraded):
            body.socket = _SeenSocket(body.socket, self._tell)
            body.on_close.append(lambda: self.end(None))
            return answer
        pieces = self._pieces("response")
        if isinstance(body, bytes):
            if body:
                pieces(body)
            self.end(None)
        else:
            answer.body = _Seen(body, pieces, self.end)
        return answer

    def end(self, error: BaseException | None) -> None:
        """Tell that it is over. Idempotent."""
        if not self._ended:
            self._ended = True
            self._each(lambda hook: hook.on_finish(error))

    def _pieces(self, tag: Tag) -> Callable[[bytes], None]:
        if not self._grpc:
            return lambda piece: self._tell(tag, piece)
        messages = Messages(self._most)

        def feed(piece: bytes) -> None:
            for message in messages.feed(piece):
                self._tell(tag, message)

        return feed

    def _tell(self, tag: Tag, data: bytes) -> None:
        if not self._ended:
            chunk = Chunk(self._index, tag, data)
            self._index += 1
            self._each(lambda hook: hook.on_chunk(chunk))

    def _each(self, tell: Callable[[StreamHook], None]) -> None:
        for hook in self._hooks:
            try:
                tell(hook)
            except Exception:
                _log.exception("a hook of a stream failed")


class _Seen:
    """A body whose pieces are told."""

    __slots__ = ("_body", "_ended", "_told")

    def __init__(
        self,
        body: Body,
        told: Callable[[bytes], None],
        ended: Callable[[BaseException | None], None] | None,
    ) -> None:
        self._body: Final = body
        self._told: Final = told
        self._ended: Final = ended

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        try:
            piece = await self._body.read()
        except CancelledError:
            raise  # nothing is lost: it may be read on
        except Exception as error:
            if self._ended is not None:
                self._ended(error)
            raise
        if piece:
            self._told(piece)
        elif self._ended is not None:
            self._ended(None)
        return piece

    def close(self) -> None:
        self._body.close()
        if self._ended is not None:
            self._ended(Cause.CALLER.error())


class _SeenSocket:
    """A WebSocket whose messages are told."""

    __slots__ = ("_socket", "_told")

    def __init__(self, socket: NodeSocket, told: Callable[[Tag, bytes], None]) -> None:
        self._socket: Final = socket
        self._told: Final = told

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message is not None:
            self._told("response", _octets(message))
        return message

    async def send(self, message: str | bytes, /) -> None:
        self._told("request", _octets(message))
        await self._socket.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)


def _octets(message: str | bytes) -> bytes:
    return message.encode(errors="surrogatepass") if isinstance(message, str) else message
