"""Fixtures of all tests of the HTTP transport, which run on both event loops."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import pytest

from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos_http.testing import OpenPeer, asgi_peer, http2_peer, socket_peer

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    """Name the event loops: engines see more of them than business code does."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32" and sys.implementation.name == "cpython":
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(params=[socket_peer, http2_peer, asgi_peer], ids=["socket", "http2", "asgi"])
def open_peer(request: pytest.FixtureRequest) -> OpenPeer:
    """Return what runs a server over each version of HTTP, and under ASGI."""
    opened: OpenPeer = request.param
    return opened


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Script], Awaitable[Node]]]:
    """Return what runs a server that does with each connection what a script says."""
    listeners: list[asyncio.Server] = []
    serving: set[asyncio.Task[None]] = set()

    async def start(script: Script) -> Node:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.add(task)
            try:
                with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                    await script(reader, writer)
            finally:
                writer.close()

        listener = await asyncio.start_server(run, "127.0.0.1", 0)
        listeners.append(listener)
        return Node(scheme="http", address=f"127.0.0.1:{listener.sockets[0].getsockname()[1]}")

    yield start
    for listener in listeners:
        listener.close()
    await cancel_and_wait(*serving)
