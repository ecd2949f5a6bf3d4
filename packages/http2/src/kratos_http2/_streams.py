"""The streams of a connection, and its output: what sending and receiving share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kratos_http2 import frames
from kratos_http2.budget import Budget
from kratos_http2.errors import ErrorCode, Http2Error
from kratos_http2.handler import Handler
from kratos_http2.settings import DEFAULT_FRAME, DEFAULT_WINDOW, Limits, PeerSettings, Settings
from kratos_http2.stream import Stream

__all__ = ["Streams"]

_REMEMBERED: Final = 4096  # streams that were reset, of which late frames are no fault
_MOST_PINGS: Final = 4096  # of those that our DATA gives reason to
_BUDGETS: Final = (
    "resets",
    "stream_errors",
    "pings",
    "settings",
    "goaways",
    "empty_frames",
    "window_updates",
    "priorities",
    "unknown",
)


class Streams(ABC):
    """What ``Connection`` keeps, whatever comes or goes; its arguments are those."""

    _client: bool

    def __init__(
        self,
        handler: Handler,
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self.peer = PeerSettings()
        self.fault: Http2Error | None = None
        self._handler = handler
        self._settings = settings or Settings()
        self._limits = limits or Limits()
        self._last = 0  # the highest stream that the peer opened
        self._served = 0  # streams that ended well and forgive a reset
        self._window: int = DEFAULT_WINDOW
        self._spent = 0  # bytes read that the peer was not told of
        self._by_stream = self._settings.by_stream
        self._unread = 0  # bytes of all streams, if windows are given by stream
        self._kept_back = 0  # bytes that the peer was not given, as too many are unread
        # Until the peer knows better, it may send what the protocol's default allows.
        self._stream_window: int = max(self._settings.stream_window, DEFAULT_WINDOW)
        self._acks_due = 0  # acknowledgements of our settings
        self._pongs_due = 0
        # Streams that were reset, and whether by us.
        self._resets: OrderedDict[int, bool] = OrderedDict()
        self._goaway: int | None = None  # the last stream that we said we would serve
        self._out: list[bytes] = []
        self._noticed = False  # the handler knows that there is output
        self._held = False
        self._data_out: int = 0  # bytes of DATA in the output
        self._control_out: int = 0  # bytes of frames in it that the peer made us send
        self._send_window: int = DEFAULT_WINDOW
        # Streams with DATA that waits for others, for the connection's window or for the transport.
        # One that waits for its own window is not among them.
        self._waiting: OrderedDict[int, Stream] = OrderedDict()
        self._max_frame: int = DEFAULT_FRAME
        self._pings_due: int = 0  # our DATA gives reason to them: peers measure the way by it
        self._table_notice = b""
        self._table_said = False  # the peer was told that our blocks need no table
        self._credit: int = 0  # WINDOW_UPDATE frames that there is reason to
        self.budgets: dict[str, Budget] = {
            name: Budget(
                getattr(self._limits, name), per_second=self._limits.per_second, clock=clock
            )
            for name in _BUDGETS
        }

    def start(self) -> None:
        """Queue what a connection begins with."""
        if self._client:
            self._out.append(frames.PREFACE)
        self._out.append(frames.settings(self._settings.pairs(client=self._client)))
        self._acks_due += 1
        more = self._settings.connection_window - DEFAULT_WINDOW
        if more > 0:
            self._window += more
            self._out.append(frames.window_update(0, more))
        self._notice()

    def take(self) -> bytes:
        """Return all output, for the transport."""
        taken = b"".join(self._out)
        self._out.clear()
        self._noticed = False
        if self._data_out:
            due = self._pings_due + 1 + self._data_out // DEFAULT_FRAME
            self._pings_due = min(due, _MOST_PINGS)
        self._data_out = self._control_out = 0
        if self._waiting:
            self._pump()
        return taken

    def hold(self) -> None:
        """Keep DATA back: the transport has enough."""
        self._held = True

    def resume(self) -> None:
        """Let DATA go again."""
        self._held = False
        if self._waiting:
            self._pump()
        if self._out:
            self._notice()

    def goaway(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Tell the peer that new streams are not taken any more; those that are open go on."""
        self._say_goaway(self._last, code, debug)

    def _say_goaway(self, last: int, code: int, debug: bytes) -> None:
        if self.fault is None:
            self._goaway = last if self._goaway is None else min(last, self._goaway)
            self._put(frames.goaway(self._goaway, code, debug))

    def ping(self, payload: bytes) -> None:
        """Ping the peer with eight bytes; ``on_pong`` follows.

        Raises:
            ValueError: It is not eight bytes.
        """
        if len(payload) != 8:
            raise ValueError(f"a ping has 8 bytes, not {len(payload)}")
        if self.fault is None:
            self._pongs_due += 1
            self._put(frames.ping(payload, ack=False))

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        if self._held:
            self._control_out += len(data)
            if self._control_out > self._limits.max_output and self.fault is None:
                self._fail(self._untaken())
        elif not self._noticed:
            self._notice()

    def _put_reaction(self, data: bytes) -> None:
        """Send what the peer asked for, as long as it reads it."""
        self._control_out += len(data)
        if self._control_out > self._limits.max_output:
            raise self._untaken()
        self._out.append(data)
        if not self._noticed:
            self._notice()

    def _untaken(self) -> Http2Error:
        return self._broken("max_output", "it does not read what it asks for")

    def _notice(self) -> None:
        if not self._noticed and not self._held:
            self._noticed = True
            self._handler.on_output()

    def _fail(self, error: Http2Error) -> None:
        """End the connection."""
        if self.fault is not None:
            return
        self.fault = error
        for stream in self.streams.values():
            stream.closed = True
            self._clear(stream)
        self._waiting.clear()
        last = self._last if self._goaway is None else min(self._last, self._goaway)
        self._put(frames.goaway(last, error.code, error.message.encode()[:200]))
        self._handler.on_fault(error)

    def _end_if_done(self, stream: Stream) -> None:
        if stream.received_end and stream.sent_end and not stream.pending:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        """Forget a stream that ended well."""
        if stream.closed:
            return
        stream.closed = True
        self._served += 1
        del self.streams[stream.id]
        if stream.unread:
            self._note_read(stream.unread)
            stream.unread = 0

    def _drop(self, stream: Stream, *, ours: bool) -> None:
        """Forget a stream that was reset."""
        self._end(stream)
        self._served -= 1
        self._clear(stream)
        self._waiting.pop(stream.id, None)
        self._remember_reset(stream.id, ours=ours)

    def _clear(self, stream: Stream) -> None:
        """Forget what a stream has to send."""
        stream.pending = 0
        stream.queue = stream.trailers = None

    def _remember_reset(self, identifier: int, *, ours: bool) -> None:
        resets = self._resets
        resets[identifier] = ours
        if len(resets) > _REMEMBERED:
            resets.popitem(last=False)

    def _note_unread(self, size: int) -> None:
        """Give back what has come, unless too much of it is unread."""
        self._unread += size
        if self._unread <= self._settings.max_unread:
            self._give_back(size)
        else:
            self._kept_back += size

    def _note_read(self, size: int) -> None:
        """Give back what has been read, if that was not done when it came."""
        if not self._by_stream:
            self._give_back(size)
            return
        self._unread -= size
        if self._kept_back and self._unread <= self._settings.max_unread:
            kept, self._kept_back = self._kept_back, 0
            self._give_back(kept)

    def _give_back(self, size: int) -> None:
        """Let the peer send as many bytes more on the connection."""
        self._spent += size
        if self._spent * 2 >= self._settings.connection_window:
            self._window += self._spent
            spent, self._spent = self._spent, 0
            self._put(frames.window_update(0, spent))

    def _spend(self, name: str, what: str) -> None:
        if not self.budgets[name].spend():
            raise self._broken(name, f"too many {what}")

    def _broken(self, limit: str, message: str) -> Http2Error:
        return Http2Error(ErrorCode.ENHANCE_YOUR_CALM, message, limit=limit)

    @abstractmethod
    def _pump(self) -> None:
        """Send what waits, as far as windows and the transport allow it."""
