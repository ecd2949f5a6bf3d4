"""The server's side of a connection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kratos_http2 import frames
from kratos_http2._control import SELF_DEPENDENT
from kratos_http2._messages import SELF
from kratos_http2._sending import REASONS
from kratos_http2.connection import Connection
from kratos_http2.errors import ErrorCode, Http2Error, StreamError
from kratos_http2.frames import FrameFlag
from kratos_http2.handler import Handler
from kratos_http2.header_blocks import HeaderBlock
from kratos_http2.settings import MAX_WINDOW, Limits, Settings
from kratos_http2.stream import Stream

__all__ = ["ServerConnection"]

_END: Final = int(FrameFlag.END_STREAM)
_ROUND_TRIP: Final = b"\x00kratos\x00"  # payload of the ping between the two GOAWAY of a drain


class ServerConnection(Connection):
    """A connection that answers requests; see ``Connection``."""

    _client = False
    _prefaced = False
    _draining = False

    def __init__(
        self,
        handler: Handler,
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(handler, settings=settings, limits=limits, clock=clock)
        # Identifiers that were passed over, which tells a stream that comes late from one that
        # ended. No honest client does that, so the newest are enough.
        self._skipped: deque[tuple[int, int]] = deque(maxlen=16)

    @property
    def sent_away(self) -> bool:
        """Whether the peer was told which stream is the last one."""
        return self._goaway is not None

    def drain(self) -> None:
        """Send the peer away: what it sent until it hears of that is still answered."""
        if not self._draining and self._goaway is None and self.fault is None:
            self._draining = True
            self._put(frames.goaway(MAX_WINDOW, ErrorCode.NO_ERROR))
            self.ping(_ROUND_TRIP)

    def _pong(self, payload: bytes) -> None:
        if payload == _ROUND_TRIP and self._draining and self._goaway is None:
            self.goaway()
        else:
            super()._pong(payload)

    def _skip_preface(self, data: bytes) -> int:
        if self._prefaced:
            return 0
        size = len(frames.PREFACE)
        if data[:size] != frames.PREFACE[: len(data)]:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "this is no preface of HTTP/2")
        if len(data) < size:
            return -1
        self._prefaced = True
        return size

    def _is_idle(self, identifier: int) -> bool:
        return identifier > self._last or not identifier & 1

    def _on_opening(self, identifier: int, headers: HeaderBlock, flags: int) -> None:
        last = self._last
        if not identifier & 1:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"stream {identifier} is none of a client")
        if identifier <= last:
            if any(least <= identifier <= most for least, most in self._skipped):
                raise Http2Error(
                    ErrorCode.PROTOCOL_ERROR, f"stream {identifier} begins after {last} did"
                )
            self._on_late(identifier, "HEADERS")
            return
        if identifier > last + 2:
            self._skipped.append((last + 1, identifier - 1))
        self._last = identifier
        if self._goaway is not None and identifier > self._goaway:
            self._spend("stream_errors", "streams after GOAWAY")
            self._remember_reset(identifier, ours=True)  # the peer was told that it is not served
            return
        if len(self.streams) >= self._settings.max_streams:
            raise StreamError(identifier, ErrorCode.REFUSED_STREAM, "too many streams")
        problem = SELF_DEPENDENT if flags & SELF else headers.opening_problem
        if not problem and headers.protocol and not self._settings.enable_connect:
            problem = "extended CONNECT is not offered"
        if problem:
            raise StreamError(identifier, ErrorCode.PROTOCOL_ERROR, problem)
        self._open(identifier, headers, ended=flags & _END != 0)

    def _open(self, identifier: int, headers: HeaderBlock, *, ended: bool) -> None:
        stream = Stream(
            identifier,
            window=self._stream_window,
            send_window=self.peer.initial_window,
            owner=None,
        )
        stream.expected = headers.content_length
        if ended:
            self._check_length(stream)
            stream.received_end = True
        self.streams[identifier] = stream
        self._credit += REASONS  # many clients open a window with each request
        self._handler.on_headers(stream, headers)

    def _on_more(self, stream: Stream, headers: HeaderBlock, flags: int) -> None:
        self._take_trailers(stream, headers, flags)

    def _check_data(self, stream: Stream) -> None:
        pass  # a request may have a body at any time

    def _leave(self, last: int) -> None:
        pass  # what is taken back is what we pushed, which is nothing

    def _forget_unseen(self, last: int) -> None:
        pass
