"""One call on HTTP/2 of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kratos.errors import Error
from kratos.transport import Call
from kratos_grpc._answers import NO_STATUS, End, end_of, start_of
from kratos_grpc._codec import decode_reply
from kratos_grpc._codings import MINIMUM, Coding, compressed, decompressed
from kratos_grpc._envelopes import COMPRESSED, OVERHEAD, PLAIN, envelope
from kratos_grpc._failures import (
    closed,
    end_of_failure,
    failed,
    is_unanswered,
    wrong_replies,
)
from kratos_grpc._sizes import TOO_LARGE, reply_not_taken, request_not_sent
from kratos_http.http2 import Refused, TooLarge, Whole

if TYPE_CHECKING:
    from kratos_grpc._http2_line import Http2Line
    from kratos_grpc._http2_stream import Exchange

__all__ = ["Http2Attempt", "inflated"]


class Http2Attempt:
    """One call on one line.

    Args:
        line: Where it is made.
        call: The call.
        data: Bytes of the single request; ``None`` if they are streamed.
        coding: Of requests, unless they are short; ``None`` for none.

    Attributes:
        line: As given.
        call: As given.
        data: As given.
        coding: As given.
        unanswered: Whether it was ended, and neither by the service nor by its time limit.
        exchange: What a call that streams is carried by; ``None`` for others.
    """

    __slots__ = ("call", "coding", "data", "exchange", "line", "unanswered")

    def __init__(
        self, line: Http2Line, call: Call, data: bytes | None, coding: Coding | None
    ) -> None:
        self.line = line
        self.call = call
        self.data = data
        self.coding = coding
        self.unanswered = False
        self.exchange: Exchange | None = None

    async def single(self) -> Any:
        """Send the one request, and return the one reply.

        Raises:
            Error: What the service answered, or 503 when it was not reached; 500 for no reply.

        Cancellation: cancels the call at the peer.
        """
        outcome = await self._outcome()
        if isinstance(outcome, bytes):
            return decode_reply(self.call.method, outcome)
        try:
            raise outcome  # out here, so that what the wire said is not kept with it
        finally:
            del outcome  # it holds the traceback, which holds this frame

    async def body(self) -> tuple[bytes, Coding | None]:
        """Return the single request as it travels, and the coding that it has."""
        data, coding = self.data, self.coding
        assert data is not None, "the request is not streamed"
        if coding is None or len(data) < MINIMUM:
            return envelope(data), None
        return envelope(await compressed(data, coding), COMPRESSED), coding

    async def message(self, data: bytes) -> bytes:
        """Return one of many requests as it travels.

        Raises:
            Error: 429 MESSAGE_TOO_LARGE: it exceeds the limit.
        """
        most = self.line.options.max_send
        if most is not None and len(data) > most:
            raise request_not_sent(len(data), most)
        if self.coding is None:
            return envelope(data)
        return envelope(await compressed(data, self.coding), COMPRESSED)

    def broken(self, error: Exception) -> Error:
        """Return the error of a call that broke off."""
        if isinstance(error, Error):
            return error
        if self.line.cut:
            return closed(self.call.peer)
        return self.refused(end_of_failure(self.call, error))

    def refused(self, end: End) -> Error:
        """Return the error of a call that did not end well."""
        self.unanswered = is_unanswered(self.call, end)
        return failed(self.call, end)

    async def send(self, data: bytes, /) -> bool:
        """Send one of many requests; tell whether the call takes any more."""
        assert self.exchange is not None, "a call that streams has one"
        return await self.exchange.write(data)

    async def half_close(self) -> None:
        """Say that no request follows. Idempotent."""
        assert self.exchange is not None, "a call that streams has one"
        await self.exchange.finish()

    def cancel(self) -> None:
        """Cancel a call that streams at the peer, unless it has ended."""
        if self.exchange is not None:
            self.exchange.close()

    def release(self) -> None:
        """Cancel the call unless it has ended, and let go of it."""
        if self.exchange is not None:
            self.exchange.close()
            self.exchange = None  # which holds this

    async def _outcome(self) -> bytes | Error:
        """Return the bytes of the one reply, or the error that there is instead."""
        line = self.line
        whole: Whole | None = None
        try:
            if self.coding is None:
                assert self.data is not None, "the request is not streamed"
                body, coding = envelope(self.data), None
            else:
                body, coding = await self.body()
            channel, most = line.channel, line.options.max_receive + OVERHEAD
            whole = Whole(channel.current() or await channel.open(), most)
            try:
                answer = await whole.exchange(line.asking.block(self.call, coding), body)
            except Refused:  # the server never looked at it
                whole = Whole(channel.current() or await channel.open(), most)
                answer = await whole.exchange(line.asking.block(self.call, coding), body)
        except TooLarge as error:
            return self._too_large(whole, error)
        except OSError as error:
            return self.broken(error)
        outcome = self._taken(whole, answer)
        if outcome is None:
            return await self._inflated(whole, answer)
        return outcome

    def _taken(self, whole: Whole, answer: bytes) -> bytes | Error | None:
        """Return what a whole answer says; ``None`` if it is compressed."""
        assert whole.head is not None, "it is whole"
        start, call = start_of(whole.head), self.call
        call.reply_headers = start.metadata
        end = start.end
        if end is None or (start.alone and (answer or whole.trailers is not None)):
            end = end_of(whole.trailers) if whole.trailers is not None else NO_STATUS
        call.trailers = end.metadata
        if not end.fine:
            return self.refused(end)
        size = len(answer)
        if not size:
            return wrong_replies("without a reply")
        length = int.from_bytes(answer[1:OVERHEAD])
        if size - OVERHEAD < length or size < OVERHEAD:
            return Error(500, "CODEC", "the call ended well, in the middle of a reply")
        if size - OVERHEAD > length:
            return wrong_replies("with more than one reply")
        flags = answer[0]
        if flags == PLAIN:
            return answer[OVERHEAD:]
        if flags == COMPRESSED and start.coding is not None:
            return None
        return Error(500, "CODEC", f"the reply has the flags {flags:#x}, and no coding")

    async def _inflated(self, whole: Whole, answer: bytes) -> bytes | Error:
        assert whole.head is not None, "it is whole"
        coding = start_of(whole.head).coding
        assert coding is not None, "it is compressed"
        try:
            return await inflated(answer[OVERHEAD:], coding, self.line.options.max_receive)
        except Error as error:
            return error

    def _too_large(self, whole: Whole | None, error: TooLarge) -> Error:
        begin, most = b"" if whole is None else whole.begin, self.line.options.max_receive
        if len(begin) <= most + OVERHEAD:  # it is headers or trailers that exceed their limit
            return self.refused(end_of_failure(self.call, error))
        return reply_not_taken(int.from_bytes(begin[1:OVERHEAD]), most)


async def inflated(data: bytes, coding: Coding, most: int) -> bytes:
    """Return a reply as it was before it was compressed.

    Raises:
        Error: 429 MESSAGE_TOO_LARGE: it exceeds the limit. 500 CODEC: it is malformed.
    """
    try:
        return await decompressed(data, coding, most)
    except Error as error:
        if error.reason == TOO_LARGE:
            raise reply_not_taken(None, most) from None
        raise Error(500, "CODEC", error.message) from None
