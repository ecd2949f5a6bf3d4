"""Both directions of one request that is not buffered, over HTTP/1.1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, WireHeaders
from kratos_http._format import CHUNKED, chunk, has_body, last_chunk, opening, require_final
from kratos_http._incoming import Incoming

if TYPE_CHECKING:
    from kratos_http._connection import ServerConnection

__all__ = ["ServerWire"]

_HIGH_WATER: Final = 64 * 1024  # bytes of a body that may wait to be read
_BURST: Final = 512 * 1024  # bytes that may be written in one go
# Bytes of an unread body that are read all the same. When more is on its way and the connection is
# closed, a peer that had it all in its buffers may have sent its next request, and not repeat it.
_DISCARDED: Final = 1024 * 1024
_REDIRECTION: Final = 300  # status of the first kind of answers whose endpoint wants no body


class ServerWire(Incoming):
    """A ``Wire``; the connection feeds it.

    Args:
        connection: What it came by.
        head: Of the request.
        length: Bytes of its body, if that is known.
        keep: Whether the connection may be used again, as far as the request goes.
        expects: Whether the peer waits until it is asked for the body.

    Attributes:
        keep: Whether the connection may be used again after the answer.
        started: Whether the answer has begun.
        finished: Whether it has ended, well or not.
    """

    __slots__ = (
        "_burst",
        "_chunked",
        "_connection",
        "_detached",
        "_due",
        "_head",
        "_left",
        "_opening",
        "_silent",
        "finished",
        "keep",
        "started",
    )

    def __init__(
        self,
        connection: ServerConnection,
        head: Head,
        /,
        *,
        length: int | None,
        keep: bool,
        expects: bool,
    ) -> None:
        super().__init__(expects=expects)
        self.keep = keep
        self.started = False
        self.finished = False
        self._connection = connection
        self._head = head
        self._detached = False
        self._due = length or 0  # bytes of the body that are to come; none if that is not known
        self._opening = b""
        self._chunked = False
        self._silent = False
        self._left: int | None = None
        self._burst = 0  # bytes written since others had their turn

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """Begin the answer.

        A ``content-length`` among the headers is kept, and then held to; without one the body
        goes in chunks.

        Raises:
            RuntimeError: The answer has begun already.
            ValueError: A header cannot be sent, or the status is none of an answer.
        """
        if self.started:
            raise RuntimeError("the answer has begun already")
        require_final(status)
        if self._expects:
            self.keep = False  # the peer may send the body nevertheless, or not
        if status >= _REDIRECTION and self._due > _DISCARDED:
            self.keep = False  # it will not be read to its end, so that no request can follow
        self._left = next((int(v) for k, v in headers if k.lower() == b"content-length"), None)
        version = self._head.version
        self._silent = not has_body(self._head.method, status)
        self._chunked = self._left is None and not self._silent and version == "1.1"
        if self._left is None and not self._silent and not self._chunked:
            self.keep = False  # the end of the connection is the end of the body
        self.keep = self._connection.keeps(self.keep)
        head = opening(status, headers, version=version, keep=self.keep, date=self._connection.date)
        framing = CHUNKED if self._chunked else b""
        if self._left is not None and status != 204:
            framing = b"content-length: %d\r\n" % self._left
        self.started = True
        self._opening = b"%b%b\r\n" % (head, framing)
        # With the first piece of the body, if that follows at once: one write less.
        asyncio.get_running_loop().call_soon(self._send_opening)

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
            self._send(chunk(data) if self._chunked else data)
        await self._connection.room()
        self._burst += len(data)
        if self._burst > _BURST:
            self._burst = 0
            await asyncio.sleep(0)  # others have their turn, however fast the peer is

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """End the answer well. Trailers go with bodies in chunks only.

        Raises:
            RuntimeError: The answer has not begun, or is shorter than the length it announced.
        """
        if not self.started:
            raise RuntimeError("start the answer before finishing it")
        if self.finished:
            return
        if self._left and not self._silent:
            raise RuntimeError("the answer is shorter than the length it announced")
        self._send(last_chunk(trailers) if self._chunked else b"")
        self.finished = True

    def reset(self, cause: Cause, /) -> None:
        """Break the answer off so that the peer cannot take it for a whole one."""
        self.finished = True
        self.keep = False
        self._opening = b""
        self._connection.abort()

    # For the connection.

    @property
    def whole(self) -> bool:
        """Whether the peer was sent all of the answer, ended or not."""
        return self.finished or (self.started and (self._silent or self._left == 0))

    @property
    def full(self) -> bool:
        """Whether enough waits to be read."""
        return self._size > _HIGH_WATER and not self._detached

    @property
    def skipped(self) -> int:
        """Bytes of the body that came when nobody wanted it any more."""
        return self._size if self._detached else 0

    def feed(self, data: bytes) -> None:
        """Take a piece of the body.

        Raises:
            Error: Nobody reads the body, and it is too long to be skipped.
        """
        if self._detached:
            self._size += len(data)
            if self._size > _DISCARDED:
                raise Error(413, "BODY_TOO_LARGE", "the rest of the body is not wanted")
            return
        self._due -= len(data)
        super().feed(data)

    def fail(self, error: Error) -> None:
        """Note that nothing more will come."""
        self.keep = False
        super().fail(error)

    def detach(self) -> None:
        """Skip the rest of the body: the endpoint is done."""
        self._detached = True
        self._pieces.clear()
        self._size = 0

    def _send(self, data: bytes) -> None:
        self._connection.send(self._opening + data)
        self._opening = b""

    def _send_opening(self) -> None:
        if self._opening:
            self._send(b"")

    def _ask(self) -> None:
        if not self.started:  # else it knows already whether the body is wanted
            self._connection.send_continue()

    def _release(self, size: int) -> None:
        self._connection.regulate()
