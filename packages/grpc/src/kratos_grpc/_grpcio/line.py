"""A channel of grpcio to a node, and the calls on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from kratos.transport import Arity, Call, Method
from kratos_grpc._codec import encode
from kratos_grpc._collect import collect
from kratos_grpc._grpcio.attempt import Attempt, Stub
from kratos_grpc._grpcio.calls import converse_on, single

if TYPE_CHECKING:
    from kratos_grpc._line import Line

__all__ = ["GrpcioLine"]

_READY: Final = grpc.ChannelConnectivity.READY
_FAILED: Final = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_CLOSED: Final = grpc.ChannelConnectivity.SHUTDOWN


class GrpcioLine:
    """A channel of grpc.aio, from the first call on it to the end of the last.

    Args:
        channel: The channel; the line closes it.
        compression: Coding of requests, unless a call says otherwise.

    Attributes:
        attempts: The calls on it.
    """

    __slots__ = ("_channel", "_compression", "_idle", "_stubs", "attempts")

    def __init__(
        self, channel: grpc.aio.Channel, *, compression: grpc.Compression | None = None
    ) -> None:
        self._channel = channel
        self._compression = compression
        self._stubs: dict[str, Stub] = {}
        self._idle: asyncio.Event | None = None
        self.attempts: set[Attempt] = set()

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        return self._channel.get_state() is _READY

    def start(self, call: Call, request: Any) -> Attempt:
        """Start a call; see ``Line``."""
        method = call.method
        stub = self._stub(method)
        if method.arity.client_streams:
            attempt = Attempt(call, stub, compression=self._compression)
        else:
            data = encode(method, method.request, request)
            attempt = Attempt(call, stub, data, compression=self._compression)
        self.attempts.add(attempt)
        return attempt

    def carry(self, attempt: Attempt, request: Any) -> Coroutine[Any, Any, Any]:
        """Carry a call that was started; see ``Line``."""
        arity = attempt.call.method.arity
        if arity.server_streams:
            return converse_on(attempt)
        if arity.client_streams:
            return collect(attempt, request, single(attempt))
        return single(attempt)

    def _stub(self, method: Method[Any, Any]) -> Stub:
        """Return what starts calls of a method."""
        stub = self._stubs.get(method.operation)
        if stub is None:
            channel = self._channel
            # Without serialisers: bytes in, bytes out.
            makers: dict[Arity, Callable[[str], Stub]] = {
                Arity.UNARY: channel.unary_unary,
                Arity.CLIENT_STREAM: channel.stream_unary,
                Arity.SERVER_STREAM: channel.unary_stream,
                Arity.BIDI_STREAM: channel.stream_stream,
            }
            stub = self._stubs[method.operation] = makers[method.arity](method.operation)
        return stub

    async def connect(self) -> bool:
        """Try once to have the connection stand, and tell whether it does.

        Cancellation: safe.
        """
        state = self._channel.get_state(try_to_connect=True)
        while state is not _READY:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
            if state in (_FAILED, _CLOSED):
                return False
        return True

    def ended(self, attempt: Attempt) -> None:
        """Note that a call has ended."""
        self.attempts.discard(attempt)
        if self._idle is not None and not self.attempts:
            self._idle.set()

    async def aclose(self, *, drain: float | None = 0.0) -> None:
        """Let calls end, cut the rest off, close the channel.

        Args:
            drain: Seconds for calls to end; ``None`` for no limit.

        Cancellation: cuts off at once.
        """
        try:
            if self.attempts and drain != 0.0:
                self._idle = asyncio.Event()
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain):  # wait_for may swallow a cancellation
                        await self._idle.wait()
        finally:
            for attempt in tuple(self.attempts):
                attempt.cancel()
            await self._channel.close()


if TYPE_CHECKING:
    _: type[Line[Attempt]] = GrpcioLine
