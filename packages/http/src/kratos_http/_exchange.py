"""One connection of a client: one request at a time, and its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from kratos_http._pieces import add_piece

__all__ = ["ClientConnection", "Lost", "RawReply", "TooLarge", "check_head", "lost"]

_MAX_TRAILERS: Final = 256
_FIRST_INTERIM: Final = 100
_FIRST_FINAL: Final = 200
_BODILESS: Final = (204, 304)


class Lost(ConnectionError):
    """The connection ended before the answer did.

    Attributes:
        begun: Whether any byte of an answer had come.
        sent: Whether any byte of the request was sent.
    """

    def __init__(self, problem: str, *, begun: bool, sent: bool = True) -> None:
        super().__init__(problem)
        self.begun = begun
        self.sent = sent


def lost(error: Exception | None, *, begun: bool) -> Lost:
    """Return what a request fails with when the transport has gone."""
    problem = "the connection was closed" if error is None else str(error) or type(error).__name__
    when = "before the answer was complete" if begun else "before an answer came"
    return Lost(f"{problem} {when}", begun=begun)


class TooLarge(Exception):
    """The answer exceeds the limit."""


@dataclass(slots=True)
class RawReply:
    """An answer as it came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    trailers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the first value of a lower-case name, empty when it is absent."""
        return next((value for key, value in self.headers if key == name), b"")


def check_head(headers: list[tuple[bytes, bytes]], limit: int) -> None:
    """Refuse a head that is too large.

    Raises:
        TooLarge: It is.
    """
    if sum(len(name) + len(value) for name, value in headers) > limit:
        raise TooLarge(f"its head exceeds {limit} bytes")


class ClientConnection(asyncio.Protocol):
    """A connection to a server.

    Args:
        max_reply: Bytes of the largest body.
        max_head: Bytes in a row without any of a body: head, interim answers, trailers, framing.

    Attributes:
        reusable: Whether another request may be sent.
        idle_since: The loop's time when the last answer was complete.
    """

    def __init__(self, *, max_reply: int, max_head: int) -> None:
        self.reusable = False
        self.idle_since = 0.0
        self._max_reply = max_reply
        self._max_head = max_head
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._answered: asyncio.Future[RawReply] | None = None
        self._head_only = False
        self._begun = False
        self._feeding = 0  # bytes of the present feed
        self._overhead = 0  # bytes of the feeds since the last one that brought a piece of a body
        self._reset()

    async def exchange(self, data: bytes, *, head_only: bool = False) -> RawReply:
        """Send a request and return its answer.

        Args:
            data: The whole request.
            head_only: Whether the answer has no body, whatever its headers say.

        Raises:
            Lost: The connection ended or the answer is malformed.
            TooLarge: The answer exceeds the limit.

        Cancellation: closes the connection, by which the server learns of it.
        """
        transport = self._transport
        if transport is None or not self.reusable:
            raise Lost("the connection was closed", begun=False, sent=False)
        self.reusable = False
        self._begun = False
        self._overhead = 0
        self._head_only = head_only
        self._answered = asyncio.get_running_loop().create_future()
        transport.write(data)
        try:
            return await self._answered
        except BaseException:
            self.reusable = False  # it is, when the answer came as the caller was cancelled
            transport.abort()
            raise
        finally:
            self._answered = None

    def close(self) -> None:
        """Close the connection; a request under way is lost. Idempotent."""
        self.reusable = False
        transport = self._transport
        if transport is None:
            return
        # What a server does not take would keep the connection open for as long as it likes, and
        # so would waiting for its part of the end of TLS; that outlives the event loop, too.
        slow = transport.get_write_buffer_size() > 0 or bool(transport.get_extra_info("sslcontext"))
        transport.abort() if slow or self._answered is not None else transport.close()

    def abort(self) -> None:
        """Close the connection at once: the answer to TLS's farewell may take 30 s. Idempotent."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        self.idle_since = asyncio.get_running_loop().time()
        self.reusable = True

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        parser = self._parser
        if self._answered is None or parser is None:
            self.close()  # nobody asked
            return
        self._begun = True
        self._feeding = len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._fail(Lost("the server changed the protocol", begun=True))
        except HttpParserError as error:
            reason = error.__context__ if isinstance(error.__context__, (Lost, TooLarge)) else None
            self._fail(reason or Lost(f"the answer is malformed: {error}", begun=True))
            self.close()  # also after a whole answer: whatever follows it is not ours
        if self._head_only and self.reusable:
            self._parser = HttpResponseParser(self)  # the old one waits for a body
        self._overhead += self._feeding
        if self._overhead > self._max_head:
            what = "its head exceeds" if self._in_head else "what is no body of it exceeds"
            self._fail(TooLarge(f"{what} {self._max_head} bytes"))

    def eof_received(self) -> None:
        """Take the end for the end of a body without a length."""
        self.reusable = False
        if self._until_end:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail a request that is under way."""
        self.reusable = False
        self._transport = self._parser = None
        self._fail(lost(exc, begun=self._begun))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Forget the answer before this one, which was an interim one."""
        if self._answered is None or self._answered.done():
            raise Lost("the server sent an answer that nobody asked for", begun=True)
        self._reset()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        if self._in_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))
            return
        self._trailers.append((name.lower(), value.rstrip(b" \t")))
        if len(self._trailers) > _MAX_TRAILERS:
            raise TooLarge(f"it has more than {_MAX_TRAILERS} trailers")

    def on_headers_complete(self) -> None:
        """Find out how the body comes."""
        parser = self._parser
        assert parser is not None, "called by the parser"
        self._in_head = False
        if self._overhead + self._feeding > self._max_head:  # a body may follow in the same feed
            check_head(self._headers, self._max_head)
        self._size = 0
        self._status = parser.get_status_code()
        if self._status < _FIRST_INTERIM:
            raise Lost(f"the answer has the status {self._status:03}", begun=True)
        self._keep = parser.should_keep_alive()
        names = {name for name, _ in self._headers}
        framed = b"content-length" in names or b"transfer-encoding" in names
        bodiless = self._status in _BODILESS or self._status < _FIRST_FINAL
        self._until_end = not framed and not bodiless and not self._head_only
        if self._head_only and self._status >= _FIRST_FINAL:
            self._complete()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._head_only:
            raise Lost("the answer to HEAD has a body", begun=True)
        self._overhead = -self._feeding
        self._size += len(data)
        if self._size > self._max_reply:
            raise TooLarge(f"its body exceeds {self._max_reply} bytes")
        add_piece(self._pieces, data)

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it is an interim one."""
        if self._status >= _FIRST_FINAL:
            self._complete()

    def _reset(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._trailers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self._in_head = False
        self._until_end = False
        self._keep = False

    def _complete(self) -> None:
        answered, transport = self._answered, self._transport
        self._until_end = False
        if answered is None or answered.done():
            return
        whole = transport is not None and transport.get_write_buffer_size() == 0
        self.reusable = self._keep and whole
        self.idle_since = asyncio.get_running_loop().time()
        body = b"".join(self._pieces)
        answered.set_result(RawReply(self._status, self._headers, self._trailers, body))
        self._reset()

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
