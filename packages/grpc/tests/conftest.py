from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest

from kratos.health import Health
from kratos.middleware import AnyMiddleware
from kratos.selector import Node
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.transport import CallOptions, ChainCaller, Method, Mount, Service
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_grpc._connection import GrpcConnection

ENGINES = ("kratos", "grpcio")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have servers and clients be tested on each of their engines, and on each other's.

    But for what is peculiar to one engine of servers.
    """
    module, function = cast("Any", metafunc).module, metafunc.function
    served = "serve" in metafunc.fixturenames
    if served or "GrpcServer" in inspect.getsource(function):
        marker = metafunc.definition.get_closest_marker("engine")
        engines = ENGINES if marker is None else marker.args
        ids = [f"by-{each}" for each in engines]
        metafunc.parametrize("engine", engines, ids=ids, indirect=True)
    called = served or hasattr(module, "GrpcConnector")
    if called and not hasattr(module, "ENGINE"):  # which says that all of it is about one
        ids = [f"on-{each}" for each in ENGINES]
        metafunc.parametrize("client_engine", ENGINES, ids=ids, indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the engine of servers that are told none."""
    chosen: str = getattr(request, "param", "kratos")
    defaults = GrpcServer.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "engine", chosen)
    return chosen


@pytest.fixture(autouse=True)
def client_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have clients call on an engine, unless they say on which."""
    engine: str = getattr(request, "param", "kratos")
    defaults: Any = GrpcConnector.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "engine", engine)
    return engine


@dataclass
class Running:
    """A server that serves, with a client at its other end."""

    server: GrpcServer
    connection: GrpcConnection
    caller: ChainCaller
    address: str

    async def drain(self, timeout: float, /) -> None:
        """Stop the calls of the server as an application does that gives them ``timeout``."""
        stopping = asyncio.create_task(self.server.stop())
        await asyncio.wait((stopping,), timeout=timeout)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait((stopping,))


class Serve(Protocol):
    def __call__(
        self,
        *services: Service,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        connector: GrpcConnector | None = None,
        health: Health | None = None,
        secure: bool = False,
        use: Mapping[str, Sequence[AnyMiddleware]] | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[Running]: ...


class Say(Protocol):
    async def __call__(
        self,
        caller: ChainCaller,
        method: Method[Any, Any],
        /,
        *words: str,
        options: CallOptions | None = None,
    ) -> list[str]: ...


@asynccontextmanager
async def _serving(
    *services: Service,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    connector: GrpcConnector | None = None,
    health: Health | None = None,
    secure: bool = False,
    use: Mapping[str, Sequence[AnyMiddleware]] | None = None,
    **options: Any,
) -> AsyncGenerator[Running]:
    address = options.pop("address", "127.0.0.1:0")
    options.setdefault("timeout", None)
    server = GrpcServer(address, **options)
    for selector, selected in (use or {}).items():
        server.use(selector, selected)
    server.mount(Mount(services=services, middleware=middleware, health=health))
    urls = await server.bind()
    target = urls[0].partition("://")[2] if urls else address
    running = asyncio.create_task(server.start())
    await server.ready()
    node = Node(scheme="grpc", address=target, secure=secure)
    connection = (connector or GrpcConnector()).connect(node)
    caller = ChainCaller(
        connection.invoke, transport="grpc", middleware=client_middleware, timeout=None
    )
    try:
        yield Running(server, connection, caller, target)
    finally:
        await connection.aclose()
        await server.stop()
        await running


@pytest.fixture
def serve() -> Serve:
    """Serve services over gRPC, without a default time limit on either side."""
    return _serving


async def _say(
    caller: ChainCaller,
    method: Method[Any, Any],
    /,
    *words: str,
    options: CallOptions | None = None,
) -> list[str]:
    messages = [text(word) for word in words]
    if method is ECHO:
        return [(await caller.unary(ECHO, messages[0], options)).value]
    if method is COLLECT:
        return [(await caller.client_stream(COLLECT, messages, options)).value]
    if method is WATCH:
        async with caller.server_stream(WATCH, text(" ".join(words)), options) as replies:
            return [reply.value async for reply in replies]
    async with caller.bidi_stream(CHAT, options) as stream:
        for message in messages:
            await stream.send(message)
        await stream.end()
        return [reply.value async for reply in stream]


@pytest.fixture
def say() -> Say:
    """Call a method of the echo service with words, and return all that it answers."""
    return _say
