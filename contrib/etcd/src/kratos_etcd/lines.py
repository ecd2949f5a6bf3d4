"""The ways to the endpoints of a cluster: connections of gRPC, made when they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import grpc.aio
from google.protobuf.message import Message

from kratos.tls import Rotation
from kratos_etcd.rpc import Rpc
from kratos_etcd.stream import Stream, next_of
from kratos_grpc.credentials import channel_credentials
from kratos_grpc.limits import ClientLimits
from kratos_grpc.tls import ClientTls

__all__ = ["Line", "Lines", "Metadata"]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

Metadata: TypeAlias = tuple[tuple[str, str], ...]

_LARGEST: Final = 2**31 - 1  # bytes of a reply; etcd sets no limit to its lists, nor does Go


class Line(Protocol):
    """A way to an endpoint. What fails raises ``grpc.aio.AioRpcError``."""

    async def ask(self, rpc: Rpc[Q, R], request: Q, *, timeout: float, metadata: Metadata) -> R:
        """Return the answer to a request, on a stream of its own where the call is one.

        Raises:
            TimeoutError: It took longer; or ``AioRpcError``.
        """
        ...

    async def open(self, rpc: Rpc[Q, R], request: Q, *, metadata: Metadata) -> Stream[R]:
        """Open a stream with its first request; who opens it cancels it."""
        ...


class Lines:
    """The lines to the endpoints of a client.

    When files of ``tls`` have changed, new calls go over new connections; those that are open stay
    as they are until their streams end.

    Args:
        tls: What makes the connections TLS.
        timeout: Seconds to connect, and for calls to end when a connection is given up.

    Raises:
        ConfigError: A file of ``tls`` cannot be used.
    """

    def __init__(self, tls: ClientTls | None, *, timeout: float) -> None:
        self._timeout = timeout
        limits = ClientLimits(
            max_receive=_LARGEST,
            connect_timeout=timeout,
            max_backoff=1.0,  # who calls backs off
            keepalive=10.0,  # etcd takes a ping each 5 s
            keepalive_timeout=5.0,
        )
        self._options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),  # else clients would share connections
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_http_proxy", 0),
            *limits.options(),
        ]
        if tls is not None and tls.server_name is not None:
            self._options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._rotation = None if tls is None else Rotation(tls, lambda _: channel_credentials(tls))
        self._revision = 0
        self._lines: dict[str, _ChannelLine] = {}
        self._old: list[_ChannelLine] = []
        self._closing: set[asyncio.Task[None]] = set()

    def to(self, endpoint: str) -> Line:
        """Return the line to an endpoint."""
        if self._rotation is not None:
            self._rotation.refresh()
            if self._rotation.revision != self._revision:
                self._revision = self._rotation.revision
                self._old += self._lines.values()
                self._lines = {}
            self._give_up()
        if endpoint not in self._lines:
            self._lines[endpoint] = _ChannelLine(self._dial(endpoint))
        return self._lines[endpoint]

    async def aclose(self) -> None:
        """Close the connections, and end what is under way; idempotent."""
        lines = [*self._lines.values(), *self._old]
        self._lines, self._old = {}, []
        for line in lines:
            await line.channel.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _dial(self, endpoint: str) -> grpc.aio.Channel:
        if self._rotation is None:
            return grpc.aio.insecure_channel(endpoint, self._options)
        return grpc.aio.secure_channel(endpoint, self._rotation.value, self._options)

    def _give_up(self) -> None:
        """Close connections with old certificates that nobody listens to any more."""
        for line in [one for one in self._old if not one.is_streaming]:
            self._old.remove(line)
            closing = asyncio.create_task(line.channel.close(self._timeout))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@dataclass(slots=True)
class _ChannelLine:
    channel: grpc.aio.Channel
    streams: set[grpc.aio.StreamStreamCall[Any, Any]] = field(
        default_factory=set[grpc.aio.StreamStreamCall[Any, Any]]
    )

    @property
    def is_streaming(self) -> bool:
        return bool(self.streams)

    async def ask(self, rpc: Rpc[Q, R], request: Q, *, timeout: float, metadata: Metadata) -> R:
        if rpc.streams:
            async with asyncio.timeout(timeout):
                stream = await self.open(rpc, request, metadata=metadata)
                try:
                    return await next_of(stream)
                finally:
                    stream.cancel()
        call = self.channel.unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.reply.FromString,
        )
        return await call(request, timeout=timeout, metadata=metadata)

    async def open(self, rpc: Rpc[Q, R], request: Q, *, metadata: Metadata) -> Stream[R]:
        serialize: Callable[[Q], bytes] = rpc.request.SerializeToString
        call = self.channel.stream_stream(
            rpc.path,
            request_serializer=serialize,
            response_deserializer=rpc.reply.FromString,
        )(metadata=metadata)
        self.streams.add(call)
        call.add_done_callback(self.streams.discard)
        try:
            await call.write(request)
        except asyncio.InvalidStateError:
            pass  # it has ended; reading tells why
        except BaseException:
            call.cancel()
            raise
        return call
