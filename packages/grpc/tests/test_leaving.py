"""Clients of a server that is about to stop go on with another one at its address, unharmed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.health import Health, Phase
from kratos.selector import Node
from kratos.testing.echo import CHAT, ECHO, EchoService, text
from kratos.transport import Call, CallOptions, ChainCaller, Mount, server_call
from kratos_grpc import ClientLimits, ClientTls, GrpcConnector, GrpcServer
from kratos_grpc._connection import GrpcConnection
from kratos_grpc._dialing import Http2Dialing
from kratos_grpc._grpcio.dialing import GrpcioDialing
from kratos_grpc._line import Line

REPEATABLE = dataclasses.replace(ECHO, idempotent=True)


class Named(EchoService):
    """Answers with its name, after what a test says."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.answered = 0
        self.failure: Error | None = None

    async def echo(self, request: StringValue, /) -> StringValue:
        self.answered += 1
        if self.failure is not None:
            raise self.failure.clone()
        return text(self.name)

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        async for _ in requests:
            yield text(self.name)


class Worker:
    """One of several servers at an address."""

    def __init__(self, name: str, address: str) -> None:
        self.health = Health()
        self.service = Named(name)
        self.server = GrpcServer(address, share_port=True)
        self.server.mount(Mount(services=(self.service,), health=self.health))
        self.running: asyncio.Task[None] | None = None

    async def start(self) -> str:
        (url,) = await self.server.bind()
        self.running = asyncio.create_task(self.server.start())
        await self.server.ready()
        self.health.advance(Phase.SERVING)
        return url.partition("://")[2]

    async def stop(self) -> None:
        await self.server.stop()
        assert self.running is not None
        await self.running


@asynccontextmanager
async def worker(name: str, address: str = "127.0.0.1:0") -> AsyncGenerator[tuple[Worker, str]]:
    made = Worker(name, address)
    bound = await made.start()
    try:
        yield made, bound
    finally:
        await made.stop()


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[tuple[GrpcConnection, ChainCaller]]:
    connection = GrpcConnector().connect(Node(scheme="grpc", address=address))
    try:
        yield connection, ChainCaller(connection.invoke, transport="grpc", timeout=None)
    finally:
        await connection.aclose()


async def who(caller: ChainCaller) -> str:
    return (await caller.unary(ECHO, text("who"))).value


async def until(caller: ChainCaller, name: str) -> None:
    async with asyncio.timeout(15):
        while await who(caller) != name:
            pass


async def test_calls_go_to_another_server_as_soon_as_theirs_is_about_to_stop() -> None:
    async with worker("old") as (old, address), connected(address) as (_, caller):
        assert await who(caller) == "old"
        async with worker("new", address):
            old.health.advance(Phase.STOPPING)
            await until(caller, "new")


async def test_client_whose_calls_all_fail_hears_of_it_too() -> None:
    async with worker("old") as (old, address), connected(address) as (_, caller):
        old.service.failure = Error(404, "NO_SUCH_FILM", "there is none")
        with pytest.raises(Error, match="NO_SUCH_FILM"):
            await who(caller)
        async with worker("new", address):
            old.health.advance(Phase.STOPPING)
            async with asyncio.timeout(15):
                while True:
                    with suppress(Error):
                        assert await who(caller) == "new"
                        break


async def test_stream_stays_where_it_is_when_calls_move_on() -> None:
    async with (
        worker("old") as (old, address),
        connected(address) as (_, caller),
        caller.bidi_stream(CHAT) as stream,
    ):
        await stream.send(text(""))
        assert (await anext(aiter(stream))).value == "old"
        async with worker("new", address):
            old.health.advance(Phase.STOPPING)
            await until(caller, "new")
            await stream.send(text(""))
            assert (await anext(aiter(stream))).value == "old"


def dialing(engine: str) -> Callable[[Node], Line[Any]]:
    if engine == "grpcio":
        return GrpcioDialing(ClientTls(), ClientLimits(), "", ()).dial
    return Http2Dialing(ClientTls(), ClientLimits(), "", None).dial


async def test_client_that_finds_no_other_server_stays_and_soon_gives_up_looking(
    client_engine: str,
) -> None:
    async with worker("only") as (only, address):
        dialled = 0

        dial_plainly = dialing(client_engine)

        def counted(node: Node) -> Line[Any]:
            nonlocal dialled
            dialled += 1
            return dial_plainly(node)

        connection = GrpcConnection(Node(scheme="grpc", address=address), counted)
        caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
        only.health.advance(Phase.STOPPING)
        for _ in range(200):
            assert await who(caller) == "only"
        await connection.aclose()
        assert dialled < 20


