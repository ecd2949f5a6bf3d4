"""What goes with a call beside its messages: all values, both ways, for every arity."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.errors import Error
from kratos.selector import Node
from kratos.testing.echo import ALL, CHAT, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, ChainCaller, Handler, Header, Method
from kratos_grpc import GrpcConnector

every_arity = pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
RAW = (b"\x00\xff", b"")


def fill(header: Header, name: str) -> None:
    """Add two texts under a name, and two values of bytes under another."""
    header.add(f"x-{name}", "one, with a comma")
    header.add(f"x-{name}", "two")
    for each in RAW:
        header.add_bytes(f"x-{name}-bin", each)


def filled(name: str) -> Header:
    header = Header()
    fill(header, name)
    return header


def metadata(name: str) -> tuple[tuple[str, str | bytes], ...]:
    """Return what gRPC has of the same."""
    texts = [(f"x-{name}", "one, with a comma"), (f"x-{name}", "two")]
    return (*texts, *((f"x-{name}-bin", each) for each in RAW))


def of(header: Header, name: str) -> Header:
    """Return only what ``fill`` has added."""
    wanted = (f"x-{name}", f"x-{name}-bin")
    return Header.of([pair for pair in header.items() if pair[0] in wanted])


def of_raw(items: Any, name: str) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in items if key.startswith(f"x-{name}"))


class Exchange:
    """The server's middleware: notes what came, and sends something back with the call."""

    def __init__(self) -> None:
        self.came: list[Header] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.came.append(of(call.headers, "request"))
        fill(call.reply_headers, "reply")
        try:
            return await next(call, request)
        finally:
            fill(call.trailers, "trailer")


async def paint(call: Call, request: Any, next: Handler, /) -> Any:
    """As the client's middleware, send something with the call."""
    fill(call.headers, "request")
    return await next(call, request)


@every_arity
@pytest.mark.parametrize("word", ["ok", "fail"])
async def test_all_values_travel_between_our_own_ends(
    serve: Any, say: Any, method: Method[Any, Any], word: str, engine: str, client_engine: str
) -> None:
    exchange, ends = Exchange(), list[Call]()
    options = CallOptions(on_end=ends.append)
    async with serve(EchoService(), middleware=[exchange], client_middleware=[paint]) as served:
        if word == "fail":
            with pytest.raises(Error, match="BUSY"):
                await say(served.caller, method, word, options=options)
        else:
            assert await say(served.caller, method, word, options=options) == ["ok"]
    assert exchange.came == [filled("request")]
    headers = of(ends[0].reply_headers, "reply")
    # Of a stream without messages, grpc.aio may lose headers that come together with its end.
    lost = word == "fail" and (engine, client_engine) == ("kratos", "grpcio") and not headers
    assert lost or headers == filled("reply")
    assert of(ends[0].trailers, "trailer") == filled("trailer")


@pytest.mark.parametrize("method", [WATCH, CHAT], ids=["server_stream", "bidi_stream"])
async def test_stream_has_its_headers_with_the_first_message_and_its_trailers_at_the_end(
    serve: Any, method: Method[Any, Any]
) -> None:
    async with serve(EchoService(), middleware=[Exchange()]) as served:
        opening: Any
        if method is WATCH:
            opening = served.caller.server_stream(WATCH, text("one two"))
        else:
            opening = served.caller.bidi_stream(CHAT)
        async with opening as stream:
            if method is CHAT:
                await stream.send(text("one"))
                await stream.end()
            await stream.__anext__()
            assert of(stream.headers, "reply") == filled("reply")
            async for _ in stream:
                pass
            assert of(stream.trailers, "trailer") == filled("trailer")


@every_arity
async def test_foreign_client_exchanges_all_values_with_our_server(
    serve: Any, method: Method[Any, Any]
) -> None:
    exchange = Exchange()
    async with serve(EchoService(), middleware=[exchange]) as served:
        channel: Any = grpc.aio.insecure_channel(served.address)
        async with channel:
            requests = iter([text("ok").SerializeToString()])
            call = channel.stream_stream(method.operation)(requests, metadata=metadata("request"))
            assert len([reply async for reply in call]) == 1
            headers, trailers = await call.initial_metadata(), await call.trailing_metadata()
    assert exchange.came == [filled("request")]
    assert of_raw(headers, "reply") == metadata("reply")
    assert of_raw(trailers, "trailer") == metadata("trailer")


class Foreign(grpc.GenericRpcHandler):
    """A server that answers every call with its first request, and notes what came with it."""

    request_streaming = True
    response_streaming = True
    request_deserializer = None
    response_serializer = None

    def __init__(self) -> None:
        self.came: list[Any] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self

    async def stream_stream(self, _requests: object, context: Any) -> None:
        self.came.append(of_raw(context.invocation_metadata(), "request"))
        await context.send_initial_metadata(metadata("reply"))
        await context.write(await context.read())
        context.set_trailing_metadata(metadata("trailer"))


@every_arity
async def test_our_client_exchanges_all_values_with_a_foreign_server(
    say: Any, method: Method[Any, Any]
) -> None:
    foreign, ends = Foreign(), list[Call]()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((foreign,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = GrpcConnector().connect(Node(scheme="grpc", address=f"127.0.0.1:{port}"))
    caller = ChainCaller(connection.invoke, transport="grpc", middleware=[paint], timeout=None)
    assert await say(caller, method, "ok", options=CallOptions(on_end=ends.append)) == ["ok"]
    await connection.aclose()
    await server.stop(None)
    assert foreign.came == [metadata("request")]
    assert of(ends[0].reply_headers, "reply") == filled("reply")
    assert of(ends[0].trailers, "trailer") == filled("trailer")


def test_every_arity_is_among_those_of_the_echo_service() -> None:
    assert {method.arity for method in ALL} == set(Arity)
