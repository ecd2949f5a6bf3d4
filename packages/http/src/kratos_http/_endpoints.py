"""Endpoints that need no service behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kratos.transport.http import Head, Reply, Wire

__all__ = ["Constant", "Function"]


class Constant:
    """Gives an answer that was ready before the body; the body is not read."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    @property
    def status(self) -> int:
        """Of the answer."""
        return self._reply.status

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Answer."""
        reply = self._reply
        headers = list(reply.headers)
        headers.append((b"content-length", b"%d" % len(reply.body)))
        wire.start(reply.status, headers)
        await wire.write(reply.body)
        await wire.finish()


class Function:
    """Answers by a coroutine function of head and body.

    Args:
        function: Makes the answer; raises nothing.
        max_body: Bytes of the largest body.
    """

    __slots__ = ("_function", "_max_body")

    def __init__(
        self, function: Callable[[Head, bytes], Awaitable[Reply]], *, max_body: int
    ) -> None:
        self._function = function
        self._max_body = max_body

    @property
    def max_body(self) -> int:
        """Bytes of the largest body."""
        return self._max_body

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Answer."""
        return await self._function(head, body)
