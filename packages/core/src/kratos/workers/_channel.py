"""One end of the socket pair between a supervisor and a worker, on an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

from kratos.errors import KratosError
from kratos.workers._messages import Decoder, Message, encode

__all__ = ["Channel", "receive_first"]

_CHUNK = 65536


class Channel:
    """Sends messages, and gives those of the other end.

    Args:
        end: Ours of a socket pair; the channel closes it.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._decoder = Decoder()

    async def open(self) -> None:
        """Begin to use the event loop."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._end)

    def send(self, message: Message, /) -> None:
        """Send a message; if the other end is gone, it is lost, as the other end is."""
        self.send_frame(encode(message))

    def send_frame(self, frame: bytes, /) -> None:
        """Send a message that is encoded already; see ``send``."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame)

    @property
    def unread(self) -> int:
        """Bytes that the other end has not taken yet, beyond what the system holds."""
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    async def messages(self) -> AsyncIterator[Message]:
        """Give messages until the other end is closed.

        Raises:
            KratosError: What came is no message.
        """
        while data := await self._read():
            for message in self._decoder.feed(data):
                yield message

    async def flush(self) -> None:
        """Return when all that was sent is on its way, or the other end is gone."""
        if self._writer is not None:
            # Else it would return while up to 16 KiB, the end of a frame, have not been taken.
            self._writer.transport.set_write_buffer_limits(0)
            try:
                await self._writer.drain()
            except ConnectionError:
                return

    def close(self) -> None:
        """Close this end. Idempotent."""
        if self._writer is not None:
            self._writer.close()
        else:
            self._end.close()

    async def _read(self) -> bytes:
        assert self._reader is not None, "opened"
        try:
            return await self._reader.read(_CHUNK)
        except ConnectionError:
            return b""


def receive_first(end: socket.socket, /) -> Message:
    """Wait, without an event loop, for the first message, and leave what follows it unread.

    Raises:
        KratosError: The other end is closed, or what came is no message.
    """
    decoder = Decoder()
    # An order to stop may be right behind it, for the event loop that there will be.
    while data := end.recv(min(decoder.wanted, _CHUNK)):
        for message in decoder.feed(data):
            return message
    raise KratosError("the supervisor is gone")
