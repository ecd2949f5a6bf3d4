"""The user's own client of the distribution etcd3: its connection and its token, for our calls.

Nothing else of it is used. Its watcher takes a watch that the server ended for one that is silent,
and turns in circles while no server is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar, cast
from weakref import WeakSet

import grpc
import grpc.aio
from google.protobuf.message import Message

from kratos.errors import ConfigError, Error
from kratos.offload import Offload
from kratos_etcd.client import EtcdClient
from kratos_etcd.lines import Metadata
from kratos_etcd.rpc import EtcdUnavailable, Rpc
from kratos_etcd.stream import Stream

__all__ = ["Etcd3Client", "adopted"]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

_STREAMS: Final = 64  # open at a time, each with a thread; many a service watches two or three


class Etcd3Client(Protocol):
    """What is used of an ``etcd3.Etcd3Client``."""

    @property
    def channel(self) -> grpc.Channel:
        """Its connection."""
        ...

    @property
    def metadata(self) -> Sequence[tuple[str, str]] | None:
        """Its token, if it has a user."""
        ...


def adopted(client: EtcdClient | Etcd3Client) -> EtcdClient:
    """Return a client as this package uses it; closing it leaves a user's ``etcd3`` open.

    Raises:
        ConfigError: It is no client of etcd.
    """
    if isinstance(client, EtcdClient):
        return client
    if not callable(getattr(getattr(client, "channel", None), "unary_stream", None)):
        raise ConfigError(
            f"client={client!r} is no client of etcd: give an EtcdClient, or one of etcd3.client()"
        )
    return EtcdClient.over(str(getattr(client, "_url", "etcd3")), _Borrowed(client))


class _Borrowed:
    """A line over a channel that blocks, which gRPC's threads serve."""

    def __init__(self, client: Etcd3Client) -> None:
        self._client = client
        self._threads = Offload(threads=_STREAMS, queue=0, name="kratos-etcd3")
        self._streams: WeakSet[_BorrowedStream[Any]] = WeakSet()

    def to(self, _endpoint: str) -> _Borrowed:
        return self

    async def ask(self, rpc: Rpc[Q, R], request: Q, *, timeout: float, metadata: Metadata) -> R:
        # One message to and fro is the same on the wire, whether the call streams or not.
        serialize, deserialize = rpc.request.SerializeToString, rpc.reply.FromString
        ask = self._client.channel.unary_unary(rpc.path, serialize, deserialize)
        try:
            call: Any = ask.future(request, timeout=timeout, metadata=self._with(metadata))
        except ValueError as error:
            raise _closed(error) from error
        answered, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(_call: object) -> None:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits
                loop.call_soon_threadsafe(answered.set)

        call.add_done_callback(tell)
        try:
            await answered.wait()
        except asyncio.CancelledError:
            call.cancel()
            raise
        try:
            return cast("R", call.result())
        except grpc.RpcError as error:
            raise _told(error) from error

    async def open(self, rpc: Rpc[Q, R], request: Q, *, metadata: Metadata) -> Stream[R]:
        # etcd hears the end of the requests, and goes on answering.
        open_: Any = self._client.channel.unary_stream(
            rpc.path, rpc.request.SerializeToString, rpc.reply.FromString
        )
        try:
            call = open_(request, metadata=self._with(metadata))
        except ValueError as error:
            raise _closed(error) from error
        stream: _BorrowedStream[R] = _BorrowedStream(call, self._threads)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        for stream in self._streams:
            stream.cancel()
        await self._threads.aclose()

    def _with(self, metadata: Metadata) -> Metadata:
        return (*metadata, *(self._client.metadata or ()))


class _BorrowedStream(Generic[R]):
    """A stream of the channel, each of whose messages a thread waits for."""

    def __init__(self, call: Iterator[R], threads: Offload) -> None:
        self._call: Any = call
        self._threads = threads

    async def read(self) -> R | Any:
        try:
            message = await self._threads.run(_next, self._call)
        except (Error, RuntimeError) as error:  # there are enough of them, or it was closed
            raise EtcdUnavailable(f"no thread can watch over a client of etcd3: {error}") from error
        if isinstance(message, grpc.aio.AioRpcError):
            raise message
        return message

    def cancel(self) -> None:
        self._call.cancel()


def _next(call: Iterator[R]) -> R | Any:
    """Wait for a message; an error is returned, as nobody may be there to catch it."""
    try:
        return next(call, grpc.aio.EOF)
    except grpc.RpcError as error:
        return _told(error)


def _told(error: Any) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(error.code(), nothing, nothing, details=error.details())


def _closed(error: ValueError) -> EtcdUnavailable:
    return EtcdUnavailable(f"the etcd3 client cannot be used: {error}")
