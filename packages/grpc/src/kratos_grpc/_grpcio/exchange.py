"""One call on the server: between grpc.aio's context and an operation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import lru_cache
from typing import Any, Final, Never, TypeAlias, cast
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import Message

from kratos.errors import Error
from kratos.limit import is_cancelled_from_outside
from kratos.transport import Call, Cause, Header, Operation, Side
from kratos_grpc._codec import decode_request, encode
from kratos_grpc._grpcio.answer import Answer
from kratos_grpc._grpcio.presence import attended
from kratos_grpc._inward import wrong_requests
from kratos_grpc._json import decode_json, encode_json
from kratos_grpc._metadata import LEAVING, Metadata, received, to_metadata
from kratos_grpc._sizes import reply_not_sent
from kratos_grpc._terms import Terms
from kratos_grpc.credentials import peer_certificate
from kratos_grpc.status import DETAILS_KEY, WireStatus, to_status

__all__ = ["SingleReply", "StreamedReplies", "Unserved"]

Context: TypeAlias = "grpc.aio.ServicerContext[Any, bytes]"

_log = logging.getLogger("kratos.grpc")

_YEAR: Final = 365 * 86400.0  # seconds; a deadline beyond that is none
_LEAVING: Final[Metadata] = ((LEAVING, "1"),)
_NONE: Final[frozenset[bytes]] = frozenset()
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class _Over:
    """What is left of a call's context when it has been answered."""

    async def read(self) -> Never:
        """Refuse a read that comes from a task which outlived its call."""
        raise RuntimeError("the call has ended: nothing more can be read")


_OVER: Final = cast("Context", _Over())


class _Exchange:
    """What grpc.aio takes for a handler of one method, made anew for each call.

    All requests are read as streams: grpc.aio leaves a call unanswered whose one request
    never comes.

    Attributes:
        context: The call, in grpc.aio's terms.
        encode: What writes the replies.
        json_starts: Bytes that requests in JSON may begin with, none of which begins others.
    """

    request_streaming = True
    request_deserializer = None
    response_serializer = None

    __slots__ = (
        "_call",
        "_metadata",
        "_opened",
        "_operation",
        "_terms",
        "context",
        "encode",
        "json_starts",
    )

    context: Context
    _call: Call

    def __init__(
        self,
        operation: Operation,
        metadata: Metadata,
        terms: Terms,
        json_starts: frozenset[bytes] = frozenset(),
    ) -> None:
        self._operation = operation
        self._metadata = metadata
        self._terms = terms
        self._opened = False
        self.json_starts = json_starts
        self.encode = encode

    async def _run(
        self,
        sink: Callable[[Message], Awaitable[None]] | None = None,
        answer: Answer | None = None,
    ) -> tuple[bytes, Error | None]:
        """Run the call and return its one reply, or what it failed with.

        Args:
            sink: What sends a reply of a stream.
            answer: Watches the peer from when the call waits for the first time, other than for
                its request.
        """
        operation = self._operation
        call = self._call = self._new_call(sink)
        try:
            requests = _Requests(self, call, answer)  # never kept here, it would be a cycle
            request: Any
            streamed = operation.method.arity.client_streams
            request = requests if streamed else await requests.only()
            reply = await attended(call, operation.run(call, request), answer)
            if sink is not None:
                return b"", None
            return self._encoded(reply), None
        except Error as error:
            return b"", error
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            # The handler awaited something that was cancelled; its caller still waits.
            return b"", Cause.CALLER.error()
        except Exception as error:
            return b"", self._unexpected(error)

    def _new_call(self, sink: Callable[[Message], Awaitable[None]] | None) -> Call:
        context = self.context
        method = self._operation.method
        left = cast("float | None", context.time_remaining())  # the stubs know of no None
        deadline = None
        if left is not None and left < _YEAR:
            deadline = asyncio.get_running_loop().time() + left
        call = Call(
            method,
            side=Side.SERVER,
            transport="grpc",
            headers=received(self._metadata),
            peer=_address(context.peer()),
            endpoint=self._terms.endpoint,
            deadline=deadline,
            sink=sink,
        )
        if self._terms.mutual:
            call.certificate = peer_certificate(context.auth_context())
        return call

    def _encoded(self, reply: object) -> bytes:
        method = self._operation.method
        data = self.encode(method, method.reply, reply)
        most = self._terms.max_send
        if most is not None and len(data) > most:
            raise reply_not_sent(method.operation, len(data), most)
        if len(data) < self._terms.plain_below:
            self.context.disable_next_message_compression()
        return data

    async def _open(self) -> None:
        """Send the headers of the reply, once, and not interrupted.

        Cancelled half-way, grpc.aio would take them for unsent and send them again with the
        status; the core refuses that, and the peer would wait for its answer for ever.
        """
        if self._opened:
            return
        headers = to_metadata(self._call.reply_headers)
        self._opened = True
        self._call.reply_headers.freeze()
        sending = asyncio.ensure_future(self.context.send_initial_metadata(headers))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait((sending,))  # headers wait for no window of the peer
            sending.exception()
            raise

    async def _end(self) -> Error | None:
        """Make headers and trailers ready for a good end; return what forbids it."""
        call = self._call
        if call.is_bare and not self._terms.leaving:
            return None
        try:
            if len(call.reply_headers):
                await self._open()
            _, trailers = self._told()
            if trailers:
                self.context.set_trailing_metadata(trailers)
        except grpc.aio.BaseError:
            return Cause.PEER_GONE.error()
        except ValueError as error:
            return self._unexpected(error)
        return None

    def _told(self) -> tuple[Metadata, Metadata]:
        """Return the headers, which can change no more, and the trailers of a good end.

        Raises:
            ValueError: gRPC cannot carry one of them.
        """
        call = self._call
        call.reply_headers.freeze()
        return to_metadata(call.reply_headers), (*to_metadata(call.trailers), *self._parting)

    @property
    def _parting(self) -> Metadata:
        """What sends the client elsewhere with its next calls, if the server is about to stop."""
        return _LEAVING if self._terms.leaving else ()

    async def _fail(self, error: Error) -> None:
        """Answer with an error."""
        call = self._call
        try:
            if self._sendable(call.reply_headers):
                await self._open()
        except grpc.aio.BaseError as failure:
            _log.debug("%s: no headers: %s", call.method.operation, failure)
        await _abort(self.context, error, (*self._sendable(call.trailers), *self._parting))

    def _sendable(self, header: Header) -> Metadata:
        """Return the headers that go with an error, which has to get through without them."""
        try:
            return to_metadata(header)
        except ValueError as error:
            self._unexpected(error)
            return ()

    def _unexpected(self, failure: Exception) -> Error:
        """Log what the caller must not see, and return what it gets."""
        _log.error("%s failed", self._operation.method.operation, exc_info=failure)
        return Error(500, "UNKNOWN", "unknown request error").with_cause(failure)


