"""One call on a client's connection, in grpc.aio's terms and in ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from kratos.errors import Error
from kratos.limit import is_cancelled_from_outside
from kratos.transport import Call, Header
from kratos_grpc._answers import End
from kratos_grpc._codings import MINIMUM
from kratos_grpc._failures import closed, failed, is_unanswered
from kratos_grpc._grpcio.compression import core_coding
from kratos_grpc._metadata import received, to_metadata
from kratos_grpc.status import DETAILS_KEY

__all__ = ["Attempt", "Rpc", "Stub"]

# What grpc.aio raises when one sends on a call that has ended. The end itself says why.
_ENDED: Final = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)

Rpc: TypeAlias = Any  # one of grpc.aio's four calls; what differs is which methods they have
Stub: TypeAlias = Callable[..., Rpc]

# Seconds. The core writes time limits on the wire rounded up, to three digits or so: without
# this, a limit of 5 s would be one of 5.01 s at the server.
_ROUNDING: Final = 0.001

_NOTHING: Final = Header()
_NOTHING.freeze()


class Attempt:
    """One call on one connection; starts it.

    Args:
        call: The call.
        stub: What starts it in grpc.aio.
        request: Bytes of the single request, if there is one.
        compression: Coding of the requests, unless the call says otherwise.

    Attributes:
        call: The call.
        rpc: grpc.aio's view of it; ``None`` once the call is over.
        unanswered: Whether it was ended, and neither by the service nor by its time limit: as
            the core of gRPC does in a server that stops, to calls that it has not begun.

    Raises:
        ValueError: gRPC cannot carry one of the headers, or does not have the coding.
    """

    __slots__ = ("_begun", "call", "rpc", "unanswered")

    def __init__(
        self,
        call: Call,
        stub: Stub,
        *request: bytes,
        compression: grpc.Compression | None = None,
    ) -> None:
        self.call = call
        self.unanswered = False
        self._begun = False  # its headers are on their way
        options = call.options
        if options is not None and options.compression is not None:
            compression = core_coding(options.compression)
        if compression is not None and request and len(request[0]) < MINIMUM:
            compression = None
        left = call.remaining()
        self.rpc: Rpc = stub(
            *request,
            metadata=to_metadata(call.headers),
            timeout=None if left is None else max(0.0, left - _ROUNDING),
            compression=compression,
        )

    def cancel(self) -> None:
        """Cancel the call at the peer, unless it has ended."""
        if self.rpc is not None:
            self.rpc.cancel()

    def release(self) -> None:
        """Cancel the call unless it has ended, and let go of what gRPC keeps for it.

        Whoever keeps an error keeps the frames that it went through, and this in them: gRPC would
        not close a connection for as long.
        """
        self.cancel()
        self.rpc = None

    async def send(self, data: bytes) -> bool:
        """Send one request; tell whether the call takes any more.

        Cancellation: cancels the call.
        """
        rpc = self.rpc
        if rpc is None:
            return False
        try:
            if not self._begun:
                await _begin(rpc)
                self._begun = True
            # Not rpc.write: when the server ends the call meanwhile, that puts an error of its
            # own in place of the status, or of the reply, which is on its way.
            core: Any = getattr(rpc, "_cython_call", None)
            await (rpc.write(data) if core is None else core.send_serialized_message(data))
        except _ENDED:
            return False
        except asyncio.CancelledError:
            self.cancel()
            if is_cancelled_from_outside():
                raise
            return False
        return True

    async def half_close(self) -> None:
        """Say that no request follows. Idempotent."""
        if self.rpc is None:
            return
        try:
            await self.rpc.done_writing()
        except _ENDED:
            return

    async def take_headers(self) -> None:
        """Put the headers of the reply on the call; waits for them."""
        core: Any = getattr(self.rpc, "_cython_call", self.rpc)  # which makes no mapping of it
        self.call.reply_headers = _frozen(await core.initial_metadata())

    async def take_trailers(self) -> None:
        """Put the trailers of a call that ended well on it."""
        core: Any = getattr(self.rpc, "_cython_call", None)
        if core is None:
            self.call.trailers = _frozen(await self.rpc.trailing_metadata())
        else:
            self.call.trailers = _frozen((await core.status()).trailing_metadata())

    def failure(self, error: BaseException) -> BaseException:
        """Return what the caller gets for something that grpc.aio raised."""
        if isinstance(error, grpc.aio.AioRpcError):
            return self._answer(error)
        if isinstance(error, asyncio.CancelledError):
            # grpc.aio raises it for calls, too, that were cancelled and not awaited then.
            return error if is_cancelled_from_outside() else self.closed()
        if isinstance(error, grpc.aio.BaseError):
            return self.closed()
        return error

    def _answer(self, answer: grpc.aio.AioRpcError) -> Error:
        """Return the error of a status, the server's or gRPC's own."""
        call = self.call
        trailers = tuple(answer.trailing_metadata() or ())
        details = next((value for name, value in trailers if name == DETAILS_KEY), b"")
        call.reply_headers = _frozen(answer.initial_metadata())
        call.trailers = _frozen(item for item in trailers if item[0] != DETAILS_KEY)
        code: int = answer.code().value[0]
        end = End(code, answer.details() or "", _bytes(details))
        self.unanswered = is_unanswered(call, end)
        return failed(call, end)

    def closed(self) -> Error:
        """Return the error of a call that goes on with a connection that was closed."""
        return closed(self.call.peer)


async def _begin(rpc: Rpc) -> None:
    """Wait until the headers of a call are on their way, or it has ended without them.

    grpc.aio waits for the first alone, for ever if the time of the call was over before.

    Raises:
        grpc.aio.AioRpcError: It has ended.
        asyncio.CancelledError: Likewise, without anybody to cancel the task; or somebody did.
    """
    waiting: asyncio.Future[None] = asyncio.ensure_future(rpc.wait_for_connection())

    def end(_rpc: Rpc) -> None:
        waiting.cancel()

    rpc.add_done_callback(end)
    try:
        await waiting
    finally:
        waiting.cancel()


def _frozen(metadata: Iterable[tuple[str, str | bytes]] | None) -> Header:
    items = tuple(metadata or ())
    if not items:
        return _NOTHING
    header = received(items)
    header.freeze()
    return header


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
