"""A connection: bytes that come are cut into frames, which are taken one after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kratos_http2 import frames
from kratos_http2._control import ID
from kratos_http2._messages import Messages
from kratos_http2.errors import ErrorCode, Http2Error, StreamError
from kratos_http2.frames import HEAD, HEAD_SIZE, FrameType
from kratos_http2.handler import Handler
from kratos_http2.settings import Limits, Settings

__all__ = ["Connection"]

_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_OTHERS: Final = {int(kind): f"_on_{kind.name.lower()}" for kind in FrameType}


class Connection(Messages):
    """A connection without a socket: ``receive`` bytes, ``take`` bytes, and be called back.

    Args:
        handler: Is told what happens.
        settings: What is announced to the peer.
        limits: What the peer may do.
        clock: Seconds, monotonic; looked at for limits on what peers do often.

    Attributes:
        streams: All that are open, by identifier.
        peer: What the peer announced.
        fault: Why the connection ended; ``None`` while it has not.
        ping_excused: Whether our DATA gave reason to the latest ping of the peer.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(handler, settings=settings, limits=limits, clock=clock)
        self._parts: list[bytes] = []  # of a frame that is not whole
        self._kept = 0  # bytes of them
        self._missing = 0  # bytes that it lacks, at least

    @property
    def buffered(self) -> int:
        """Bytes that came of a frame, or of a header block, that is not whole."""
        return self._kept + len(self._block)

    @property
    def in_headers(self) -> bool:
        """Whether a header block has begun and is not whole."""
        return self._continued != 0

    def rest(self) -> None:
        """Take less memory: nothing has come for a while. What comes next is read more slowly."""
        self._reader.forget()

    def receive(self, data: bytes) -> None:
        """Take bytes that the peer sent; what follows from them is told to the handler."""
        if self.fault is not None:
            return
        if self._parts:
            self._keep(data, self._missing - len(data))
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._forget_parts()
        try:
            position = self._skip_preface(data)
            if position < 0:
                self._keep(data, 1)
            else:
                self._read(data, position)
        except Http2Error as error:
            self._fail(error)

    def _read(self, data: bytes, position: int) -> None:
        """Take all whole frames from there on, and keep what is left."""
        size, missing = len(data), 1
        unpack, largest = HEAD.unpack_from, self._settings.max_frame_size
        while size - position >= HEAD_SIZE:
            high, low, kind, flags, identifier = unpack(data, position)
            length = high << 8 | low
            if length > largest:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame has {length} bytes")
            end = position + HEAD_SIZE + length
            if self._expected >= 0:
                self._require_expected(kind, identifier & ID)
            if end > size:
                missing = end - size
                break
            payload = data[position + HEAD_SIZE : end]
            position = end
            try:
                if kind == _DATA:
                    self._on_data(flags, identifier & ID, payload)
                elif kind == _HEADERS:
                    self._on_headers(flags, identifier & ID, payload)
                else:
                    self._on_other(kind, flags, identifier & ID, payload)
            except StreamError as error:
                self._stream_fault(error)
            if self.fault is not None:
                return
        if position < size:
            self._keep(data[position:], missing)

    def _on_other(self, kind: int, flags: int, identifier: int, payload: bytes) -> None:
        name = _OTHERS.get(kind)
        if name is None:
            self._spend("unknown", "frames of unknown types")
        else:
            getattr(self, name)(flags, identifier, payload)

    def _keep(self, data: bytes, missing: int) -> None:
        self._parts.append(data)
        self._kept += len(data)
        self._missing = missing

    def _forget_parts(self) -> None:
        self._parts.clear()
        self._kept = 0

    def _skip_preface(self, data: bytes) -> int:
        """Return where frames begin; -1 if that cannot be told yet."""
        return 0

    def _require_expected(self, kind: int, identifier: int) -> None:
        if kind != self._expected:
            name = FrameType(self._expected).name
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"{name} was due, not type {kind}")
        if self._continued and identifier != self._continued:
            raise Http2Error(
                ErrorCode.PROTOCOL_ERROR, f"CONTINUATION is due on stream {self._continued}"
            )

    def _stream_fault(self, error: StreamError) -> None:
        """Reset a stream on which the peer was at fault."""
        if self.fault is not None:
            return  # the handler's answer was too much for a peer that does not read
        self._spend("stream_errors", "streams that had to be reset")
        self._put_reaction(frames.rst_stream(error.stream, error.code))
        stream = self.streams.get(error.stream)
        if stream is None:
            self._remember_reset(error.stream, ours=True)
            return
        self._drop(stream, ours=True)
        self._handler.on_stream_error(stream, error)

    def _fail(self, error: Http2Error) -> None:
        self._forget_parts()
        self._block.clear()
        super()._fail(error)
