"""A client's stream: opened and closed as a context manager, its chain in a task of its own."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from kratos.limit import is_cancelled_from_outside
from kratos.transport.call import Call
from kratos.transport.cause import Cause
from kratos.transport.header import Header
from kratos.transport.method import Method
from kratos.transport.stream import Messages, iterate

__all__ = ["ClientStream", "StreamOpening", "WireStream", "converse", "outgoing_requests"]

Q = TypeVar("Q")
R = TypeVar("R")


class WireStream(Protocol):
    """What a transport opens for a call with streamed replies."""

    async def receive(self) -> Any:
        """Return the next reply.

        Raises:
            StopAsyncIteration: The peer ended the call well; trailers are on the call.
            Error: The call failed.
        """
        ...

    async def send(self, message: Any, /) -> None:
        """Send one request; returns when the transport has room."""
        ...

    async def end(self) -> None:
        """Half-close: no request follows. Idempotent."""
        ...

    async def aclose(self) -> None:
        """Release the stream; one that has not ended is cancelled. Idempotent."""
        ...


async def converse(call: Call, stream: WireStream) -> None:
    """Hand a transport's stream to the caller and wait for its end.

    The innermost client handler awaits this for every call with streamed replies.

    Raises:
        Error: What ended the stream, as the transport raised it.
        RuntimeError: The caller already reads another attempt's stream.
    """
    opening: StreamOpening[Any, Any] = call.opening
    try:
        await opening.attach(call, stream)
    finally:
        await stream.aclose()


async def outgoing_requests(call: Call, messages: Messages[Any]) -> AsyncGenerator[Any]:
    """Iterate over a caller's requests, checked, through the hooks, and counted.

    Close it (``contextlib.aclosing``): that closes the caller's generator, in this task.

    Raises:
        TypeError: A message is not of the method's request type.
    """
    async with aclosing(iterate(messages)) as each:
        async for message in each:
            _require_request(call, message)
            yield await call.outgoing(message)
            call.sent += 1


class ClientStream(Generic[Q, R]):
    """Both directions of an open call, as its caller holds them."""

    __slots__ = ("_busy", "_call", "_ended", "_opening", "_wire")

    def __init__(self, opening: StreamOpening[Q, R], call: Call, wire: WireStream | None) -> None:
        self._opening = opening
        self._call = call
        self._wire = wire
        self._busy = False
        self._ended = wire is None

    @property
    def headers(self) -> Header:
        """Headers of the reply."""
        return self._call.reply_headers

    @property
    def trailers(self) -> Header:
        """Trailers of the reply, valid once the iteration has ended."""
        return self._call.trailers

    async def send(self, message: Q, /) -> None:
        """Send one message; returns when the transport has room.

        Raises:
            TypeError: The message is not of the method's request type.
            Error: The call has failed.
            Exception: What a hook of the chain raised, which ends the call.
            RuntimeError: The call has ended.
        """
        _require_request(self._call, message)
        if self._wire is None or self._ended or self._opening.over:
            await self._opening.finish(None)
            raise RuntimeError(f"{self._call.method.operation} has ended")
        try:
            passed = await self._call.outgoing(message)
        except Exception as error:
            self._ended = True
            await self._opening.finish(error)
            raise  # the chain took the error for an end: the caller still learns of it
        await self._wire.send(passed)
        self._call.sent += 1

    async def end(self) -> None:
        """Say that no further message follows; the replies go on. Idempotent."""
        if self._wire is not None and not self._ended:
            await self._wire.end()

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        if self._ended or self._wire is None:
            await self._opening.finish(None)
            raise StopAsyncIteration
        if self._busy:
            raise RuntimeError("the replies of a call have one consumer; a second one came")
        self._busy = True
        try:
            reply: R = await self._call.incoming(await self._wire.receive())
        except StopAsyncIteration:
            self._ended = True
            await self._opening.finish(None)
            raise
        except Exception as error:
            self._ended = True
            await self._opening.finish(error)
            raise  # the chain took the error for an end: the caller still learns of it
        finally:
            self._busy = False
        return reply


class StreamOpening(AbstractAsyncContextManager["ClientStream[Q, R]"], Generic[Q, R]):
    """Entering starts the chain, leaving ends it; see ``Opening``.

    Args:
        method: What is called.
        run: Runs the chain to the end of the call.
        new_call: Makes the call, when entered.
        request: The single request, ``None`` for a stream of them.
    """

    def __init__(
        self,
        method: Method[Any, Any],
        run: Callable[[Call, Any], Awaitable[Any]],
        new_call: Callable[[], Call],
        request: Any,
    ) -> None:
        self._method = method
        self._run = run
        self._new_call = new_call
        self._request = request
        self._call: Call | None = None
        self._task: asyncio.Task[Any] | None = None
        self._opened: asyncio.Future[tuple[Call, WireStream]] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._left = False

    async def __aenter__(self) -> ClientStream[Q, R]:
        if self._call is not None or self._left:
            raise RuntimeError("a call can be opened once")
        try:
            return await self._enter()
        except BaseException:
            self._left = True  # nobody will call __aexit__
            raise

    async def _enter(self) -> ClientStream[Q, R]:
        loop = asyncio.get_running_loop()
        call = self._call = self._new_call()
        call.opening = self
        opened = self._opened = loop.create_future()
        self._ended = loop.create_future()
        task = self._task = loop.create_task(
            _consume(self._run(call, self._request)), name=f"kratos {call.method.operation}"
        )
        try:
            await asyncio.wait((opened, task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._leave()
            raise
        if opened.done():
            attempt, wire = opened.result()
            return ClientStream(self, attempt, wire)
        await self._outcome(task)  # raises what failed before the stream was open
        return ClientStream(self, call, None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._left = True
        await self._leave()

    def __del__(self) -> None:
        if not self._left and (self._task is None or not self._task.done()):
            warnings.warn(
                f"the stream of {self._method.operation} was not closed: use async with",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    async def attach(self, call: Call, stream: WireStream) -> None:
        """Give the caller its stream and wait for the end (for ``converse``)."""
        assert self._opened is not None, "entered before its chain runs"
        assert self._ended is not None, "entered before its chain runs"
        if self._opened.done():
            raise RuntimeError(f"{call.method.operation} was opened already; it cannot be retried")
        self._opened.set_result((call, stream))
        await self._ended

    async def finish(self, error: Exception | None) -> None:
        """Let the chain end as the stream did, and raise what the chain raises."""
        if self._task is None or self._ended is None:
            raise Cause.CALLER.error()  # the caller has left the call before it ended
        if not self._ended.done():
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)
        error = None  # it is raised below, and would hold this frame
        await self._outcome(self._task)

    @property
    def attached(self) -> bool:
        """Whether the caller holds its stream, so that no other attempt can give it one."""
        return self._opened is not None and self._opened.done()

    @property
    def over(self) -> bool:
        """Whether the chain has ended."""
        return self._task is None or self._task.done()

    async def _outcome(self, task: asyncio.Task[Any]) -> None:
        """Wait for the chain, and raise what it raised."""
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled() or is_cancelled_from_outside():
                raise
            # The caller's other task left the stream; nobody has cancelled this one.
            raise Cause.CALLER.error() from None
        finally:
            del task  # its failure holds this frame

    async def _leave(self) -> None:
        """Cancel the chain unless it has ended, and wait until it has."""
        task, call = self._task, self._call
        if task is None or call is None:
            return
        if not task.done():
            if call.cause is None:
                call.cause = Cause.CALLER
            task.cancel()
            await asyncio.wait((task,))
        self._opened = None  # it holds an attempt, which holds this
        if task.cancelled() or task.exception() is not None:
            # So do the frames of a failure. The caller got it, or did not want to know.
            self._task = self._ended = call.opening = None


def _require_request(call: Call, message: object) -> None:
    expected = call.method.request
    if not isinstance(message, expected):
        raise TypeError(
            f"{call.method.operation} takes {expected.__name__}, not {type(message).__name__}"
        )


async def _consume(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
