"""The connection to one node: one channel of grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio

from kratos.errors import Error
from kratos.selector import Node
from kratos.transport import Arity, Call, Method
from kratos_grpc._attempt import Attempt, Stub
from kratos_grpc._calls import collect, converse_on, single
from kratos_grpc._codec import encode

__all__ = ["GrpcConnection"]

_READY: Final = grpc.ChannelConnectivity.READY
_FAILED: Final = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_CLOSED: Final = grpc.ChannelConnectivity.SHUTDOWN


class GrpcConnection:
    """Carries the calls to one node; see ``Connection``.

    Args:
        node: Where it leads to.
        dial: Makes the channel, in the event loop.
        compression: Coding of requests, unless a call says otherwise.
    """

    def __init__(
        self,
        node: Node,
        dial: Callable[[Node], grpc.aio.Channel],
        *,
        compression: grpc.Compression | None = None,
    ) -> None:
        self._node = node
        self._dial = dial
        self._compression = compression
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[str, Stub] = {}
        self._attempts: set[Attempt] = set()
        self._idle: asyncio.Event | None = None
        self._closing = False

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        channel = self._channel
        return channel is not None and not self._closing and channel.get_state() is _READY

    async def warm(self) -> None:
        """Connect, and return when the connection stands; see ``Connection``.

        Raises:
            Error: 503: the newest attempt failed, or the connection is closed.
        """
        channel = self._open()
        state = channel.get_state(try_to_connect=True)
        while state is not _READY:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
            if state is _FAILED:
                raise Error(503, "UNREACHABLE", f"no connection to {self._node.address}")
            if state is _CLOSED:
                raise self._closed()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``.

        Raises:
            Error: What the service answered, or 503 when it was not reached.
            ValueError: gRPC cannot carry one of the headers, or does not have the coding.

        Cancellation: cancels the call at the peer.
        """
        stub = self._stub(call.method)
        call.peer = self._node.address
        method = call.method
        if method.arity.client_streams:
            attempt = Attempt(call, stub, compression=self._compression)
        else:
            data = encode(method, method.request, request)
            attempt = Attempt(call, stub, data, compression=self._compression)
        self._attempts.add(attempt)
        try:
            if method.arity.server_streams:
                return await converse_on(attempt)
            if method.arity.client_streams:
                return await collect(attempt, request)
            return await single(attempt)
        finally:
            self._attempts.discard(attempt)
            attempt.release()  # in case it has not ended; nothing is left open
            if self._idle is not None and not self._attempts:
                self._idle.set()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, close the channel; see ``Connection``."""
        self._closing = True
        if self._attempts and drain > 0:
            self._idle = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), drain)
        for attempt in tuple(self._attempts):
            attempt.cancel()
        channel, self._channel = self._channel, None
        self._stubs.clear()
        if channel is not None:
            await channel.close()

    def _open(self) -> grpc.aio.Channel:
        if self._closing:
            raise self._closed()
        if self._channel is None:
            self._channel = self._dial(self._node)
        return self._channel

    def _stub(self, method: Method[Any, Any]) -> Stub:
        channel = self._open()
        stub = self._stubs.get(method.operation)
        if stub is None:
            # Without serialisers: bytes in, bytes out.
            makers: dict[Arity, Callable[[str], Stub]] = {
                Arity.UNARY: channel.unary_unary,
                Arity.CLIENT_STREAM: channel.stream_unary,
                Arity.SERVER_STREAM: channel.unary_stream,
                Arity.BIDI_STREAM: channel.stream_stream,
            }
            stub = self._stubs[method.operation] = makers[method.arity](method.operation)
        return stub

    def _closed(self) -> Error:
        address = self._node.address
        return Error(503, "CONNECTION_CLOSED", f"the connection to {address} was closed")
