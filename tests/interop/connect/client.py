"""The client under test: makes each call that the runner tells it, and says how it went."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from connectrpc.conformance.v1 import conformance_kratos as methods
from connectrpc.conformance.v1.conformance_pb2 import (
    CODE_CANCELED,
    CODEC_JSON,
    COMPRESSION_DEFLATE,
    COMPRESSION_GZIP,
    HTTP_VERSION_2,
    PROTOCOL_GRPC,
    PROTOCOL_GRPC_WEB,
    STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM,
    ClientCompatRequest,
    ClientCompatResponse,
    ClientErrorResult,
    ClientResponseResult,
    Code,
    Header,
)
from connectrpc.conformance.v1.conformance_pb2 import Error as ToldError
from google.protobuf.message import Message
from tests.interop.connect.frames import read, standard_input, write

from kratos import Client, Error
from kratos.errors import to_grpc_code
from kratos.tls import ClientTls
from kratos.transport import Arity, Call, CallOptions, Method
from kratos.transport import Header as CallHeader
from kratos_grpc import GrpcConnector, _http2_attempt
from kratos_grpc._grpcio import attempt
from kratos_grpc.connect import ConnectConnector, _asking, _wire_stream
from kratos_grpc.limits import ClientLimits
from kratos_grpc.web import GrpcWebConnector
from kratos_grpc.web import _client as web_client

ENGINES = ("grpcio", "kratos")
AT_ONCE = 8  # more, and calls would wait for the processor, and not for the server
METHODS = {each.operation: each for each in methods.ConformanceService.METHODS}
CODINGS = {COMPRESSION_GZIP: "gzip", COMPRESSION_DEFLATE: "deflate"}


class Calling:
    """One call, and what came of it."""

    def __init__(self, request: ClientCompatRequest) -> None:
        self.request = request
        self.result = ClientResponseResult()
        self.method: Method[Any, Any] = METHODS[f"/{request.service}/{request.method}"]
        self.messages = list(self._unpacked())
        self.sent = 0
        self._all_sent = asyncio.Event()  # the end of the requests is due

    def _unpacked(self) -> list[Message]:
        messages: list[Message] = []
        for package in self.request.request_messages:
            message = self.method.request()
            assert package.Unpack(message), package.type_url
            messages.append(message)
        return messages

    async def make(self, caller: Client) -> ClientResponseResult:
        """Make the call."""
        try:
            await self._made(caller)
        except Error as error:
            self.result.error.CopyFrom(told(error))
            if self.sent < len(self.messages):
                self.result.num_unsent_requests = len(self.messages) - self.sent
        except asyncio.CancelledError:
            self.result.error.CopyFrom(ToldError(code=CODE_CANCELED))
        return self.result

    async def _made(self, caller: Client) -> None:
        arity = self.method.arity
        if arity is Arity.UNARY:
            self.sent = 1
            self._all_sent.set()
            await self._reply_of(caller.unary(self.method, self.messages[0], self.options))
        elif arity is Arity.CLIENT_STREAM:
            requests = self._requests()
            await self._reply_of(caller.client_stream(self.method, requests, self.options))
        elif arity is Arity.SERVER_STREAM:
            self.sent = 1
            opening = caller.server_stream(self.method, self.messages[0], self.options)
            await self._replies_of(opening)
        else:
            await self._replies_of(caller.bidi_stream(self.method, self.options))

    @property
    def options(self) -> CallOptions:
        """Options of the call."""
        headers = {each.name: list(each.value) for each in self.request.request_headers}
        limit = self.request.timeout_ms / 1000 if self.request.HasField("timeout_ms") else 0
        coding = CODINGS.get(self.request.compression, "")
        return CallOptions(
            timeout=limit, headers=headers, compression=coding, on_end=self._has_ended
        )

    def _has_ended(self, call: Call) -> None:
        del self.result.response_headers[:]
        self.result.response_headers.extend(pairs(call.reply_headers))
        del self.result.response_trailers[:]
        self.result.response_trailers.extend(pairs(call.trailers))

    async def _requests(self) -> AsyncIterator[Message]:
        for message in self.messages:
            await self._pause()
            yield message
            self.sent += 1
        self._all_sent.set()
        if self.cancels("before_close_send"):
            await asyncio.Event().wait()  # until it is cancelled

    async def _pause(self) -> None:
        if self.request.request_delay_ms:
            await asyncio.sleep(self.request.request_delay_ms / 1000)

    def cancels(self, when: str) -> bool:
        """Tell whether the call is to be cancelled then."""
        return self.request.cancel.WhichOneof("cancel_timing") == when

    async def _reply_of(self, calling: Any) -> None:
        """Wait for the only response; cancel before, if that is wanted."""
        task = asyncio.ensure_future(calling)
        cancelling = asyncio.create_task(self._cancel(task))
        try:
            reply = await task
        finally:
            cancelling.cancel()
        self.result.payloads.append(reply.payload)

    async def _cancel(self, task: asyncio.Future[Any]) -> None:
        if not self.request.HasField("cancel"):
            return
        await self._all_sent.wait()
        await asyncio.sleep(self.request.cancel.after_close_send_ms / 1000)
        task.cancel()

    async def _replies_of(self, opening: Any) -> None:
        """Send, read the responses, and leave the call early, if it is to be cancelled."""
        async with opening as stream:
            cancelled = await self._conversed(stream)
        if cancelled:
            await self._rest_of(stream)

    async def _conversed(self, stream: Any) -> bool:
        if self.method.arity is Arity.BIDI_STREAM and await self._sent_all(stream):
            return True
        if self.cancels("after_close_send_ms"):
            await asyncio.sleep(self.request.cancel.after_close_send_ms / 1000)
            return True
        async for reply in stream:
            self.result.payloads.append(reply.payload)
            if self._enough():
                return True
        return False

    async def _sent_all(self, stream: Any) -> bool:
        """Send all requests, and tell whether to cancel then."""
        in_turns = self.request.stream_type == STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM
        for message in self.messages:
            await self._pause()
            await stream.send(message)
            self.sent += 1
            if in_turns:
                try:
                    reply = await anext(stream)
                except StopAsyncIteration:
                    return False
                self.result.payloads.append(reply.payload)
                if self._enough():
                    return True
        if self.cancels("before_close_send"):
            return True
        await stream.end()
        return False

    def _enough(self) -> bool:
        wanted = self.request.cancel.after_num_responses
        return self.cancels("after_num_responses") and len(self.result.payloads) >= wanted

    async def _rest_of(self, stream: Any) -> None:
        async for reply in stream:
            self.result.payloads.append(reply.payload)


def told(error: Error) -> ToldError:
    """Return an error as the runner knows it."""
    code = to_grpc_code(error.code) if error.grpc_code is None else error.grpc_code
    return ToldError(code=Code.Name(code), message=error.message, details=error.details)


def pairs(headers: CallHeader) -> list[Header]:
    return [Header(name=name, value=headers.values(name)) for name in headers]


def client_for(request: ClientCompatRequest, engine: Any) -> Client:
    """Return a client as the runner wants it."""
    certificate, key = request.client_tls_creds.cert, request.client_tls_creds.key
    tls = ClientTls(
        ca=request.server_tls_cert, certificate=certificate or None, key=key or None, watch=False
    )
    secure = "s" if request.server_tls_cert else ""
    place = f"{request.host}:{request.port}"
    coding = CODINGS.get(request.compression, "")
    most = request.message_receive_limit
    if request.protocol == PROTOCOL_GRPC:
        connector = GrpcConnector(
            tls=tls if secure else None,
            limits=ClientLimits(max_receive=most) if most else None,
            compression=coding,
            engine=engine,
        )
        return Client(f"grpc{secure}://{place}", transport=connector, timeout=None)
    options: dict[str, Any] = {
        "tls": tls if secure else None,
        "http2": request.http_version == HTTP_VERSION_2,
        "json": request.codec == CODEC_JSON,
        "compression": coding,
        **({"max_receive": most} if most else {}),
    }
    url = f"http{secure}://{place}"
    if request.protocol == PROTOCOL_GRPC_WEB:
        return Client(url, transport=GrpcWebConnector(**options), timeout=None)
    connect = ConnectConnector(get=request.use_get_http_method, **options)
    return Client(url, transport=connect, timeout=None)


async def respond(request: ClientCompatRequest, engine: str) -> None:
    """Make a call, and tell the runner how it went."""
    response = ClientCompatResponse(test_name=request.test_name)
    try:
        async with client_for(request, engine) as caller:
            response.response.CopyFrom(await Calling(request).make(caller))
    except Exception as error:
        response.error.CopyFrom(ClientErrorResult(message=repr(error)))
    write(response, sys.stdout.buffer)


async def main(engine: str) -> None:
    """Make all calls, some at once."""
    source = await standard_input()
    room = asyncio.Semaphore(AT_ONCE)

    async def answer(request: ClientCompatRequest) -> None:
        try:
            await respond(request, engine)
        finally:
            room.release()

    async with asyncio.TaskGroup() as calls:
        while (request := await read(ClientCompatRequest, source)) is not None:
            await room.acquire()
            calls.create_task(answer(request))


def compress_all() -> None:
    """Compress short messages, too: the runner has none that are long enough to be worth it."""
    for module in (attempt, _http2_attempt, _asking, web_client, _wire_stream):
        assert "MINIMUM" in vars(module)
        vars(module)["MINIMUM"] = 0


if __name__ == "__main__":
    compress_all()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    asyncio.run(main(parser.parse_args().engine))