class SingleReply(_Exchange):
    """A call with one reply."""

    response_streaming = False

    __slots__ = ()

    @property
    def stream_unary(self) -> SingleReply:
        """What grpc.aio calls, if it can tell that it is asynchronous."""
        return self

    def __await__(self) -> Generator[Any, Any, Never]:
        """Be taken for asynchronous by a look at the class.

        grpc.aio asks for each call, and asks this first. What else it would look at, the flags
        of code objects, costs more than all of the chain.
        """
        raise TypeError("a call is no awaitable")

    async def answer(self, context: Context, answer: Answer) -> None:
        """Serve the call where grpc.aio's insides are known."""
        self.context = context
        try:
            reply, error = await self._run(answer=answer)
            headers: Metadata = ()
            trailers = self._parting
            if error is None and not self._call.is_bare:
                try:
                    headers, trailers = self._told()
                except ValueError as failure:
                    error = self._unexpected(failure)
            if error is None:
                compress = len(reply) >= self._terms.plain_below
                await answer.send(reply, headers=headers, trailers=trailers, compress=compress)
            else:
                await self._refuse(answer, error)
        finally:
            self.context = _OVER  # see acceptor
            # From Python 3.12 on the frames of an error's traceback hold their callers, as this.
            error = None
            del context

    async def _refuse(self, answer: Answer, error: Error) -> None:
        call = self._call
        status = to_status(error)
        await answer.send(
            headers=self._sendable(call.reply_headers),
            status=status,
            trailers=(*self._sendable(call.trailers), *_details(status), *self._parting),
        )

    async def __call__(self, _requests: object, context: Context) -> bytes:
        """Serve the call."""
        self.context = context
        reply, error = await self._run()
        try:
            if error is None:
                error = await self._end()
            if error is not None:
                await self._fail(error)
        finally:
            error = None  # see answer
        return reply


