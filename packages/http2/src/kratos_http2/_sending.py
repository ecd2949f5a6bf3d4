"""The sending half of a connection."""

from __future__ import annotations

from collections import deque
from typing import Final

from kratos_http2 import frames
from kratos_http2._streams import Streams
from kratos_http2.frames import HEAD, FrameFlag, FrameType
from kratos_http2.settings import DEFAULT_FRAME
from kratos_http2.stream import Stream

__all__ = ["BURST", "REASONS", "Sending"]

BURST: Final = 256 * 1024  # bytes of DATA between two times that the output is taken

_SMALL: Final = 256  # bytes of a frame that a window cut off so small that it is no service
REASONS: Final = 2  # WINDOW_UPDATE frames for which one of DATA is a reason

_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_CONTINUATION: Final = int(FrameType.CONTINUATION)
_END: Final = int(FrameFlag.END_STREAM)
_END_HEADERS: Final = int(FrameFlag.END_HEADERS)


class Sending(Streams):
    """What ``Connection`` sends."""

    _pumping = False

    def send_headers(
        self, stream: Stream, block: bytes, *, end: bool = False, interim: bool = False
    ) -> None:
        """Send a header block that was prepared by ``encode_fields``.

        Args:
            stream: Of the message.
            block: Its header section.
            end: Whether there is no body.
            interim: Whether it is an answer with a status of 1xx.
        """
        if stream.closed:
            return
        self._require_open(stream)
        self._put_block(stream.id, block, _END if end else 0)
        if not interim:
            stream.answered = True
        if end:
            stream.sent_end = True
            self._end_if_done(stream)

    def send_data(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """Send a piece of a body, or keep it until windows and the transport allow it.

        Nothing happens on a stream that is closed: its peer may have reset it meanwhile.
        """
        if stream.closed:
            return
        self._require_open(stream)
        stream.sent_end = end
        size = len(data)
        if not stream.pending and (
            not size
            or (
                size <= stream.send_window
                and size <= self._send_window
                and not self._held
                and self._data_out + size <= BURST
            )
        ):
            if size or end:
                self._put_data(stream, data, size, _END if end else 0)
            if end:
                self._end_if_done(stream)
            return
        if end:
            stream.trailers = b""
        if size:
            if stream.queue is None:
                stream.queue = deque()
            stream.queue.append(data)
            stream.pending += size
            if stream.send_window > 0:
                self._waiting[stream.id] = stream
                self._pump()

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """End a body with trailers, after all that is pending of it."""
        if stream.closed:
            return
        self._require_open(stream)
        stream.sent_end = True
        if stream.pending:
            stream.trailers = block
            return
        self._put_block(stream.id, block, _END)
        self._end_if_done(stream)

    def answer(
        self, stream: Stream, block: bytes, data: bytes, trailers: bytes | None = None
    ) -> None:
        """Send a whole message: a header section, a body, and trailers if there are some."""
        if stream.closed:
            return
        size = len(data)
        if not (
            0 < size <= stream.send_window
            and size <= self._send_window
            and size <= self._max_frame
            and len(block) <= DEFAULT_FRAME
            and (trailers is None or 0 < len(trailers) <= DEFAULT_FRAME)
            and not self._held
            and self._data_out < BURST
            and not (stream.sent_end or stream.pending or self._table_notice)
        ):
            self._answer_in_parts(stream, block, data, trailers)
            return
        stream.send_window -= size
        self._send_window -= size
        self._data_out += size
        self._credit += REASONS
        stream.sent_end = stream.answered = True
        pack, identifier, length = HEAD.pack, stream.id, len(block)
        head = pack(length >> 8, length & 0xFF, _HEADERS, _END_HEADERS, identifier)
        if trailers is None:
            self._out += (head, block, pack(size >> 8, size & 0xFF, _DATA, _END, identifier), data)
        else:
            length = len(trailers)
            self._out += (
                head,
                block,
                pack(size >> 8, size & 0xFF, _DATA, 0, identifier),
                data,
                pack(length >> 8, length & 0xFF, _HEADERS, _END_HEADERS | _END, identifier),
                trailers,
            )
        if not self._noticed:
            self._notice()
        if stream.received_end:
            self._end(stream)

    def _answer_in_parts(
        self, stream: Stream, block: bytes, data: bytes, trailers: bytes | None
    ) -> None:
        self.send_headers(stream, block, end=not data and trailers is None)
        if trailers is not None:
            if data:
                self.send_data(stream, data)
            self.send_trailers(stream, trailers)
        elif data:
            self.send_data(stream, data, end=True)

    def reset(self, stream: Stream, code: int) -> None:
        """Break a stream off; the handler is not called for it any more."""
        if not stream.closed:
            self._put(frames.rst_stream(stream.id, code))
            self._drop(stream, ours=True)

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the peer send as many bytes more: these have been used up.

        What was not consumed when a stream closes is given back by itself.
        """
        if stream.closed:
            return
        stream.unread -= size
        self._note_read(size)
        if stream.received_end:
            return
        stream.spent += size
        if stream.spent * 2 >= self._settings.stream_window:
            stream.window += stream.spent
            spent, stream.spent = stream.spent, 0
            self._put(frames.window_update(stream.id, spent))

    def _put_block(self, identifier: int, block: bytes, flags: int) -> None:
        if self._table_notice:
            block, self._table_notice = self._table_notice + block, b""
        limit = self._max_frame
        if len(block) <= limit:
            self._put(frames.frame(_HEADERS, flags | _END_HEADERS, identifier, block))
            return
        kind = _HEADERS
        while len(block) > limit:
            self._put(frames.frame(kind, flags, identifier, block[:limit]))
            block = block[limit:]
            kind, flags = _CONTINUATION, 0
        self._put(frames.frame(kind, _END_HEADERS, identifier, block))

    def _put_data(self, stream: Stream, data: bytes, size: int, flags: int) -> None:
        """Send DATA for which there is room."""
        stream.send_window -= size
        self._send_window -= size
        self._data_out += size
        self._credit += REASONS
        limit, identifier, out = self._max_frame, stream.id, self._out
        position = 0
        while size - position > limit:
            piece = data[position : position + limit]
            out += (HEAD.pack(limit >> 8, limit & 0xFF, _DATA, 0, identifier), piece)
            position += limit
            self._credit += REASONS
        left = size - position
        out += (
            HEAD.pack(left >> 8, left & 0xFF, _DATA, flags, identifier),
            data[position:] if position else data,
        )
        if not self._noticed:
            self._notice()

    def _pump(self) -> None:
        """Send what waits, a frame of each stream in turn."""
        if self._pumping:
            return  # the handler was called from below, and goes on there
        self._pumping = True
        waiting = self._waiting
        try:
            while waiting and self._send_window > 0 and not self._held and self._data_out < BURST:
                identifier, stream = waiting.popitem(last=False)
                size = min(stream.send_window, self._send_window, self._max_frame, stream.pending)
                if size <= 0:
                    continue  # until its own window grows
                self._put_pending(stream, size)
                if not stream.pending:
                    self._finish(stream)
                elif stream.send_window > 0:
                    waiting[identifier] = stream
        finally:
            self._pumping = False

    def _finish(self, stream: Stream) -> None:
        """Do what had to wait for the last of what was pending."""
        if stream.trailers:
            self._put_block(stream.id, stream.trailers, _END)
        stream.trailers = None
        self._end_if_done(stream)
        self._handler.on_room(stream)

    def _put_pending(self, stream: Stream, size: int) -> None:
        """Send one frame of so many bytes of what a stream has waiting."""
        data = self._next_piece(stream, size)
        stream.pending -= size
        last = not stream.pending and stream.trailers == b""
        self._put_data(stream, data, size, _END if last else 0)
        if stream.pending and size < _SMALL:
            self._credit -= REASONS

    def _next_piece(self, stream: Stream, size: int) -> bytes:
        queue, offset = stream.queue, stream.offset
        assert queue is not None, "it has waited"
        parts: list[bytes] = []
        while size:
            piece = queue[0]
            part = piece[offset : offset + size]
            size -= len(part)
            offset += len(part)
            parts.append(part)
            if offset == len(piece):
                queue.popleft()
                offset = 0
        stream.offset = offset
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _require_open(self, stream: Stream) -> None:
        if stream.sent_end:
            raise RuntimeError(f"{stream!r} was ended already")
