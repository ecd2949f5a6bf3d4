"""Definitions that back ends tell themselves: one conversation by ``grpc.reflection``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from kratos.definition.reflection import (
    REFLECTION,
    REFLECTION_V1ALPHA,
    Undefined,
    files_of,
    services_of,
)
from kratos.definition.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler, Request, RequestOptions
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.statuses import Status, status_of

__all__ = ["Told", "told_by"]

_UNIMPLEMENTED: Final = 12
_ROUND: Final = 64 * 1024  # bytes that an answer may have besides its files
# What servers have for machines: told to clients only where the configuration names it.
_INNER: Final = ("grpc.", "kratos.api.")

Told: TypeAlias = Callable[[], Awaitable[bytes]]
"""Asks for definitions, and returns the bytes of a ``FileDescriptorSet``."""


async def told_by(
    back_ends: Handler, endpoint: Endpoint, services: Collection[str], /, *, most: int
) -> bytes:
    """Return how services are defined, as one of some back ends tells it.

    All of it comes from one node, by a single call.

    Args:
        back_ends: Asks one of them.
        endpoint: Whose they are.
        services: Full names; all if there are none, but for those of gRPC and Kratos itself.
        most: Bytes of all definitions together.

    Raises:
        Undefined: It has no reflection, or does not define them within the bounds.
        OSError: No node could be reached, or it was lost.
        Error: It answered something else, or an error.

    Cancellation: the node learns of it.
    """
    for method in (REFLECTION, REFLECTION_V1ALPHA):
        conversation = _Conversation(back_ends, endpoint, method.operation, most)
        try:
            names = services or [
                each for each in await services_of(conversation) if not each.startswith(_INNER)
            ]
            files = await files_of(conversation, names, most_bytes=most)
            await conversation.end()
        except _Unimplemented:
            continue
        finally:
            conversation.close()
        return files.SerializeToString(deterministic=True)
    raise Undefined("the back end has no reflection; serve it, or give descriptorSet")


class _Unimplemented(Exception):
    """The node has no such version of reflection."""


class _Questions:
    """The body of the call: questions, as they come."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()

    @property
    def trailers(self) -> tuple[()]:
        return ()

    def put(self, piece: bytes) -> None:
        self._waiting.put_nowait(piece)

    async def read(self) -> bytes:
        return await self._waiting.get()

    def close(self) -> None:
        pass  # nobody waits for it to be read


class _Conversation:
    """Questions and answers within one call; an ``Ask``."""

    def __init__(self, back_ends: Handler, endpoint: Endpoint, operation: str, most: int) -> None:
        self._back_ends: Final = back_ends
        self._most: Final = most + _ROUND
        self._questions: Final = _Questions()
        self._request: Final = _request(operation, endpoint, self._questions)
        self._answer: Answer | None = None
        self._frames: Frames | None = None

    async def __call__(self, question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        self._questions.put(framed(question.SerializeToString()))
        if self._answer is None:
            self._answer = await self._back_ends(self._request)
            if self._answer.status != 200 or self._answer.header(b"grpc-status"):
                raise _failure(status_of(self._answer))
            self._frames = Frames(self._answer.body, self._most)
        assert self._frames is not None, "made with the answer"
        data = await self._frames.next()
        if data is None:
            if not isinstance(self._answer.body, bytes):
                self._answer.trailers = self._answer.body.trailers
            raise _failure(status_of(self._answer))
        try:
            return ServerReflectionResponse.FromString(data)
        except DecodeError as error:
            raise Undefined(f"the back end's reflection answers no message: {error}") from error

    async def end(self) -> None:
        """Let the node end the call, which it would take for broken off otherwise."""
        self._questions.put(b"")
        if self._frames is not None:
            await self._frames.next()

    def close(self) -> None:
        if self._answer is not None and not isinstance(self._answer.body, bytes):
            self._answer.body.close()


def _request(operation: str, endpoint: Endpoint, body: _Questions) -> Request:
    headers = [
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"kratos-gateway"),
    ]
    options = RequestOptions(endpoint, last_attempt=True)
    return Request("POST", "http", "", operation, "", headers, body, "", "2", options)


def _failure(status: Status) -> Exception:
    if status.code == _UNIMPLEMENTED:
        return _Unimplemented()
    told = status.message or "it ended the call"
    return Undefined(f"the back end's reflection failed with status {status.code}: {told}")