class StreamedReplies(_Exchange):
    """A call with many replies."""

    response_streaming = True

    __slots__ = ("_sending",)

    def __init__(
        self,
        operation: Operation,
        metadata: Metadata,
        terms: Terms,
        json_starts: frozenset[bytes] = frozenset(),
    ) -> None:
        super().__init__(operation, metadata, terms, json_starts)
        self._sending = asyncio.Lock()

    async def stream_stream(self, _requests: object, context: Context) -> None:
        """Serve the call."""
        self.context = context
        _, error = await self._run(self._send)
        try:
            if error is None:
                error = await self._end()
            if error is not None:
                await self._fail(error)
        finally:
            error = None  # see SingleReply.answer

    async def _send(self, message: Message) -> None:
        data = self._encoded(message)
        # gRPC takes one message of a call at a time. Not "async with", which awaits twice more.
        await self._sending.acquire()
        try:
            if not self._opened:
                await self._open()
            await self.context.write(data)
        except grpc.aio.BaseError:
            # Nobody receives what the call sends.
            self._call.cancel(Cause.PEER_GONE)
            await asyncio.sleep(0)
            raise Cause.PEER_GONE.error() from None  # the handler sends from another task
        finally:
            self._sending.release()


class Unserved:
    """The answer to calls of operations that the server does not have."""

    request_streaming = True
    response_streaming = True
    request_deserializer = None
    response_serializer = None

    __slots__ = ("_message",)

    def __init__(self, message: str) -> None:
        self._message = message

    async def stream_stream(self, _requests: object, context: Context) -> None:
        """Refuse the call."""
        await _abort(context, Error(501, "UNIMPLEMENTED", self._message), ())


class _Requests(AsyncIterator[Message]):
    """The requests of a call, parsed; ends only when the peer has said so.

    The first one tells the format of all, and of the replies.
    """

    __slots__ = ("_answer", "_call", "_decode", "_ended", "_exchange", "_json_starts")

    def __init__(self, exchange: _Exchange, call: Call, answer: Answer | None = None) -> None:
        self._exchange = exchange
        self._call = call
        self._answer = answer
        self._json_starts = exchange.json_starts
        self._decode = decode_request
        self._ended = False

    async def only(self) -> Message:
        """Return the request of a call that has one."""
        data: object = await self._exchange.context.read()
        if isinstance(data, bytes):
            return self._parsed(data)
        await self._confirm_end()
        raise wrong_requests(self._call.method, 0)

    async def __anext__(self) -> Message:
        if self._ended:
            raise StopAsyncIteration
        data: object = await self._exchange.context.read()
        if not isinstance(data, bytes):
            await self._confirm_end()
            raise StopAsyncIteration
        return self._parsed(data)

    async def _confirm_end(self) -> None:
        """Tell an end from a cut, by which this is interrupted.

        Both look the same to grpc.aio, but a second read returns behind the news of the cut.
        """
        self._ended = True
        if self._answer is not None:
            self._answer.watch()
            await asyncio.sleep(0)  # the core has to hear of this before the read
        await self._exchange.context.read()

    def _parsed(self, data: bytes) -> Message:
        if data[:1] in self._json_starts:
            self._decode, self._exchange.encode = decode_json, encode_json
        self._json_starts = _NONE
        return self._decode(self._call.method, data)


async def _abort(context: Context, error: Error, trailers: Metadata) -> None:
    status = to_status(error)
    try:
        await context.abort(_CODES[status.code], status.message, (*trailers, *_details(status)))
    except grpc.aio.AbortError as aborted:
        # grpc.aio keeps it, and raises it when the handler has returned. With its traceback it
        # would keep all that the call was made of, and be kept by it, until the collector comes.
        aborted.__traceback__ = None
    except grpc.aio.BaseError as failure:
        _log.debug("nobody is left to answer: %s", failure)


def _details(status: WireStatus) -> Metadata:
    return ((DETAILS_KEY, status.details),)


@lru_cache(maxsize=1024)
def _address(peer: str) -> str:
    """Return the address that gRPC writes as ``ipv4:host:port``, ``ipv6:%5Bhost%5D:port``."""
    kind, _, address = peer.partition(":")
    return unquote(address) if kind in ("ipv4", "ipv6") else peer
