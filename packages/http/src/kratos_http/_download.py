"""A stream of replies whose bytes are the body of one answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from kratos.transport import Call, EnoughSent
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Wire
from kratos_http._inbound import add_headers
from kratos_http._selection import Selection, select
from kratos_http._transfers import Part
from kratos_http._turns import Turns

__all__ = ["Download"]

_log = logging.getLogger("kratos.http")


class Download:
    """The answer to one request, begun by its first message.

    That one has the content type. A ``content-length`` among the reply headers is sent and held
    to; without one the body goes in chunks. Of what ``select`` leaves out, no byte is sent, and
    the handler ends as soon as nothing more of it is.

    Args:
        head: Of the request.
        wire: Where to.
        part: Where messages hold their bytes.
        expected: Type of the messages.

    Attributes:
        call: What is answered.
        selection: What is sent, once the answer has begun.
        started: Whether the answer has begun.
    """

    __slots__ = (
        "_expected", "_head", "_part", "_sending", "_turns", "_wire", "call", "selection",
        "started",
    )  # fmt: skip

    call: Call
    selection: Selection

    def __init__(self, head: Head, wire: Wire, part: Part, expected: type[Any]) -> None:
        self.started = False
        self._head = head
        self._wire = wire
        self._part = part
        self._expected = expected
        self._sending = asyncio.Lock()  # a handler may send from several tasks
        self._turns = Turns()

    async def send(self, message: Any) -> None:
        """Send the bytes of a message; what ``Call.send`` ends in.

        Raises:
            TypeError: It is no reply of the method.
            ValueError: A header cannot be sent.
            RuntimeError: The body exceeds the length that was announced.
            EnoughSent: Nothing that follows is wanted.
            Error: The peer has gone, or there is not what it asks for; see ``select``.
        """
        if not isinstance(message, self._expected):
            raise TypeError(f"{self.call.method.operation} sent {type(message).__name__}")
        content_type, data = self._part.get(message)
        async with self._sending:
            if not self.started:
                self._start(content_type)
            selection = self.selection
            await self._wire.write(selection.cut(data))
            if selection.ended:
                raise EnoughSent
            await self._turns.take()

    async def finish(self) -> None:
        """End the answer well; one that is shorter than it announced is broken off.

        Raises:
            Error: The peer has gone, or there is not what it asks for; see ``select``.
        """
        if not self.started:
            self._start(self._part.get(self._expected())[0])
        try:
            await self._wire.finish(self.call.trailers.raw())
        except RuntimeError:
            _log.exception("%s: its answer is broken off", self.call.method.operation)
            self.cut()

    def cut(self) -> None:
        """Break the answer off: after its beginning, that alone tells of a failure."""
        self._wire.reset(self.call.cause or Cause.CALLER)

    def _start(self, content_type: str) -> None:
        self.call.reply_headers.freeze()
        reply = Reply(200, ((b"content-type", content_type.encode()),))
        add_headers(reply, self.call)
        selection = select(self._head.method, self.call.headers, reply.headers)
        self._wire.start(selection.status, selection.headers)
        self.selection = selection
        self.started = True
