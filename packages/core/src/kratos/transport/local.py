"""Calls inside one process: no socket, yet the same edge, chains and rules as every engine.

The reference implementation of the contract that the other transports are held to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any, Final

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.limit import is_cancelled_from_outside
from kratos.transport.call import Call, Side
from kratos.transport.caller import ChainCaller
from kratos.transport.cause import Cause
from kratos.transport.chain import AnyMiddleware
from kratos.transport.channel import Channel, ChannelClosed
from kratos.transport.client_stream import converse, outgoing_requests
from kratos.transport.header import Header
from kratos.transport.method import Arity, Service
from kratos.transport.operation import (
    CANCEL_GRACE,
    DEFAULT_TIMEOUT,
    Dispatcher,
    Missing,
    Operation,
)

__all__ = ["LocalTransport", "local"]

_log = logging.getLogger("kratos.transport")

_PEER: Final = "local"


def local(
    *services: Service,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeout: float | None = DEFAULT_TIMEOUT,
    floors: Mapping[str, float] | None = None,
    encode: bool = False,
) -> ChainCaller:
    """Return a caller that reaches services in this process, through their whole chain.

    Args:
        services: Objects to serve.
        middleware: The server's chain, outermost first.
        client_middleware: The client's chain, outermost first.
        timeout: Seconds for a unary call; ``None`` for no limit.
        floors: Seconds that operations take at least, by name; see ``Dispatcher``.
        encode: Whether messages are serialised on their way. By default the handler gets the
            caller's own objects.

    Raises:
        StartupError: A service cannot be served.
        ConfigError: An operation takes longer than it is given, or a time is none.
    """
    transport = LocalTransport(
        *services, middleware=middleware, timeout=timeout, floors=floors, encode=encode
    )
    return ChainCaller(
        transport.invoke,
        transport=_PEER,
        endpoint="local:",
        middleware=client_middleware,
        timeout=timeout,
    )


class LocalTransport:
    """Both ends of the in-process transport; see ``local``.

    Attributes:
        dispatcher: The serving end, for instance to drain it.
        cancel_grace: Seconds that a client which has left waits for the handler to clean up.
    """

    def __init__(
        self,
        *services: Service,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        timeouts: Mapping[str, float] | None = None,
        floors: Mapping[str, float] | None = None,
        encode: bool = False,
        missing: Missing = Missing.REFUSE,
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        self.dispatcher = Dispatcher(
            transport=_PEER,
            middleware=middleware,
            timeout=timeout,
            timeouts=timeouts,
            floors=floors,
            missing=missing,
            cancel_grace=cancel_grace,
        )
        self.cancel_grace = cancel_grace
        self._encode = encode
        for service in services:
            self.dispatcher.add(service)
        self.dispatcher.check_names()

    async def invoke(self, call: Call, request: Any) -> Any:
        """Carry one call over: the innermost handler of a client."""
        operation = self.dispatcher.operations.get(call.method.operation)
        if operation is None:
            raise Error(501, "UNIMPLEMENTED", f"{call.method.operation} is not served here")
        call.peer = call.peer or _PEER  # the node that was picked, where this stands for one
        if call.method.arity.server_streams:
            await converse(call, _LocalStream(self, operation, call, request))
            return None
        exchange = _Exchange(self, operation, call)
        if call.method.arity is Arity.CLIENT_STREAM:
            return await exchange.collect(request)
        exchange.start(self.carried(request, call.method.request))
        return self.carried(await exchange.reply(), call.method.reply)

    def carried(self, message: Any, expected: type[Message]) -> Any:
        """Return the message as the other end sees it."""
        return expected.FromString(message.SerializeToString()) if self._encode else message


class _Exchange:
    """The server's half of one call: a task of its own in an empty context, as behind a wire."""

    def __init__(self, transport: LocalTransport, operation: Operation, call: Call) -> None:
        self.client = call
        self.requests: Channel[Any] = Channel()
        self.replies: Channel[Any] = Channel()
        self._transport = transport
        self._operation = operation
        self._server = Call(
            call.method,
            side=Side.SERVER,
            transport=_PEER,
            headers=call.headers.copy(),
            peer=_PEER,
            deadline=call.deadline,
            sink=self._send_reply if call.method.arity.server_streams else None,
        )
        self._task: asyncio.Task[Any] | None = None

    def start(self, request: Any) -> None:
        run = self._operation.run(self._server, request)
        self._task = asyncio.get_running_loop().create_task(
            run, context=Context(), name=f"kratos local {self.client.method.operation}"
        )
        self._task.add_done_callback(self._ended)

    async def reply(self) -> Any:
        """Wait for the end of the call and return its reply."""
        assert self._task is not None, "started before"
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled() and not is_cancelled_from_outside():
                raise Cause.DRAINING.error() from None  # the server's task, not this one
            await self.abandon()
            raise
        except Error as error:
            raise _as_on_a_wire(error) from None
        finally:
            self._task = None  # its failure holds this frame
            self._copy_headers()

    async def collect(self, requests: Any) -> Any:
        """Send a stream of requests and return the one reply."""
        self.start(self.requests)
        feeding = asyncio.get_running_loop().create_task(self._feed(requests))
        feeding.add_done_callback(self._fed)
        try:
            reply = await self.reply()
        except Error:
            if feeding.done():
                feeding.result()  # the caller's own exception says more than the cut-off call
            raise
        finally:
            if not feeding.done():
                feeding.cancel()
                await asyncio.wait((feeding,))
        return self._transport.carried(reply, self.client.method.reply)

    async def abandon(self) -> None:
        """Tell the server that its peer has gone, and wait while it cleans up."""
        if self._task is not None and not self._task.done():
            self._server.cancel(Cause.PEER_GONE)
            await asyncio.wait((self._task,), timeout=self._transport.cancel_grace)
            if not self._task.done():
                _log.error(
                    "%s ignored its cancellation and was left behind",
                    self.client.method.operation,
                )
        self.requests.close(discard=True)
        self.replies.close(discard=True)

    async def send_request(self, message: Any) -> None:
        await self.requests.send(self._transport.carried(message, self.client.method.request))

    async def _send_reply(self, message: Any) -> None:
        if not self.client.reply_headers.frozen:
            self._copy_headers()
        await self.replies.send(self._transport.carried(message, self.client.method.reply))

    async def _feed(self, requests: Any) -> None:
        try:
            async with aclosing(outgoing_requests(self.client, requests)) as messages:
                async for message in messages:
                    await self.send_request(message)
        except ChannelClosed:
            return  # the handler has its answer: the unread rest is discarded
        self.requests.close()

    def _fed(self, feeding: asyncio.Task[None]) -> None:
        if not feeding.cancelled() and feeding.exception() is not None:
            self._server.cancel(Cause.PEER_GONE)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._copy_headers()
        self.requests.close(discard=True)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Error):
            self.replies.close(_as_on_a_wire(failure))
        elif failure is not None or task.cancelled():
            self.replies.close(Cause.DRAINING.error())  # never a clean end
        else:
            self.replies.close()

    def _copy_headers(self) -> None:
        self.client.reply_headers = _frozen(self._server.reply_headers)
        self.client.trailers = _frozen(self._server.trailers)


class _LocalStream:
    """The client's end of a call with streamed replies."""

    def __init__(
        self, transport: LocalTransport, operation: Operation, call: Call, request: Any
    ) -> None:
        self._exchange = _Exchange(transport, operation, call)
        streams = call.method.arity.client_streams
        self._exchange.start(
            self._exchange.requests if streams else transport.carried(request, call.method.request)
        )

    async def receive(self) -> Any:
        return await self._exchange.replies.__anext__()

    async def send(self, message: Any, /) -> None:
        try:
            await self._exchange.send_request(message)
        except ChannelClosed:
            # The reply says why; the unread rest is discarded. One that sends on and on without
            # reading must not keep the reply from coming.
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._exchange.requests.close()

    async def aclose(self) -> None:
        await self._exchange.abandon()


def _as_on_a_wire(error: Error) -> Error:
    """Return what a wire would carry of an error; causes and tracebacks stay behind."""
    copy = error.clone()
    copy.__cause__ = None
    return copy


def _frozen(header: Header) -> Header:
    copy = header.copy()
    copy.freeze()
    return copy
