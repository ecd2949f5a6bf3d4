"""The client against foreign servers: plain grpc.aio, without a line of ours."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.client import Client
from kratos.errors import Error
from kratos.selector import Node
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.program import free_port
from kratos.transport import Arity, Call, CallOptions, ChainCaller, Handler, Method
from kratos_grpc import ClientLimits, GrpcConnector
from kratos_grpc._connection import GrpcConnection

Behaviour = Callable[[Any], Awaitable[None]]


class Foreign(grpc.GenericRpcHandler):
    """Serves every call with one coroutine function."""

    request_streaming = True
    response_streaming = True
    request_deserializer = None
    response_serializer = None

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self

    async def stream_stream(self, _requests: object, context: Any) -> None:
        await self._behave(context)


@asynccontextmanager
async def foreign(behave: Behaviour) -> AsyncGenerator[GrpcConnection]:
    """Run a foreign server and connect to it."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Foreign(behave),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = GrpcConnector().connect(Node(scheme="grpc", address=f"127.0.0.1:{port}"))
    try:
        yield connection
    finally:
        await connection.aclose()
        await server.stop(None)


def calling(connection: GrpcConnection, *middleware: Any) -> ChainCaller:
    return ChainCaller(connection.invoke, transport="grpc", middleware=middleware, timeout=None)


def wire(value: str) -> bytes:
    return text(value).SerializeToString()


async def refuse(context: Any) -> None:
    await context.abort(grpc.StatusCode.OUT_OF_RANGE, "no such page", (("x-page", "7"),))


async def echo(context: Any) -> None:
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request)


async def test_status_of_a_foreign_server_becomes_an_error_by_the_table() -> None:
    ended: list[Call] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            ended.append(call)

    async with foreign(refuse) as connection:
        with pytest.raises(Error) as failure:
            await calling(connection, note).unary(ECHO, text("ok"))
    error = failure.value
    assert (error.code, error.reason, error.message) == (400, "", "no such page")
    assert error.__cause__ is None
    assert error.__context__ is None
    assert ended[0].trailers.get("x-page") == "7"


async def test_status_of_a_stream_becomes_an_error_too() -> None:
    async with (
        foreign(refuse) as connection,
        calling(connection).server_stream(WATCH, text("ok")) as replies,
    ):
        with pytest.raises(Error, match="no such page"):
            await replies.__anext__()


async def garble(context: Any) -> None:
    await context.read()
    await context.write(b"\xff\xff")


async def test_malformed_reply_is_a_failure_of_the_server() -> None:
    async with foreign(garble) as connection:
        with pytest.raises(Error) as failure:
            await calling(connection).unary(ECHO, text("one"))
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")


async def test_end_without_a_reply_is_a_failure_of_the_server() -> None:
    async def end(context: Any) -> None:
        await context.read()

    async with foreign(end) as connection:
        for call in (
            calling(connection).unary(ECHO, text("one")),
            calling(connection).client_stream(COLLECT, [text("one")]),
        ):
            with pytest.raises(Error, match="without a reply") as failure:
                await call
            assert (failure.value.code, failure.value.reason) == (500, "CODEC")


async def test_malformed_reply_of_a_stream_is_a_failure_of_the_server() -> None:
    async with foreign(garble) as connection, calling(connection).bidi_stream(CHAT) as stream:
        await stream.send(text("one"))
        with pytest.raises(Error) as failure:
            await stream.__anext__()
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")


async def test_reply_beyond_the_limit_is_refused(serve: Any) -> None:
    connector = GrpcConnector(limits=ClientLimits(max_receive=100))
    async with serve(EchoService(), connector=connector) as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text("x" * 200))
        assert (await served.caller.unary(ECHO, text("x" * 50))).value == "x" * 50
    assert failure.value.code == 429


async def test_headers_of_a_stream_are_there_with_its_first_message() -> None:
    async def greet(context: Any) -> None:
        await context.send_initial_metadata((("x-a", "1"), ("x-a", "2")))
        context.set_trailing_metadata((("x-b", "3"),))
        await echo(context)

    async with (
        foreign(greet) as connection,
        calling(connection).server_stream(WATCH, text("one")) as replies,
    ):
        await replies.__anext__()
        headers = replies.headers.values("x-a")
        rest = [reply async for reply in replies]
        trailers = replies.trailers.values("x-b")
    assert (headers, rest, trailers) == (["1", "2"], [], ["3"])


async def test_header_that_grpc_cannot_carry_is_the_callers_mistake() -> None:
    async def paint(call: Call, request: Any, next: Handler, /) -> Any:
        call.headers.add("x-color", "grün")
        return await next(call, request)

    async with foreign(echo) as connection:
        with pytest.raises(ValueError, match="x-color"):
            await calling(connection, paint).unary(ECHO, text("ok"))


