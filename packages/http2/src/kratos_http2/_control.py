"""Frames that are about the connection, or about a stream as a whole (RFC 9113, 6.3 to 6.9)."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from kratos_http2 import frames
from kratos_http2._sending import Sending
from kratos_http2.decompression import DEFAULT_TABLE
from kratos_http2.errors import ErrorCode, Http2Error, StreamError
from kratos_http2.frames import FrameFlag, FrameType
from kratos_http2.handler import Handler
from kratos_http2.header_blocks import HeaderReader
from kratos_http2.settings import MAX_WINDOW, Limits, Settings

__all__ = ["ANY", "ID", "SELF_DEPENDENT", "Control"]

ID: Final = 0x7FFFFFFF
ANY: Final = -1  # no particular frame is expected
SELF_DEPENDENT: Final = "a stream cannot depend on itself"

_ACK: Final = int(FrameFlag.ACK)  # flags of enumerations are slow to compare
_MOST_FRAME: Final = 64 * 1024  # bytes that we put in one, so that streams take turns
_MOST_CREDIT: Final = 10_000  # WINDOW_UPDATE frames, however much DATA was sent


class Control(Sending):
    """What ``Connection`` does with all frames but those of messages; its arguments are those."""

    def __init__(
        self,
        handler: Handler,
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(handler, settings=settings, limits=limits, clock=clock)
        self._reader = HeaderReader(
            request=not self._client,
            max_list=self._settings.max_header_list,
            table=self._settings.header_table,
        )
        self.ping_excused = False
        self._expected = int(FrameType.SETTINGS)  # the only type that may come now

    def _on_priority(self, flags: int, identifier: int, payload: bytes) -> None:
        if not identifier:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._spend("priorities", "PRIORITY frames")
        if len(payload) != 5:
            code, problem = ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has five bytes"
        elif frames.number(payload[:4]) & ID == identifier:
            code, problem = ErrorCode.PROTOCOL_ERROR, SELF_DEPENDENT
        else:
            return
        if self._is_idle(identifier):  # which cannot be reset
            raise Http2Error(code, problem)
        raise StreamError(identifier, code, problem)

    def _on_rst_stream(self, flags: int, identifier: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has four bytes")
        if self._is_idle(identifier):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on idle stream {identifier}")
        stream = self.streams.get(identifier)
        if stream is None or not (stream.answered or self._client):
            self._spend_reset()
        if stream is not None:
            self._drop(stream, ours=False)
            self._handler.on_reset(stream, frames.number(payload))

    def _spend_reset(self) -> None:
        self.budgets["resets"].give(self._served)
        self._served = 0
        self._spend("resets", "streams reset before they were answered")

    def _on_settings(self, flags: int, identifier: int, payload: bytes) -> None:
        if identifier:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & _ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement holds settings")
            if self._expected >= 0:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS were due")
            self._on_acknowledged()
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "a setting has six bytes")
        self._expected = ANY
        self._spend("settings", "SETTINGS frames")
        peer = self.peer
        window, table = peer.initial_window, DEFAULT_TABLE
        for name, value in frames.pairs(payload):
            peer.update({name: value}, from_server=self._client)
            table = min(table, peer.header_table_size)
        if table < DEFAULT_TABLE and not self._table_said:
            self._table_said = True
            self._table_notice = b"\x20"  # our blocks need no table: its size is none
        self._max_frame = min(peer.max_frame_size, _MOST_FRAME)
        self._put_reaction(frames.settings_ack())
        if peer.initial_window != window:
            self._widen(peer.initial_window - window)
        self._handler.on_settings()

    def _on_acknowledged(self) -> None:
        """Hold the peer to our settings, which it has taken now."""
        if not self._acks_due:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "acknowledges settings that there are not")
        self._acks_due -= 1
        self._reader.acknowledged()
        less = self._stream_window - self._settings.stream_window
        if less:
            self._stream_window -= less
            for stream in self.streams.values():
                stream.window -= less

    def _widen(self, difference: int) -> None:
        """Apply another initial window to the streams that are open."""
        for stream in self.streams.values():
            stream.send_window += difference
            if stream.send_window > MAX_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large")
            if stream.pending and stream.send_window > 0:
                self._waiting[stream.id] = stream
        if self._waiting:
            self._pump()

    def _on_push_promise(self, flags: int, identifier: int, payload: bytes) -> None:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody asked for")

    def _on_ping(self, flags: int, identifier: int, payload: bytes) -> None:
        if identifier:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING has eight bytes")
        if flags & _ACK:
            if self._pongs_due:
                self._pongs_due -= 1
            else:
                self._spend("pings", "answers to no PING")
            self._pong(payload)
            return
        self.ping_excused = self._pings_due > 0
        if self.ping_excused:
            self._pings_due -= 1
        else:
            self._spend("pings", "PING frames")
        self._put_reaction(frames.ping(payload, ack=True))
        self._handler.on_ping(payload)

    def _pong(self, payload: bytes) -> None:
        self._handler.on_pong(payload)

    def _on_goaway(self, flags: int, identifier: int, payload: bytes) -> None:
        if identifier:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has eight bytes or more")
        self._spend("goaways", "GOAWAY frames")
        last, code = frames.numbers(payload)
        self._leave(last)
        self._handler.on_goaway(last, code, payload[8:])
        self._forget_unseen(last)

    @abstractmethod
    def _leave(self, last: int) -> None:
        """Note that the peer takes no more streams."""

    @abstractmethod
    def _forget_unseen(self, last: int) -> None:
        """Drop the streams that it has not looked at, and never will."""

    def _on_window_update(self, flags: int, identifier: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes")
        if self._credit > 0:
            self._credit = min(self._credit, _MOST_CREDIT) - 1
        else:
            self._spend("window_updates", "WINDOW_UPDATE frames")
        more = frames.number(payload) & ID
        if identifier:
            self._widen_stream(identifier, more)
        elif not more:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        else:
            self._send_window += more
            if self._send_window > MAX_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        if self._waiting:
            self._pump()

    def _widen_stream(self, identifier: int, more: int) -> None:
        stream = self.streams.get(identifier)
        if stream is None:
            if self._is_idle(identifier):
                raise Http2Error(
                    ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on idle stream {identifier}"
                )
            return
        if not more:
            raise StreamError(identifier, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        stream.send_window += more
        if stream.send_window > MAX_WINDOW:
            raise StreamError(identifier, ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        if stream.pending and stream.send_window > 0:
            self._waiting[identifier] = stream

    @abstractmethod
    def _is_idle(self, identifier: int) -> bool:
        """Tell whether a stream was never opened, by its side."""
