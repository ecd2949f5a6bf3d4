"""Streams of etcd: what is pushed while one waits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import EtcdUnavailable

__all__ = ["Stream", "Watch", "next_of"]

R = TypeVar("R", bound=Message)
R_co = TypeVar("R_co", bound=Message, covariant=True)


class Stream(Protocol[R_co]):
    """What comes over a stream of gRPC."""

    async def read(self) -> R_co | Any:
        """Return the next message, or ``grpc.aio.EOF``."""
        ...

    def cancel(self) -> Any:
        """End it; idempotent."""
        ...


class Watch:
    """An open watch; one reader at a time.

    Args:
        stream: The call, opened.
        first: Its first message.
        endpoint: Where it was opened, for errors.
        telling: Makes an ``EtcdUnavailable`` of what gRPC raises.
        refused: Called when the server ends the watch.
    """

    def __init__(
        self,
        stream: Stream[pb.WatchResponse],
        first: pb.WatchResponse,
        *,
        endpoint: str,
        telling: Callable[[], AbstractAsyncContextManager[None]],
        refused: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._first: pb.WatchResponse | None = first
        self._endpoint = endpoint
        self._telling = telling
        self._refused = refused

    async def next(self) -> pb.WatchResponse | None:
        """Return what happened next, or how far the server is if it has no events.

        Returns:
            ``None`` if etcd has forgotten what happened since the start: read, and watch anew.

        Raises:
            EtcdUnavailable: The watch ended.

        Cancellation: ends the watch.
        """
        while True:
            response, self._first = self._first, None
            if response is None:
                async with self._telling():
                    response = await next_of(self._stream)
            if response.compact_revision:
                return None
            if response.canceled:
                self._refused()
                reason = response.cancel_reason or "no reason given"
                raise EtcdUnavailable(f"etcd at {self._endpoint} ended a watch: {reason}")
            if not response.created:
                return response

    def close(self) -> None:
        """End it; idempotent."""
        self._stream.cancel()


async def next_of(stream: Stream[R]) -> R:
    """Return the next message of a stream that is not to end.

    Raises:
        EtcdUnavailable: It ended.
        grpc.aio.AioRpcError: It failed.
    """
    message = await stream.read()
    if message is grpc.aio.EOF:
        raise EtcdUnavailable("etcd ended a stream", code=grpc.StatusCode.UNAVAILABLE)
    return cast("R", message)
