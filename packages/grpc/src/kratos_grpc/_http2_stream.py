"""Calls that stream, on HTTP/2 of our own."""

from __future__ import annotations

import asyncio
from typing import Any

from kratos.errors import Error
from kratos.transport import converse
from kratos_grpc._answers import NO_STATUS, End, Start, end_of, start_of
from kratos_grpc._codec import decode_reply, encode
from kratos_grpc._codings import Coding
from kratos_grpc._collect import collect
from kratos_grpc._envelopes import COMPRESSED, PLAIN, Envelopes
from kratos_grpc._failures import end_of_failure, wrong_replies
from kratos_grpc._http2_attempt import Http2Attempt, inflated
from kratos_grpc._sizes import reply_not_taken
from kratos_grpc._turns import MANY, Turns
from kratos_http.http2 import ClientStream, Refused, TooLarge

__all__ = ["Exchange", "collect_over", "converse_over"]


class Exchange:
    """The stream of a call: messages both ways.

    Args:
        attempt: The call.
    """

    __slots__ = (
        "_attempt",
        "_body",
        "_coding",
        "_empty",
        "_envelopes",
        "_finished",
        "_inflating",
        "_refused",
        "_sent",
        "_start",
        "_stream",
        "_turns",
    )

    def __init__(self, attempt: Http2Attempt) -> None:
        self._attempt = attempt
        self._turns = Turns()
        self._stream: ClientStream | None = None
        self._body: bytes | None = None
        self._coding: Coding | None = None
        self._envelopes = Envelopes(attempt.line.options.max_receive, reply_not_taken)
        self._start: Start | None = None
        self._empty = True  # nothing of the body has come
        self._inflating: bytes | None = None
        self._refused = False
        self._sent = 0
        self._finished = False  # whether no request follows

    async def open(self) -> None:
        """Begin the call, once a connection has room for it.

        Raises:
            Error: It cannot be.
        """
        attempt = self._attempt
        try:
            if attempt.data is not None:
                self._body, self._coding = await attempt.body()
            else:
                self._coding = attempt.coding
            await self._begin()
        except OSError as error:
            failure = attempt.broken(error)
        else:
            return
        try:
            raise failure  # out here, so that what the wire said is not kept with it
        finally:
            del failure

    async def next(self) -> bytes | Error | None:
        """Return the next reply; the error that there is instead; ``None`` at the good end.

        Cancellation: safe; no reply is lost.
        """
        attempt = self._attempt
        if self._turns.over:
            await asyncio.sleep(0)
        try:
            while True:
                try:
                    return await self._read()
                except Refused:
                    # The server never looked at it. What was streamed is not kept for another.
                    if self._refused or self._sent:
                        raise
                    self._refused = True
                    await self._begin()
        except TooLarge as error:
            self.close()
            error.__traceback__ = None
            return attempt.refused(end_of_failure(attempt.call, error))
        except (OSError, Error) as error:
            self.close()
            error.__traceback__ = None  # it holds this frame, and the stream may hold the error
            return attempt.broken(error)

    async def write(self, data: bytes) -> bool:
        """Send a request, and wait while the server is slow; tell whether more are taken.

        Raises:
            Error: 429 MESSAGE_TOO_LARGE: it exceeds the limit.
        """
        stream = self._stream
        if stream is None:
            return False
        message = await self._attempt.message(data)
        self._sent += 1
        if not await stream.send(message):
            return False
        if self._sent % MANY == 0:
            await asyncio.sleep(0)
        return True

    async def finish(self) -> None:
        """Say that no request follows. Idempotent."""
        self._finished = True
        if self._stream is not None:
            await self._stream.send(b"", end=True)

    def close(self) -> None:
        """Cancel the call unless it has ended. Idempotent."""
        if self._stream is not None:
            self._stream.close()

    async def _begin(self) -> None:
        attempt = self._attempt
        channel = attempt.line.channel
        connection = channel.current() or await channel.open()
        block = attempt.line.asking.block(attempt.call, self._coding)
        self._stream = ClientStream(connection, block, self._body)
        if self._finished:
            self._stream.put(b"", end=True)

    async def _read(self) -> bytes | Error | None:
        stream = self._stream
        assert stream is not None, "it was opened"
        if self._start is None:
            self._start = start_of(await stream.headers())
            self._attempt.call.reply_headers = self._start.metadata
        start = self._start
        if start.end is not None and not start.alone:
            return self._ended(start.end)
        while True:
            if self._inflating is not None:
                assert start.coding is not None, "it is compressed"
                most = self._attempt.line.options.max_receive
                message = await inflated(self._inflating, start.coding, most)
                self._inflating = None
                return message
            found = self._envelopes.take()
            if found is None:
                piece = await stream.read()
                if not piece:
                    break
                self._empty = False
                self._envelopes.feed(piece)
                continue
            flags, message = found
            self._turns.note(flags)
            if flags == PLAIN:
                return message
            if flags != COMPRESSED or start.coding is None:
                raise Error(500, "CODEC", f"a reply has the flags {flags:#x}, and no coding")
            self._inflating = message
        if stream.trailers is not None:
            return self._ended(end_of(stream.trailers))
        alone = start.end if start.alone and self._empty else None
        return self._ended(alone or NO_STATUS)

    def _ended(self, end: End) -> Error | None:
        attempt = self._attempt
        attempt.call.trailers = end.metadata
        if not end.fine:
            return attempt.refused(end)
        if self._envelopes.begun:
            return Error(500, "CODEC", "the call ended well, in the middle of a reply")
        return None


