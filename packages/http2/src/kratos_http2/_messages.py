"""Frames of messages: DATA, HEADERS and CONTINUATION (RFC 9113, 6.1, 6.2, 6.10 and 8)."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from kratos_http2 import frames
from kratos_http2._control import ANY, ID, SELF_DEPENDENT, Control
from kratos_http2.errors import ErrorCode, Http2Error, StreamError
from kratos_http2.frames import FrameFlag, FrameType
from kratos_http2.handler import Handler
from kratos_http2.header_blocks import HeaderBlock
from kratos_http2.settings import Limits, Settings
from kratos_http2.stream import Stream

__all__ = ["SELF", "Messages"]

SELF: Final = 0x100  # beside the flags of HEADERS: the stream depends on itself

_EMPTY: Final = "empty DATA frames"
_CONTINUATION: Final = int(FrameType.CONTINUATION)
_END: Final = int(FrameFlag.END_STREAM)
_END_HEADERS: Final = int(FrameFlag.END_HEADERS)
_PADDED: Final = int(FrameFlag.PADDED)
_PRIORITY: Final = int(FrameFlag.PRIORITY)


class Messages(Control):
    """What ``Connection`` does with frames of messages; its arguments are those."""

    def __init__(
        self,
        handler: Handler,
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(handler, settings=settings, limits=limits, clock=clock)
        self._known = self._reader.known
        self._continued = 0  # the stream whose header block is not whole
        self._continued_flags = 0
        self._continuations = 0
        self._block = bytearray()

    def _on_data(self, flags: int, identifier: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection allows")
        stream = self.streams.get(identifier)
        if stream is None or stream.received_end:
            self._on_late_data(identifier, size)
            return
        stream.window -= size
        if stream.window < 0:
            self._give_back(size)
            raise StreamError(
                identifier, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream allows"
            )
        if self._by_stream:
            self._note_unread(size)
        stream.unread += size
        if flags & _PADDED:
            payload = self._without_padding(payload)
            self.consumed(stream, size - len(payload))
            size = len(payload)
        self._check_data(stream)
        stream.received += size
        end = flags & _END != 0
        if end:
            self._check_length(stream)
            stream.received_end = True
        elif not size:
            self._spend("empty_frames", _EMPTY)
        elif stream.expected is not None and stream.received > stream.expected:
            self._check_length(stream)
        self._handler.on_data(stream, payload)
        if end:
            self._end_if_done(stream)

    def _on_late_data(self, identifier: int, size: int) -> None:
        self._give_back(size)
        if not size:
            self._spend("empty_frames", _EMPTY)
        self._on_late(identifier, "DATA")

    @abstractmethod
    def _check_data(self, stream: Stream) -> None:
        """Refuse DATA that must not come now."""

    def _check_length(self, stream: Stream) -> None:
        """Hold a body to the length that was announced."""
        if stream.expected is not None and stream.received != stream.expected:
            raise StreamError(
                stream.id,
                ErrorCode.PROTOCOL_ERROR,
                f"the body has {stream.received} bytes, and not the {stream.expected} announced",
            )

    def _without_padding(self, payload: bytes) -> bytes:
        if not payload:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "a padded frame is empty")
        if payload[0] >= len(payload):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "there is more padding than payload")
        return payload[1 : len(payload) - payload[0]]

    def _on_headers(self, flags: int, identifier: int, payload: bytes) -> None:
        if not identifier:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        depends = 0
        if flags & (_PADDED | _PRIORITY):
            if flags & _PADDED:
                payload = self._without_padding(payload)
            if flags & _PRIORITY:
                if len(payload) < 5:
                    raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS lack their priority")
                depends = frames.number(payload[:4]) & ID
                payload = payload[5:]
        if depends == identifier:
            flags |= SELF  # told when the block is read, which the table needs
        if flags & _END_HEADERS:
            self._check_block(payload)
            self._on_block(identifier, payload, flags)
        else:
            self._continued, self._continued_flags = identifier, flags
            self._continuations = 0
            self._expected = _CONTINUATION
            self._block[:] = payload
            self._check_block(payload)

    def _on_continuation(self, flags: int, identifier: int, payload: bytes) -> None:
        if self._expected != _CONTINUATION:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._continuations += 1
        if self._continuations > self._limits.max_continuations:
            raise self._broken("max_continuations", "too many CONTINUATION frames")
        self._block += payload
        self._check_block(self._block)
        if flags & _END_HEADERS:
            block = bytes(self._block)
            self._block.clear()
            self._expected, self._continued = ANY, 0
            self._on_block(identifier, block, self._continued_flags)

    def _check_block(self, block: bytes | bytearray) -> None:
        if len(block) > self._limits.max_header_block:
            raise self._broken("max_header_block", "a header block is too large")

    def _on_block(self, identifier: int, block: bytes, flags: int) -> None:
        headers = self._known.get(block) or self._reader.read(block)
        stream = self.streams.get(identifier)
        if stream is None:
            self._on_opening(identifier, headers, flags)
        elif stream.received_end:
            raise StreamError(identifier, ErrorCode.STREAM_CLOSED, "HEADERS after its end")
        elif flags & SELF:
            raise StreamError(identifier, ErrorCode.PROTOCOL_ERROR, SELF_DEPENDENT)
        else:
            self._on_more(stream, headers, flags)

    @abstractmethod
    def _on_opening(self, identifier: int, headers: HeaderBlock, flags: int) -> None:
        """Take headers of a stream that is not open."""

    @abstractmethod
    def _on_more(self, stream: Stream, headers: HeaderBlock, flags: int) -> None:
        """Take headers of an open stream."""

    def _take_trailers(self, stream: Stream, headers: HeaderBlock, flags: int) -> None:
        if not flags & _END:
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers do not end it")
        if headers.trailers_problem:
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, headers.trailers_problem)
        self._check_length(stream)
        stream.received_end = True
        self._handler.on_trailers(stream, headers)
        self._end_if_done(stream)

    def _on_late(self, identifier: int, what: str) -> None:
        """Judge a frame on a stream that is not open for it."""
        if self._is_idle(identifier):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"{what} on idle stream {identifier}")
        if identifier in self.streams:
            raise StreamError(identifier, ErrorCode.STREAM_CLOSED, f"{what} after its end")
        ours = self._resets.get(identifier)
        if ours is None:
            raise Http2Error(
                ErrorCode.STREAM_CLOSED, f"{what} on stream {identifier} after its end"
            )
        if not ours:
            raise StreamError(identifier, ErrorCode.STREAM_CLOSED, f"{what} after it was reset")
