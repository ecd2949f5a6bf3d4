"""The client's side of the four arities."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, Protocol

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport import Call, converse
from kratos.transport.client_stream import outgoing_requests
from kratos_grpc._attempt import Attempt
from kratos_grpc._codec import decode_reply, encode
from kratos_grpc._resumable import Resumable

__all__ = ["collect", "converse_on", "single"]


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
            raise Error(500, "CODEC", "the call ended well, and without a reply")
        return decode_reply(attempt.call.method, data)
    try:
        raise failure  # out here, so that grpc's own error is not kept with it
    finally:
        del failure  # it holds the traceback, which holds this frame


class Sender(Protocol):
    """What ``collect`` needs of an attempt."""

    @property
    def call(self) -> Call:
        """The call."""
        ...

    async def send(self, data: bytes, /) -> bool:
        """Send one request; tell whether the call takes any more."""
        ...

    async def half_close(self) -> None:
        """Say that no request follows."""
        ...

    def cancel(self) -> None:
        """Cancel the call at the peer, unless it has ended."""
        ...


async def collect(attempt: Sender, requests: Any, reply: Coroutine[Any, Any, Any]) -> Any:
    """Send a stream of requests and return the one reply.

    Args:
        attempt: The call.
        requests: What the caller sends.
        reply: Waits for the reply.

    Raises:
        Error: As ``single``.
        Exception: Whatever the caller's iterator raised; it cancels the call.

    Cancellation: cancels the call at the peer and closes the iterator.
    """
    feeding = asyncio.get_running_loop().create_task(_feed(attempt, requests))
    feeding.add_done_callback(lambda task: _cancel_if_failed(task, attempt))
    try:
        return await reply
    except Exception:
        if feeding.done() and not feeding.cancelled():
            feeding.result()  # the caller's own exception says more than the cut-off call
        raise
    finally:
        if not feeding.done():
            await cancel_and_wait(feeding)


async def converse_on(attempt: Attempt) -> None:
    """Hand the caller its stream of replies and wait for the end."""
    await converse(attempt.call, _Stream(attempt))


async def _feed(attempt: Sender, requests: Any) -> None:
    call = attempt.call
    async with aclosing(outgoing_requests(call, requests)) as messages:
        async for message in messages:
            if not await attempt.send(encode(call.method, call.method.request, message)):
                return
    await attempt.half_close()


def _cancel_if_failed(feeding: asyncio.Task[None], attempt: Sender) -> None:
    if not feeding.cancelled() and feeding.exception() is not None:
        attempt.cancel()


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