async def converse_over(attempt: Http2Attempt) -> None:
    """Hand the caller its stream of replies, and wait for the end."""
    exchange = attempt.exchange = Exchange(attempt)
    await exchange.open()
    await converse(attempt.call, _Stream(attempt, exchange))


async def collect_over(attempt: Http2Attempt, requests: Any) -> Any:
    """Send a stream of requests and return the one reply.

    Raises:
        Error: What the service answered, or 503 when it was not reached; 500 for no reply.
        Exception: Whatever the caller's iterator raised; it cancels the call.

    Cancellation: cancels the call at the peer and closes the iterator.
    """
    exchange = attempt.exchange = Exchange(attempt)
    await exchange.open()
    return await collect(attempt, requests, _only_reply(attempt, exchange))


async def _only_reply(attempt: Http2Attempt, exchange: Exchange) -> Any:
    outcome = await exchange.next()
    if isinstance(outcome, bytes):
        end = await exchange.next()
        if end is None:
            return decode_reply(attempt.call.method, outcome)
        outcome = end
    if isinstance(outcome, bytes):
        raise wrong_replies("with more than one reply")
    if outcome is None:
        raise wrong_replies("without a reply")
    try:
        raise outcome  # out here, so that what the wire said is not kept with it
    finally:
        del outcome


class _Stream:
    """The client's end of a call with streamed replies; see ``WireStream``."""

    __slots__ = ("_attempt", "_exchange", "_sending")

    def __init__(self, attempt: Http2Attempt, exchange: Exchange) -> None:
        self._attempt = attempt
        self._exchange = exchange
        self._sending = asyncio.Lock()

    async def receive(self) -> Any:
        outcome = await self._exchange.next()
        if isinstance(outcome, bytes):
            return decode_reply(self._attempt.call.method, outcome)
        if outcome is None:
            raise StopAsyncIteration
        try:
            raise outcome  # out here, so that what the wire said is not kept with it
        finally:
            del outcome

    async def send(self, message: Any, /) -> None:
        method = self._attempt.call.method
        data = encode(method, method.request, message)
        async with self._sending:  # so that messages leave in the order of their sending
            await self._exchange.write(data)

    async def end(self) -> None:
        async with self._sending:
            await self._exchange.finish()

    async def aclose(self) -> None:
        self._exchange.close()
