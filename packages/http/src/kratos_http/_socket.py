"""One WebSocket over a connection, at either end: queue, pings, close."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from typing import Final, Protocol

from kratos.transport import Cause
from kratos_http._frames import Frames, Message
from kratos_http._turns import Turns

__all__ = ["FramedSocket", "Pipe"]

_HIGH_WATER: Final = 64 * 1024  # bytes of messages that may wait to be received
_MOST_OWED: Final = 64 * 1024  # bytes that answer pings and may wait to be sent
_SLICE: Final = 2 * 1024  # bytes that are read in one go
_MANY: Final = 64  # frames that are read before others have their turn
_OVERHEAD: Final = 64  # bytes that a waiting message counts besides its own
_PING_TIMEOUT: Final = 1011


class Pipe(Protocol):
    """The connection beneath.

    It calls ``relieve`` of its socket when it is writable again.
    """

    @property
    def writable(self) -> bool:
        """Whether the peer takes what is sent to it."""
        ...

    def send(self, data: bytes) -> None:
        """Write, if there still is somebody to write to."""
        ...

    async def room(self) -> None:
        """Wait while the peer is slow; raises ``Error`` when it has gone."""
        ...

    def regulate(self) -> None:
        """Read while the socket is not full, and only then."""
        ...

    def hang_up(self) -> None:
        """End the connection once everything is sent."""
        ...

    def abort(self) -> None:
        """Cut the connection off."""
        ...


class FramedSocket:
    """An open WebSocket; the connection feeds it.

    Args:
        pipe: The connection.
        frames: Its frames.
        close_timeout: Seconds for the peer's answer to a close frame.

    Attributes:
        newest: The newest message that came.
    """

    __slots__ = (
        "_closing",
        "_due",
        "_ended",
        "_frames",
        "_gone",
        "_heard",
        "_interval",
        "_messages",
        "_most",
        "_owed",
        "_pinged",
        "_pipe",
        "_reading",
        "_sending",
        "_size",
        "_strict",
        "_timeout",
        "_timer",
        "_turns",
        "_unread",
        "_wait",
        "newest",
    )

    def __init__(self, pipe: Pipe, frames: Frames, *, close_timeout: float) -> None:
        self.newest: Message | None = None
        self._pipe = pipe
        self._frames = frames
        self._wait = close_timeout
        self._messages: deque[Message] = deque()
        self._size = 0
        self._unread = bytearray()  # what came and is read in a later turn
        self._due = False  # that turn is on its way
        self._most = _MANY  # frames that may have come before it
        self._owed = 0  # bytes that answer pings, sent since the peer took everything
        self._reading: asyncio.Future[None] | None = None
        self._sending = asyncio.Lock()  # a handler may send from several tasks
        self._turns = Turns()
        self._closing = False
        self._gone = False
        self._ended = asyncio.Event()  # a close frame came, or nothing ever will
        self._timer: asyncio.TimerHandle | None = None
        self._interval = self._timeout = math.inf
        self._strict = self._heard = self._pinged = False

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; ``None`` while none came."""
        return self._frames.close_code

    @property
    def full(self) -> bool:
        """Whether enough waits: to be read, to be received, or to be sent in answer to pings."""
        return bool(self._unread) or self._crowded

    @property
    def unread(self) -> bool:
        """Whether something came that is still to be read, though nothing more may come."""
        return bool(self._unread)

    @property
    def _crowded(self) -> bool:
        """Whether nothing more is to be read for now.

        What handlers send counts for nothing here: two ends that both send more than the other
        takes would wait for each other.
        """
        if self._owed > _MOST_OWED and not self._gone:
            return True
        return self._size > _HIGH_WATER and not self._closing

    def ping_every(self, interval: float, *, timeout: float, strict: bool) -> None:
        """Ping whenever nothing came for a while.

        Args:
            interval: Seconds of silence before a ping.
            timeout: Seconds for anything to come after it.
            strict: Whether to give the peer up then.
        """
        self._interval, self._timeout, self._strict = interval, timeout, strict
        self._schedule(interval)

    async def receive(self) -> Message | None:
        """Return the next message; see ``Socket``."""
        while not self._messages:
            if self._frames.failure is not None:
                raise self._frames.failure.clone()
            if self._frames.close_code is not None:
                return None
            if self._gone and not self._unread:
                raise Cause.PEER_GONE.error()
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading
        message = self._messages.popleft()
        self._size -= len(message) + _OVERHEAD
        self._go_on()
        return message

    async def send(self, message: Message, /) -> None:
        """Send a message; see ``Socket``."""
        async with self._sending:
            if self._gone:
                raise Cause.PEER_GONE.error()
            self._frames.send(message)
            self._flush()
            await self._pipe.room()
            await self._turns.take()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait for the peer's; see ``Socket``.

        Cancellation: cuts the connection off.
        """
        self._closing = True
        self._messages.clear()
        self._size = 0
        self._frames.close(code, reason)
        self._flush()
        self._go_on()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait):
                    await self._ended.wait()
                return
        except asyncio.CancelledError:
            self._pipe.abort()
            raise
        self._pipe.abort()

    # For the connection.

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._heard = True
        if self._pinged:
            self._pinged = False
            self._schedule(self._interval)
        if self._due or self._unread or self._crowded or len(data) > _SLICE:
            self._unread += data
            self._read_slices()
        else:
            self._read(data)

    def _read_slices(self) -> None:
        """Read what came as long as there is room, and until others are to have their turn."""
        unread = self._unread
        while unread and not (self._due or self._crowded):
            data = unread[:_SLICE]
            del unread[:_SLICE]
            self._read(data)

    def _read_on(self) -> None:
        self._due = False
        self._most = self._frames.taken + _MANY
        self._read_slices()
        if not self._unread:
            self._pipe.regulate()

    def _read_later(self) -> None:
        """Let others have their turn: a few KiB may be hundreds of pings that are answered."""
        self._due = True
        asyncio.get_running_loop().call_soon(self._read_on)

    def _go_on(self) -> None:
        """Read on, now that there may be room: first what came already."""
        if not self._unread:
            self._pipe.regulate()
        elif not (self._due or self._crowded):
            self._read_later()

    def _read(self, data: bytes | bytearray) -> None:
        for message in self._frames.feed(data):
            self.newest = message
            if not self._closing:
                self._messages.append(message)
                self._size += len(message) + _OVERHEAD
        sent = self._flush()
        if sent and not self._pipe.writable:
            self._owed += sent
        frames = self._frames
        if frames.close_code is not None or frames.failure is not None:
            self._unread.clear()
            self._end()
        self._wake()
        if frames.taken > self._most and not self._due:
            self._read_later()

    def relieve(self) -> None:
        """Note that the peer has taken what it was sent."""
        self._owed = 0
        self._go_on()

    def lose(self) -> None:
        """Note that the connection has ended."""
        self._gone = True
        self._end()
        self._wake()
        if self._unread:
            self._go_on()

    def _end(self) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> int:
        """Send what is to be sent, in one piece, and return how many bytes that is."""
        pieces = self._frames.outgoing()
        if not pieces:
            return 0
        data = b"".join(pieces)
        if data:
            self._pipe.send(data)
        if not pieces[-1]:
            self._pipe.hang_up()
        return len(data)

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if seconds < math.inf:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Ping, or give the peer up, if it was silent."""
        if self._heard or self.full:  # what is not read cannot be heard
            self._heard = False
            self._schedule(self._interval)
            return
        if self._pinged and self._strict:
            self._frames.fail(_PING_TIMEOUT, "no answer to a ping")
            self._flush()
            self._pipe.abort()
            return
        self._pinged = True
        self._frames.ping()
        self._flush()
        self._schedule(self._timeout)

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
