"""The requests of a call, as they come over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Cause, Method
from kratos_grpc._asked import Asked
from kratos_grpc._codings import Coding, decompressed
from kratos_grpc._envelopes import COMPRESSED, PLAIN, Envelopes, cut_off
from kratos_grpc._turns import Turns

__all__ = ["Reading", "StreamedRequests", "message_of", "wrong_requests"]


class Reading(Protocol):
    """What a body is read from in pieces, such as a ``Wire``."""

    async def read(self) -> bytes:
        """Return the next piece; see ``Wire``."""
        ...


async def message_of(flags: int, data: bytes, coding: Coding | None, most: int) -> bytes:
    """Return a message as it was before it was compressed.

    Raises:
        Error: 429 MESSAGE_TOO_LARGE: it exceeds ``most`` bytes. 400 CODEC: it is malformed. 500
            CODEC, INTERNAL in gRPC: its flags contradict the headers.
    """
    if flags == PLAIN:
        return data
    if flags != COMPRESSED:
        raise Error(500, "CODEC", f"a message has the flags {flags:#04x}, which mean nothing")
    if coding is None:
        raise Error(500, "CODEC", "a message is compressed, but grpc-encoding names no coding")
    return await decompressed(data, coding, most)


def wrong_requests(method: Method[Any, Any], number: int) -> Error:
    """Return the error for a call with as many requests as its method does not take."""
    text = f"{method.operation} takes one request, not {number or 'none'}"
    return Error(501, "UNIMPLEMENTED", text)


class StreamedRequests(AsyncIterator[Message]):
    """The requests of a call, parsed; ends only when the peer has said so.

    Args:
        method: What is called.
        asked: What the head asks for.
        body: What they are read from.
        most: Bytes of the largest one.
    """

    __slots__ = ("_asked", "_body", "_ended", "_envelopes", "_method", "_most", "_turns")

    def __init__(self, method: Method[Any, Any], asked: Asked, body: Reading, most: int) -> None:
        self._method = method
        self._asked = asked
        self._body = body
        self._most = most
        self._envelopes = Envelopes(most)
        self._ended = False
        self._turns = Turns()

    async def __anext__(self) -> Message:
        if self._turns.over:
            await asyncio.sleep(0)
        envelopes = self._envelopes
        while (message := envelopes.take()) is None:
            if self._ended:
                raise StopAsyncIteration
            data = await self._body.read()
            if data:
                envelopes.feed(data)
                continue
            self._ended = True
            if envelopes.begun:
                raise cut_off()
        flags, data = message
        self._turns.note(flags)
        if flags:
            try:
                data = await message_of(flags, data, self._asked.coding, self._most)
            except asyncio.CancelledError:
                envelopes.put_back(data)  # who waits no more may ask again
                raise
        return self._asked.format.decode(self._method, data)

    async def only(self, deadline: float | None) -> Message:
        """Return the request of a call that has one.

        Args:
            deadline: In the loop's time.

        Raises:
            Error: 501 UNIMPLEMENTED: there is none, or another one, which is told at once. 504
                when the deadline passes before. As ``message_of`` and ``Wire.read``.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._only()
        except TimeoutError:
            raise Cause.DEADLINE.error() from None

    async def _only(self) -> Message:
        try:
            request = await self.__anext__()
        except StopAsyncIteration:
            raise wrong_requests(self._method, 0) from None
        try:
            await self.__anext__()
        except StopAsyncIteration:
            return request
        raise wrong_requests(self._method, 2)