async def test_server_that_leaves_without_another_one_is_no_warning(
    caplog: pytest.LogCaptureFixture, client_engine: str
) -> None:
    async with worker("only") as (only, address):
        dial_plainly = dialing(client_engine)
        sought = asyncio.Event()

        def dial(node: Node) -> Line[Any]:
            if only.health.phase is Phase.STOPPING:
                sought.set()
                raise Error(503, "UNREACHABLE", "nobody listens there")
            return dial_plainly(node)

        connection = GrpcConnection(Node(scheme="grpc", address=address), dial)
        caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
        with caplog.at_level("DEBUG", "kratos.grpc"):
            assert await who(caller) == "only"
            only.health.advance(Phase.STOPPING)
            assert await who(caller) == "only"
            await sought.wait()
            await connection.aclose()
    found = [record for record in caplog.records if "nobody listens there" in record.message]
    assert found
    assert {record.levelname for record in found} == {"DEBUG"}


async def test_connection_that_is_closed_while_it_moves_leaves_nothing_open() -> None:
    async with worker("old") as (old, address), connected(address) as (connection, caller):
        old.health.advance(Phase.STOPPING)
        await who(caller)
        await connection.aclose()
        assert not [task for task in asyncio.all_tasks() if "kratos move" in task.get_name()]
        with pytest.raises(Error) as caught:
            await who(caller)
        assert caught.value.reason == "CONNECTION_CLOSED"


async def test_client_moves_on_though_it_could_not_connect_anew_at_first(
    caplog: pytest.LogCaptureFixture, client_engine: str
) -> None:
    async with worker("old") as (old, address):
        fails = iter((False, True))  # the second attempt fails before it has begun

        dial_plainly = dialing(client_engine)

        def dial(node: Node) -> Line[Any]:
            if next(fails, False):
                raise OSError("no certificate to show")
            return dial_plainly(node)

        connection = GrpcConnection(Node(scheme="grpc", address=address), dial)
        caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
        assert await who(caller) == "old"
        async with worker("new", address):
            old.health.advance(Phase.STOPPING)
            await until(caller, "new")
        await connection.aclose()
    assert "no certificate to show" in caplog.text


async def test_server_that_stays_says_nothing() -> None:
    async with worker("only") as (_, address), connected(address) as (connection, _):
        seen: list[str] = []

        async def look(call: Any, request: Any, next_: Any) -> Any:
            reply = await next_(call, request)
            seen.extend(call.trailers.keys())
            return reply

        looking = ChainCaller(connection.invoke, transport="grpc", middleware=[look], timeout=None)
        await who(looking)
        assert seen == []


async def test_service_that_passes_trailers_on_sends_nobody_away(serve: Any) -> None:
    class Relay(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            call.trailers.set("kratos-leaving", "1")
            call.trailers.set("x-more", "2")
            return request

    ends: list[Call] = []
    async with serve(Relay()) as served:
        await served.caller.unary(ECHO, text(""), CallOptions(on_end=ends.append))
    assert list(ends[0].trailers.keys()) == ["x-more"]


Behaviour = Callable[[grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]


@asynccontextmanager
async def foreign(behave: Behaviour) -> AsyncGenerator[str]:
    """Serve as no server of ours does."""

    async def echo(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return await behave(context)

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("kratos.testing.Echo", {"Echo": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize("code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
async def test_repeatable_call_that_was_ended_unanswered_is_sent_once_more(
    code: grpc.StatusCode,
) -> None:
    calls = 0

    async def behave(context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 1:
            await context.abort(code)
        return text("answer").SerializeToString()

    async with foreign(behave) as address, connected(address) as (_, caller):
        assert (await caller.unary(REPEATABLE, text(""))).value == "answer"
    assert calls == 2


@pytest.mark.parametrize("method", [ECHO, REPEATABLE])
async def test_call_is_sent_twice_at_most_and_once_if_it_is_not_repeatable(method: Any) -> None:
    calls = 0

    async def behave(context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += 1
        await context.abort(grpc.StatusCode.CANCELLED)

    async with foreign(behave) as address, connected(address) as (_, caller):
        with pytest.raises(Error):
            await caller.unary(method, text(""))
    assert calls == (2 if method.idempotent else 1)


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [((("x-began", "1"),), ()), ((), (("grpc-retry-pushback-ms", "-1"),))],
    ids=["headers", "trailers"],
)
async def test_answer_of_the_service_is_one_whatever_its_code(
    headers: tuple[tuple[str, str], ...], trailers: tuple[tuple[str, str], ...]
) -> None:
    calls = 0

    async def behave(context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += 1
        if headers:
            await context.send_initial_metadata(headers)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "", trailers)

    async with foreign(behave) as address, connected(address) as (_, caller):
        with pytest.raises(Error):
            await caller.unary(REPEATABLE, text(""))
    assert calls == 1


async def test_server_that_answers_so_to_every_call_is_not_asked_twice_for_long() -> None:
    calls = 0

    async def behave(context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE)

    async with foreign(behave) as address, connected(address) as (_, caller):
        for _ in range(200):
            with pytest.raises(Error):
                await caller.unary(REPEATABLE, text(""))
    assert 200 < calls < 400
