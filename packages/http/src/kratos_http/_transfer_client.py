"""A client's uploads and downloads: streams of raw bytes as bodies of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport import Call
from kratos_http._exchange import Lost, TooLarge
from kratos_http._http2_requests import StreamedRequest
from kratos_http._plan import Body, Plan
from kratos_http._trouble import frozen, too_large, unavailable
from kratos_http._turns import Turns

__all__ = ["DownloadStream", "Transfer", "UploadStream"]


class DownloadStream:
    """A ``WireStream`` over the body of one answer.

    Each piece that comes is a message; an empty body with a content type is one, too.

    Args:
        call: The call; gets the trailers.
        plan: How its method is called.
        connection: Where the body comes.
        content_type: Of the body.
    """

    __slots__ = ("_any", "_call", "_connection", "_content_type", "_ended", "_plan")

    def __init__(
        self, call: Call, plan: Plan, connection: StreamedRequest, content_type: str
    ) -> None:
        self._call = call
        self._plan = plan
        self._connection = connection
        self._content_type = content_type
        self._any = not content_type
        self._ended = False

    async def receive(self) -> Any:
        """Return the next reply; see ``WireStream``."""
        if self._ended:
            raise StopAsyncIteration
        try:
            piece = await self._connection.read()
        except Lost as error:
            raise unavailable(self._call, error) from error
        if not piece:
            self._ended = True
            self._call.trailers = frozen(self._connection.trailers)
            if self._any:
                raise StopAsyncIteration
        self._any = True
        return self._plan.piece(self._content_type, piece)

    async def send(self, message: Any, /) -> None:
        """Refuse: the one request was sent with the head."""
        raise RuntimeError(f"{self._call.method.operation} takes one request")

    async def end(self) -> None:
        """Do nothing: the request has ended."""

    async def aclose(self) -> None:
        """Cut the stream off, unless it has ended; see ``WireStream``."""
        self._connection.close()


class Transfer:
    """An upload under way.

    Args:
        connection: Where to.
        head: Of the request.
        body: What begins and ends its body.
        release: Gives the connection back.

    Raises:
        Lost: The connection has ended.

    Attributes:
        connection: Where to.
        answer: The head of the answer, which may come before the upload has ended.
    """

    __slots__ = ("_closing", "_release", "answer", "connection")

    def __init__(
        self,
        connection: StreamedRequest,
        head: bytes,
        body: Body,
        *,
        release: Callable[[], None],
    ) -> None:
        self.connection = connection
        self._closing = body.closing
        self._release = release
        self.answer = connection.begin(head)
        connection.put(body.data)

    def end(self) -> None:
        """Send the end of the body."""
        self.connection.put(self._closing)
        self.connection.finish()

    def close(self) -> None:
        """Cut off what has not ended."""
        self._release()
        self.answer.exception()  # looked at: whoever wants to know has been told


_Open: TypeAlias = Callable[[Any], Coroutine[Any, Any, Transfer]]


class UploadStream:
    """Requests that are the body of one, begun by the first of them, and its answer.

    Args:
        call: The call; gets headers and trailers.
        plan: How its method is called.
        open_transfer: Sends the head, given the first request or ``None``.
        max_reply: Bytes of the largest reply.
    """

    __slots__ = (
        "_begun", "_call", "_max_reply", "_open", "_opening", "_plan", "_replied", "_turns",
    )  # fmt: skip

    def __init__(self, call: Call, plan: Plan, open_transfer: _Open, *, max_reply: int) -> None:
        self._call = call
        self._plan = plan
        self._open = open_transfer
        self._max_reply = max_reply
        self._opening: asyncio.Task[Transfer] | None = None
        self._begun = asyncio.Event()
        self._replied = False
        self._turns = Turns()

    async def offer(self, message: Any) -> bool:
        """Send one request; tell whether the call takes any more.

        Why it does not is told by what is received.
        """
        assert self._plan.upload is not None, "this is one"
        data = self._plan.upload.get(message)[1]
        try:
            transfer = await self._opened(message)
            if transfer.answer.done():
                return False
            transfer.connection.put(data)
            await transfer.connection.room()
            await self._turns.take()
        except Error:
            return False
        return True

    async def end(self) -> None:
        """Send the end of the body."""
        with suppress(Error):
            transfer = await self._opened(None)
            transfer.end()

    async def receive(self) -> Any:
        """Return the reply, once.

        Raises:
            StopAsyncIteration: It was returned already.
            Error: What the service answered, or 503 when it was not reached.
        """
        if self._replied:
            raise StopAsyncIteration
        await self._begun.wait()
        assert self._opening is not None, "begun"
        transfer = await asyncio.shield(self._opening)
        connection, call = transfer.connection, self._call
        try:
            reply = await asyncio.shield(transfer.answer)
            call.reply_headers = frozen(reply.headers)
            reply.body = await connection.rest(self._max_reply)
        except TooLarge as error:
            raise too_large(call, error) from error
        except OSError as error:
            raise unavailable(call, error) from error
        self._replied = True
        call.trailers = frozen(connection.trailers)
        return self._plan.read(reply)

    async def aclose(self) -> None:
        """Cut off what has not ended."""
        opening = self._opening
        if opening is None:
            return
        if not opening.done():  # else a cancellation that comes now would keep it from being closed
            await cancel_and_wait(opening)
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()

    async def _opened(self, first: Any) -> Transfer:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open(first))
            self._begun.set()
        return await asyncio.shield(self._opening)
