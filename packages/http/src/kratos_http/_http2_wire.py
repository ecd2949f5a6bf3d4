"""Both directions of one request that is not buffered, over HTTP/2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, WireHeaders
from kratos_http._format import has_body
from kratos_http._http2_replies import length_field, trailer_block
from kratos_http._incoming import Incoming
from kratos_http2 import ErrorCode, Stream

if TYPE_CHECKING:
    from kratos_http._http2_answering import Http2Answering

__all__ = ["Http2Wire"]

_BURST: Final = 512 * 1024  # bytes that may be written in one go


class Http2Wire(Incoming):
    """A ``Wire``; the connection feeds it.

    What nobody reads is not given back to the stream's window, so its peer stops there.

    Attributes:
        started: Whether the answer has begun.
        finished: Whether it has ended, well or not.
    """

    __slots__ = (
        "_burst",
        "_connection",
        "_head",
        "_left",
        "_silent",
        "_stream",
        "_writer",
        "finished",
        "started",
    )

    def __init__(
        self, connection: Http2Answering, stream: Stream, head: Head, /, *, expects: bool
    ) -> None:
        super().__init__(expects=expects)
        self.started = False
        self.finished = False
        self._connection = connection
        self._stream = stream
        self._head = head
        self._silent = False
        self._left: int | None = None
        self._burst = 0  # bytes written since others had their turn
        self._writer: asyncio.Future[None] | None = None

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """Begin the answer.

        A ``content-length`` among the headers is kept, and then held to.

        Raises:
            RuntimeError: The answer has begun already.
            ValueError: A header cannot be sent, or the status is none of an answer.
        """
        if self.started:
            raise RuntimeError("the answer has begun already")
        connection = self._connection
        block = connection.replies.block(status, headers)
        self._left = next((int(v) for k, v in headers if k.lower() == b"content-length"), None)
        self._silent = not has_body(self._head.method, status)
        if self._left is not None and status != 204:
            block += length_field(self._left)
        self.started = True
        connection.h2.send_headers(self._stream, block, end=self._silent)
        connection.note_answer()

    async def write(self, data: bytes, /) -> None:
        """Send a piece of the answer; waits while the peer is slow.

        Raises:
            RuntimeError: The answer has not begun, has ended, or exceeds its own length.
            Error: The peer has gone.
        """
        if not self.started or self.finished:
            raise RuntimeError("start the answer before writing, and write before finishing it")
        if self._left is not None and not self._silent:
            self._left -= len(data)
            if self._left < 0:
                raise RuntimeError("the answer is longer than the length it announced")
        if data and not self._silent:
            self._connection.h2.send_data(self._stream, data)
        await self._room()
        self._burst += len(data)
        if self._burst > _BURST:
            self._burst = 0
            await asyncio.sleep(0)  # others have their turn, however fast the peer is

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """End the answer well.

        Raises:
            RuntimeError: The answer has not begun, or is shorter than the length it announced.
            ValueError: A trailer cannot be sent.
        """
        if not self.started:
            raise RuntimeError("start the answer before finishing it")
        if self.finished:
            return
        if self._left and not self._silent:
            raise RuntimeError("the answer is shorter than the length it announced")
        if not self._silent:
            h2 = self._connection.h2
            if trailers:
                h2.send_trailers(self._stream, trailer_block(trailers))
            else:
                h2.send_data(self._stream, b"", end=True)
        self.finished = True

    def reset(self, cause: Cause, /) -> None:
        """Break the answer off so that the peer cannot take it for a whole one."""
        self.finished = True
        self._connection.h2.reset(self._stream, ErrorCode.CANCEL)

    # For the connection.

    @property
    def whole(self) -> bool:
        """Whether the peer was sent all of the answer, ended or not."""
        if self._stream.pending:
            return False
        return self.finished or (self.started and (self._silent or self._left == 0))

    def fail(self, error: Error) -> None:
        """Note that nothing more will come, nor go."""
        super().fail(error)
        self.resume()

    def resume(self) -> None:
        """Let a writer go on: there is room again."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    async def _room(self) -> None:
        stream = self._stream
        while stream.pending and not stream.closed and self._failure is None:
            self._connection.watch(stream)
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._failure is not None or (stream.closed and not self._silent):
            raise Cause.PEER_GONE.error()

    def _ask(self) -> None:
        if not self.started:  # else it knows already whether the body is wanted
            self._connection.send_continue(self._stream)

    def _release(self, size: int) -> None:
        self._connection.h2.consumed(self._stream, size)
