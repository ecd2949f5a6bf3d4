"""Whoever ends a call, and however: nothing of it stays, on either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.selector import Node
from kratos.testing.echo import ALL, CHAT, COLLECT, NEVER, SHORT, WATCH, EchoService, text
from kratos.testing.middleware_contract import Limiter
from kratos.testing.proxy import FaultProxy
from kratos.transport import CallOptions, ChainCaller, Method
from kratos_grpc import GrpcConnector
from kratos_grpc._connection import GrpcConnection


@dataclass
class Scene:
    """A call that is to come, or under way, and what it takes place on.

    Attributes:
        served: The server.
        service: Its service.
        proxy: What stands between the two.
        connection: The client's end.
        caller: The client.
        method: What is called.
        say: Calls it.
    """

    served: Any
    service: EchoService
    proxy: FaultProxy
    connection: GrpcConnection
    caller: ChainCaller
    method: Method[Any, Any]
    say: Any

    def begin(self, word: str = "hang") -> asyncio.Task[object]:
        return asyncio.create_task(self.say(self.caller, self.method, word))

    async def begun(self) -> asyncio.Task[object]:
        """Begin a call that hangs, and return when its handler runs."""
        call = self.begin()
        await self.service.entered.wait()
        return call


async def nobody_before_its_time(scene: Scene) -> None:
    assert await scene.begin("ok") == ["ok"]


async def the_handler_by_an_error(scene: Scene) -> None:
    await failing(scene.begin("fail"), "BUSY")


async def the_handler_by_a_defect(scene: Scene) -> None:
    await failing(scene.begin("crash"), "UNKNOWN")


async def the_caller(scene: Scene) -> None:
    call = await scene.begun()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def the_callers_deadline(scene: Scene) -> None:
    for short in SHORT:
        options = CallOptions(timeout=short)
        with pytest.raises(Error) as failure:
            await scene.say(scene.caller, scene.method, "hang", options=options)
        assert failure.value.code == 504
        if scene.service.entered.is_set():
            return
    pytest.fail(NEVER)


async def the_callers_connection(scene: Scene) -> None:
    call = await scene.begun()
    await scene.connection.aclose()
    await failing(call, "CONNECTION_CLOSED")


async def the_network(scene: Scene) -> None:
    call = await scene.begun()
    scene.proxy.cut()
    with pytest.raises(Error) as failure:
        await call
    assert failure.value.code == 503


async def the_server(scene: Scene) -> None:
    call = await scene.begun()
    await scene.served.drain(0.0)
    await failing(call, "DRAINING")


async def failing(call: Awaitable[object], reason: str) -> None:
    with pytest.raises(Error) as failure:
        await call
    assert failure.value.reason == reason


ENDERS: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    nobody_before_its_time,
    the_handler_by_an_error,
    the_handler_by_a_defect,
    the_caller,
    the_callers_deadline,
    the_callers_connection,
    the_network,
    the_server,
)


@pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
@pytest.mark.parametrize("ended_by", ENDERS, ids=lambda each: each.__name__)
async def test_call_leaves_nothing_behind_when_it_is_ended_by(
    serve: Any,
    say: Any,
    method: Method[Any, Any],
    ended_by: Callable[[Scene], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, inside = EchoService(), Limiter(10)
    async with serve(service, middleware=[inside]) as served:
        host, _, port = served.address.rpartition(":")
        async with FaultProxy(host, int(port)) as proxy:
            before = tasks()
            connection = GrpcConnector().connect(Node(scheme="grpc", address=proxy.address))
            caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
            await ended_by(Scene(served, service, proxy, connection, caller, method, say))
            await nothing_in_flight(served, inside, connection)
            await connection.aclose()
            await settled(lambda: tasks() <= before)
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("method", [WATCH, CHAT], ids=["server_stream", "bidi_stream"])
async def test_stream_that_is_left_early_leaves_nothing_behind(
    serve: Any, method: Method[Any, Any]
) -> None:
    service, inside = EchoService(), Limiter(10)
    async with serve(service, middleware=[inside]) as served:
        before = tasks()
        opening: Any
        if method is WATCH:
            opening = served.caller.server_stream(WATCH, text("one hang"))
        else:
            opening = served.caller.bidi_stream(CHAT)
        async with opening as stream:
            if method is CHAT:
                await stream.send(text("one"))
            await stream.__anext__()
        await nothing_in_flight(served, inside, served.connection)
        await served.connection.aclose()
        await settled(lambda: tasks() <= before)


async def test_source_of_requests_is_closed_when_the_server_ends_the_call(serve: Any) -> None:
    closed = asyncio.Event()

    async def words() -> AsyncIterator[StringValue]:
        try:
            yield text("fail")
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    async with serve(EchoService()) as served:
        await failing(served.caller.client_stream(COLLECT, words()), "BUSY")
        assert closed.is_set()


async def nothing_in_flight(served: Any, inside: Limiter, connection: Any) -> None:
    """Return when neither side counts a call: gauge, in-flight set and attempts of the client."""
    await settled(lambda: not inside.inside)
    await settled(lambda: not served.server._dispatcher.calls)
    await settled(lambda: connection._line is None or not connection._line.attempts)


def tasks() -> int:
    """Return how many there are, but for those of the proxy, which are there for each connection.

    One stays open until all of its calls are freed, and a test's own failures hold them.
    """
    every = (repr(task.get_coro()) for task in asyncio.all_tasks())
    return sum("FaultProxy" not in each for each in every)


async def settled(condition: Callable[[], bool]) -> None:
    """Return when a condition holds that nothing tells of; the test's time limit bounds it."""
    while not condition():  # noqa: ASYNC110  tasks of grpc.aio set no event
        await asyncio.sleep(0)
