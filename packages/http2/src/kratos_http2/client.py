"""The client's side of a connection."""

from __future__ import annotations

from typing import Any, Final

from kratos_http2._sending import BURST, REASONS
from kratos_http2.connection import Connection
from kratos_http2.errors import ErrorCode, Http2Error, StreamError
from kratos_http2.frames import HEAD, FrameFlag, FrameType
from kratos_http2.header_blocks import HeaderBlock
from kratos_http2.settings import DEFAULT_FRAME, MAX_WINDOW
from kratos_http2.stream import Stream

__all__ = ["ClientConnection"]

_FULL: Final = "the connection takes no more streams now"

_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_END: Final = int(FrameFlag.END_STREAM)
_END_HEADERS: Final = int(FrameFlag.END_HEADERS)


class ClientConnection(Connection):
    """A connection that makes requests; see ``Connection``."""

    _client = True
    _next = 1
    _left = False

    @property
    def usable(self) -> bool:
        """Whether it takes new streams at all."""
        return not self._left and self.fault is None and self._next <= MAX_WINDOW

    @property
    def room(self) -> int:
        """How many streams more may be open, as far as the peer goes."""
        return max(0, self.peer.max_streams - len(self.streams)) if self.usable else 0

    def request(
        self, block: bytes, *, end: bool = False, owner: Any = None, no_body: bool = False
    ) -> Stream:
        """Begin a request.

        Args:
            block: Its header section, prepared by ``encode_fields``.
            end: Whether there is no body.
            owner: What the stream's ``owner`` is to be.
            no_body: Whether the answer has no body whatever it says, as to HEAD.

        Raises:
            RuntimeError: There is no room.
        """
        if not self.room:
            raise RuntimeError(_FULL)
        stream = Stream(
            self._next,
            window=self._stream_window,
            send_window=self.peer.initial_window,
            owner=owner,
        )
        self._next += 2
        stream.no_body = no_body
        self.streams[stream.id] = stream
        self.send_headers(stream, block, end=end)
        stream.answered = False
        return stream

    def ask(self, block: bytes, data: bytes, *, owner: Any = None, no_body: bool = False) -> Stream:
        """Send a whole request, as ``request`` and ``send_data`` do, and faster.

        Args:
            block: Its header section, prepared by ``encode_fields``.
            data: Its body; empty for none.
            owner: What the stream's ``owner`` is to be.
            no_body: Whether the answer has no body whatever it says, as to HEAD.

        Raises:
            RuntimeError: There is no room.
        """
        size = len(data)
        window = self.peer.initial_window
        if (
            not size
            or size > window
            or size > self._send_window
            or size > self._max_frame
            or len(block) > DEFAULT_FRAME
            or self._held
            or self._data_out >= BURST
            or self._table_notice
        ):
            stream = self.request(block, end=not data, owner=owner, no_body=no_body)
            if data:
                self.send_data(stream, data, end=True)
            return stream
        if not self.room:
            raise RuntimeError(_FULL)
        identifier = self._next
        self._next = identifier + 2
        stream = Stream(
            identifier,
            window=self._stream_window,
            send_window=window - size,
            owner=owner,
        )
        stream.no_body = no_body
        stream.sent_end = True
        self.streams[identifier] = stream
        self._send_window -= size
        self._data_out += size
        self._credit += REASONS
        length, pack = len(block), HEAD.pack
        self._out += (
            pack(length >> 8, length & 0xFF, _HEADERS, _END_HEADERS, identifier),
            block,
            pack(size >> 8, size & 0xFF, _DATA, _END, identifier),
            data,
        )
        if not self._noticed:
            self._notice()
        return stream

    def _is_idle(self, identifier: int) -> bool:
        return identifier >= self._next or not identifier & 1

    def _on_opening(self, identifier: int, headers: HeaderBlock, flags: int) -> None:
        self._on_late(identifier, "HEADERS")

    def _on_more(self, stream: Stream, headers: HeaderBlock, flags: int) -> None:
        if stream.answered:
            self._take_trailers(stream, headers, flags)
            return
        problem = headers.opening_problem
        end = flags & _END
        interim = headers.status[:1] == b"1"
        if not problem and interim and (end or headers.status == b"101"):
            problem = f"status {headers.status!r} cannot be"
        if problem:
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, problem)
        if interim:
            stream.interims += 1
            if stream.interims > self._limits.max_interim:
                raise StreamError(
                    stream.id, ErrorCode.ENHANCE_YOUR_CALM, "too many interim responses"
                )
        else:
            stream.answered = True
            if not stream.no_body and headers.status not in (b"204", b"304"):
                stream.expected = headers.content_length
            else:
                stream.expected = 0
        if end:
            self._check_length(stream)
            stream.received_end = True
        self._handler.on_headers(stream, headers)
        if end:
            self._end_if_done(stream)

    def _check_data(self, stream: Stream) -> None:
        if not stream.answered:
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")

    def _leave(self, last: int) -> None:
        if self._left and last > self._limit:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "GOAWAY takes back what it said")
        self._left = True
        self._limit = last

    def _forget_unseen(self, last: int) -> None:
        for stream in [each for each in self.streams.values() if each.id > last]:
            if not stream.closed:
                self._drop(stream, ours=True)
                self._handler.on_reset(stream, ErrorCode.REFUSED_STREAM)

    _limit = MAX_WINDOW
