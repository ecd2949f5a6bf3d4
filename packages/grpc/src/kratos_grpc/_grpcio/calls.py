"""Calls with one reply, and calls with many, on grpc.aio."""

from __future__ import annotations

import asyncio
from typing import Any

from kratos.transport import converse
from kratos_grpc._codec import decode_reply, encode
from kratos_grpc._failures import wrong_replies
from kratos_grpc._grpcio.attempt import Attempt
from kratos_grpc._grpcio.resumable import Resumable

__all__ = ["converse_on", "single"]


async def single(attempt: Attempt) -> Any:
    """Return the one reply of a call whose requests are on their way.

    Raises:
        Error: What the service answered, or 503 when it was not reached; 500 for no reply.

    Cancellation: cancels the call at the peer.
    """
    try:
        data: bytes | None = await attempt.rpc
        await attempt.take_headers()
        await attempt.take_trailers()
    except BaseException as error:
        failure = attempt.failure(error)
        if failure is error:
            del failure
            raise
    else:
        if data is None:
            raise wrong_replies("without a reply")
        return decode_reply(attempt.call.method, data)
    try:
        raise failure  # out here, so that grpc's own error is not kept with it
    finally:
        del failure  # it holds the traceback, which holds this frame


async def converse_on(attempt: Attempt) -> None:
    """Hand the caller its stream of replies and wait for the end."""
    await converse(attempt.call, _Stream(attempt))


class _Stream:
    """The client's end of a call with streamed replies."""

    __slots__ = ("_attempt", "_opened", "_reading", "_sending")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._opened = False
        self._reading: Resumable[Any] | None = None
        self._sending = asyncio.Lock()

    async def receive(self) -> Any:
        attempt = self._attempt
        # grpc.aio cancels the call when a read is cancelled, but a caller may give up waiting for
        # a message and wait again later.
        reading = self._reading
        if reading is None:
            if attempt.rpc is None:
                raise attempt.closed()
            reading = self._reading = Resumable(attempt.rpc.read())
        try:
            data = await reading.wait()
            if not self._opened:
                self._opened = True
                await attempt.take_headers()
            if not isinstance(data, bytes):
                await attempt.take_trailers()
        except BaseException as error:
            failure = attempt.failure(error)
            if failure is error:
                del failure
                raise
        else:
            self._reading = None
            if isinstance(data, bytes):
                return decode_reply(attempt.call.method, data)
            raise StopAsyncIteration
        if reading.over:
            self._reading = None
        try:
            raise failure  # out here, so that grpc's own error is not kept with it
        finally:
            del failure, reading  # they hold tracebacks, which hold this frame

    async def send(self, message: Any, /) -> None:
        method = self._attempt.call.method
        data = encode(method, method.request, message)
        async with self._sending:  # gRPC takes one message of a call at a time
            await self._attempt.send(data)  # what ends the call is told by receive

    async def end(self) -> None:
        async with self._sending:
            await self._attempt.half_close()

    async def aclose(self) -> None:
        self._attempt.cancel()
        if self._reading is not None:
            self._reading.close()