async def test_wait_for_a_message_that_is_given_up_leaves_the_stream_open() -> None:
    release = asyncio.Event()

    async def late(context: Any) -> None:
        await release.wait()
        await context.write(wire("late"))

    async with (
        foreign(late) as connection,
        calling(connection).server_stream(WATCH, text("ok")) as replies,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(replies.__anext__(), 0.02)
        release.set()
        words = [reply.value async for reply in replies]
    assert words == ["late"]


async def test_messages_sent_from_several_tasks_arrive_whole() -> None:
    async with foreign(echo) as connection, calling(connection).bidi_stream(CHAT) as stream:
        async with asyncio.TaskGroup() as tasks:
            for word in ("one", "two", "three"):
                tasks.create_task(stream.send(text(word)))
        await stream.end()
        words = sorted([reply.value async for reply in stream])
    assert words == ["one", "three", "two"]


async def test_sending_on_a_stream_that_has_ended_leaves_it_to_the_end_to_say_why() -> None:
    async with foreign(refuse) as connection, calling(connection).bidi_stream(CHAT) as stream:
        for _ in range(500):  # some of them while the end is on its way
            await stream.send(text("more"))
            await asyncio.sleep(0)
        with pytest.raises(Error, match="no such page"):
            await stream.__anext__()


async def test_reply_that_comes_before_all_requests_are_sent_is_no_failure() -> None:
    async def answer_at_once(context: Any) -> None:
        await context.read()
        await context.write(wire("enough"))

    async def words() -> AsyncIterator[StringValue]:
        while True:
            yield text("more")

    async with foreign(answer_at_once) as connection:
        caller = calling(connection)
        replies = [await caller.client_stream(COLLECT, words()) for _ in range(50)]
    assert [reply.value for reply in replies] == ["enough"] * 50


async def test_leaving_cancels_the_call_at_the_server() -> None:
    cancelled = asyncio.Event()

    async def wait(context: Any) -> None:
        try:
            await context.write(wire("one"))
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with foreign(wait) as connection:
        async with calling(connection).server_stream(WATCH, text("ok")) as replies:
            await replies.__anext__()
        await cancelled.wait()


async def test_server_that_is_not_there_is_unavailable() -> None:
    node = await unserved()
    connection = GrpcConnector().connect(node)
    with pytest.raises(Error) as failure:
        await calling(connection).unary(ECHO, text("ok"))
    assert failure.value.code == 503
    assert not connection.ready
    await connection.aclose()


async def test_warming_tells_when_the_server_is_not_there() -> None:
    node = await unserved()
    connection = GrpcConnector().connect(node)
    with pytest.raises(Error, match=node.address) as failure:
        await connection.warm()
    assert failure.value.code == 503
    await connection.aclose()


async def unserved() -> Node:
    """Return a node at whose address nobody listens."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return Node(scheme="grpc", address=f"127.0.0.1:{port}")


async def test_connection_opens_on_first_use_and_is_ready_from_then_on() -> None:
    async with foreign(echo) as connection:
        before = connection.ready
        await connection.warm()
        after = connection.ready
        await connection.warm()
    assert (before, after, connection.ready) == (False, True, False)


async def test_warming_can_be_given_up_and_taken_up_again() -> None:
    async with foreign(echo) as connection:
        warming = asyncio.create_task(connection.warm())
        await asyncio.sleep(0)
        warming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await warming
        await connection.warm()
        assert connection.ready


async def test_closed_connection_refuses_calls() -> None:
    async with foreign(echo) as connection:
        await connection.aclose()
        await connection.aclose()
        with pytest.raises(Error) as failure:
            await calling(connection).unary(ECHO, text("ok"))
        with pytest.raises(Error):
            await connection.warm()
    assert (failure.value.code, failure.value.reason) == (503, "CONNECTION_CLOSED")


@pytest.mark.parametrize("method", [ECHO, COLLECT, WATCH], ids=lambda each: each.arity.value)
async def test_closing_cuts_off_what_is_in_flight(serve: Any, method: Any) -> None:
    service = EchoService()

    async def call(caller: ChainCaller) -> object:
        if method is ECHO:
            return await caller.unary(ECHO, text("hang"))
        if method is COLLECT:
            return await caller.client_stream(COLLECT, [text("hang")])
        async with caller.server_stream(WATCH, text("hang")) as replies:
            return [reply async for reply in replies]

    async with serve(service) as served:
        calling = asyncio.create_task(call(served.caller))
        await service.entered.wait()
        await served.connection.aclose()
        with pytest.raises(Error) as failure:
            await calling
        await service.left.wait()
    assert (failure.value.code, failure.value.reason) == (503, "CONNECTION_CLOSED")
    assert service.interrupted == 1


async def test_closing_lets_calls_in_flight_end_within_their_time() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def held(context: Any) -> None:
        entered.set()
        await release.wait()
        await echo(context)

    async with foreign(held) as connection:
        caller = calling(connection)
        call = asyncio.create_task(caller.unary(ECHO, text("ok")))
        await entered.wait()
        closing = asyncio.create_task(connection.aclose(drain=10.0))
        await asyncio.sleep(0)
        with pytest.raises(Error, match="CONNECTION_CLOSED"):
            await caller.unary(ECHO, text("late"))
        release.set()
        assert (await call).value == "ok"
        await closing


async def test_closing_that_is_interrupted_can_be_done_again() -> None:
    async def hang(context: Any) -> None:
        await asyncio.get_running_loop().create_future()

    async with foreign(hang) as connection:
        call = asyncio.create_task(calling(connection).unary(ECHO, text("ok")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(connection.aclose(drain=10.0))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await connection.aclose()
        with pytest.raises(Error, match="CONNECTION_CLOSED"):
            await call


async def test_abandoned_source_of_requests_is_closed(serve: Any) -> None:
    closed = asyncio.Event()

    async def words() -> AsyncIterator[StringValue]:
        try:
            yield text("one")
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    service = EchoService()
    async with serve(service) as served:
        call = asyncio.create_task(served.caller.client_stream(COLLECT, words(), None))
        await service.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert closed.is_set()


async def test_streams_that_are_left_early_leave_no_tasks(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served:
        await served.caller.unary(ECHO, text("ok"))
        before = len(asyncio.all_tasks())
        for _ in range(100):
            async with served.caller.server_stream(WATCH, text("one hang")) as replies:
                await replies.__anext__()
            async with served.caller.bidi_stream(CHAT) as stream:
                await stream.send(text("hang"))
        while service.interrupted < 100:  # noqa: ASYNC110  the peer's tasks set no event here
            await asyncio.sleep(0)
        await settled(before)


async def settled(most: int) -> None:
    """Return when no more than so many tasks are left; the test's time limit bounds it."""
    while len(asyncio.all_tasks()) > most:  # noqa: ASYNC110  tasks of grpc.aio set no event
        await asyncio.sleep(0)


async def test_client_of_the_core_finds_the_transport_by_its_name(serve: Any) -> None:
    async with serve(EchoService()) as served, Client(f"grpc://{served.address}") as caller:
        await caller.ready()
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"
        async with caller.server_stream(WATCH, text("one two")) as replies:
            words = [reply.value async for reply in replies]
    assert words == ["one", "two"]


async def test_client_of_the_core_tells_at_once_that_nobody_listens_there() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with Client(f"grpc://{address}", timeout=None) as caller:
        for _ in range(2):
            with pytest.raises(Error, match=f"no node of grpc://{address} is ready") as caught:
                async with asyncio.timeout(10):
                    await caller.unary(ECHO, text("one"))
            assert caught.value.code == 503
            assert f"no connection to {address}" in str(caught.value.cause)


async def test_client_of_the_core_comes_back_to_a_server_that_was_away(serve: Any) -> None:
    async with serve(EchoService()) as first:
        address = first.address
        async with Client(f"grpc://{address}", timeout=15.0) as caller:
            assert (await caller.unary(ECHO, text("one"))).value == "one"
            await first.drain(1.0)
            with pytest.raises(Error):
                await caller.unary(ECHO, text("two"), CallOptions(fail_fast=True))
            async with serve(EchoService(), address=address):
                assert (await caller.unary(ECHO, text("three"))).value == "three"


async def take(caller: ChainCaller, method: Method[Any, Any]) -> None:
    """Make a call of any arity, and take what it answers."""
    arity = method.arity
    if arity is Arity.UNARY:
        await caller.unary(method, text("ok"))
    elif arity is Arity.CLIENT_STREAM:
        await caller.client_stream(method, [text("ok")])
    else:
        streams = arity is Arity.BIDI_STREAM
        opening: Any = (
            caller.bidi_stream(method) if streams else caller.server_stream(method, text("ok"))
        )
        async with opening as replies:
            async for _ in replies:
                pass


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.arity.value)
async def test_error_that_is_kept_keeps_nothing_of_the_call(method: Method[Any, Any]) -> None:
    async with foreign(refuse) as connection:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(Error, match="no such page"):
                await take(calling(connection), method)
            calls = [each for each in gc.get_objects() if isinstance(each, grpc.aio.Call)]
        finally:
            gc.enable()
    assert calls == []
