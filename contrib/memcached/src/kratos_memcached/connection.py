"""One connection to a memcached, on which commands do not wait for each other's replies."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from kratos_memcached.replies import NotMemcached, Refused, Replies, Reply

__all__ = ["Connection"]


class Connection(asyncio.Protocol):
    """Sends commands as they come; replies come in the same order.

    Who no longer waits for a reply leaves it to be read and dropped, so that nobody ever gets the
    reply to another's command.
    """

    def __init__(self) -> None:
        self._replies = Replies()
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._transport: asyncio.Transport | None = None
        self._room: asyncio.Future[None] | None = None  # to be set when there is some to write

    @property
    def is_open(self) -> bool:
        """Whether it takes commands."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, command: bytes) -> Reply:
        """Return the reply to a command.

        Raises:
            ConnectionError: The connection was lost before it came.

        Cancellation: the command may have been sent, and done.
        """
        while self._room is not None:
            await asyncio.shield(self._room)
        if not self.is_open:
            raise ConnectionResetError("the connection was lost")
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        assert self._transport is not None
        self._transport.write(command)
        return await reply

    def abort(self) -> None:
        """Close it at once; who waits for a reply is told."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take commands from now on."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand out replies."""
        self._replies.feed(data)
        try:
            while (reply := self._replies.next()) is not None:
                self._hand_out(reply)
        except NotMemcached as error:
            self._end(error)

    def _hand_out(self, reply: Reply) -> None:
        if not self._waiting:
            raise NotMemcached("there was a reply to nothing")
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result(reply)
        if isinstance(reply, Refused) and not str(reply).startswith("SERVER_ERROR"):
            # It did not understand, so what it takes the next bytes for is not known.
            raise NotMemcached(f"the connection was given up, as it said {reply}")

    def pause_writing(self) -> None:
        """Let commands wait."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let them go on."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self._end(exc)
        self.resume_writing()

    def _end(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, deque()
        for reply in waiting:
            if not reply.done():
                lost = ConnectionResetError("the connection was lost")
                lost.__cause__ = error
                reply.set_exception(error if isinstance(error, NotMemcached) else lost)
        self.abort()
