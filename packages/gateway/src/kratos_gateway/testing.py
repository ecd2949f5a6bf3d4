"""Back ends and proxies on real sockets, for tests of the gateway and of what is built on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeAlias, cast

from google.protobuf.json_format import ParseDict

from kratos.limit import cancel_and_wait
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Gateway
from kratos_gateway.backend import ConnectOptions
from kratos_gateway.proxy import MiddlewareFactory, Proxy
from kratos_http.testing import Listening, listening

__all__ = ["Backend", "Proxied", "backend", "config_of", "proxied", "say", "scripted"]

Script: TypeAlias = Callable[[Head, Wire], Awaitable[None]]


class Backend:
    """A node that answers as a script says.

    Attributes:
        script: Answers a request.
        heads: Of the requests that came.
        address: Where it listens.
        listening: Its engine.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heads: list[Head] = []
        self.address = ""
        self.listening: Listening

    def route(self, head: Head, /) -> Backend:
        """Take every request."""
        self.heads.append(head)
        return self

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Do as the script says."""
        await self.script(head, wire)

    def header(self, name: str) -> str:
        """Return a header of the newest request."""
        return self.heads[-1].header(name.encode()).decode("latin-1")


class Proxied:
    """A proxy on a port.

    Attributes:
        proxy: The proxy.
        listening: Its engine.
    """

    def __init__(self, proxy: Proxy, on: Listening) -> None:
        self.proxy = proxy
        self.listening = on
        self.connect = on.connect
        self.connect_http2 = on.connect_http2


@asynccontextmanager
async def backend(script: Script) -> AsyncGenerator[Backend]:
    """Serve a script, over HTTP/1.1 and HTTP/2."""
    made = Backend(script)
    async with listening(made) as opened:
        made.listening = opened
        made.address = f"127.0.0.1:{opened.port}"
        yield made


@asynccontextmanager
async def scripted(*answers: bytes, close: bool = False) -> AsyncGenerator[str]:
    """Serve bytes as they are, to one request after the other; return the address.

    Args:
        answers: One for each request; the last again and again.
        close: Whether each connection is closed after an answer.
    """
    left = list(answers)
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(left.pop(0) if len(left) > 1 else left[0])
                    if close:
                        return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await cancel_and_wait(*serving)


@asynccontextmanager
async def proxied(
    *endpoints: dict[str, Any],
    tls_store: dict[str, Any] | None = None,
    middleware: MiddlewareFactory | None = None,
    **options: Any,
) -> AsyncGenerator[Proxied]:
    """Serve a proxy of some endpoints, as YAML has them.

    Nodes may take seconds to be connected to, as the machine may be busy.
    """
    options.setdefault("connect", ConnectOptions(dial_timeout=5.0))
    async with AsyncExitStack() as stack:
        proxy = Proxy(config_of(*endpoints, tls_store=tls_store), middleware=middleware, **options)
        stack.push_async_callback(proxy.aclose, drain=0.0)
        yield Proxied(proxy, await stack.enter_async_context(listening(proxy)))


def config_of(*endpoints: dict[str, Any], tls_store: dict[str, Any] | None = None) -> Gateway:
    """Return a configuration of some endpoints, as YAML has them."""
    text = {"name": "test", "endpoints": list(endpoints), "tlsStore": tls_store or {}}
    return ParseDict(text, Gateway())


async def say(wire: Wire, status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    """Read a request to its end, answer it, and return its body."""
    pieces: list[bytes] = []
    while piece := await wire.read():
        pieces.append(piece)
    given = [(name.encode(), value.encode()) for name, value in headers]
    wire.start(status, [*given, (b"content-length", b"%d" % len(body))])
    if body:
        await wire.write(body)
    await wire.finish()
    return b"".join(pieces)
