"""Peers for tests of HTTP services: one over a socket, byte by byte, and one over ASGI."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote

from kratos.client import Client
from kratos.transport import Mount, Service
from kratos.transport.http import HttpApplication
from kratos.transport.listening import BACKLOG
from kratos_http._accepting import Acceptor
from kratos_http._asgi_wire import Event
from kratos_http._connection import ServerConnection
from kratos_http._testing_answer import Answer, Headers
from kratos_http._testing_http2 import Http2Peer, Http2Request
from kratos_http.asgi import Asgi
from kratos_http.conduct import Conductor
from kratos_http.engine import VERSIONS, Engine
from kratos_http.limits import Limits
from kratos_http.server import HttpServer
from kratos_http2 import Settings

__all__ = [
    "HANDSHAKE",
    "Answer",
    "AsgiPeer",
    "Http2Peer",
    "Http2Request",
    "Listening",
    "OpenPeer",
    "Peer",
    "SocketPeer",
    "asgi_peer",
    "client_of",
    "eventually",
    "frame",
    "http2_peer",
    "listening",
    "next_frame",
    "running",
    "serving",
    "socket_peer",
]

_BODILESS: Final = (204, 304)


class Peer(Protocol):
    """Whatever sends requests and gets answers."""

    async def request(
        self, method: str, target: str, *, headers: Headers = (), body: bytes = b""
    ) -> Answer:
        """Send a request and return its answer."""
        ...


OpenPeer: TypeAlias = Callable[["HttpServer"], AbstractAsyncContextManager[Peer]]


class SocketPeer:
    """One HTTP/1.1 connection, for sending what no client library would.

    Make it with ``connect`` or ``connect_unix``; close it with ``aclose``.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> SocketPeer:
        """Connect to a port."""
        name = host if tls is not None else None
        return cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=name))

    @classmethod
    async def connect_unix(cls, path: str) -> SocketPeer:
        """Connect to a Unix socket."""
        return cls(*await asyncio.open_unix_connection(path))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def request(
        self, method: str, target: str, *, headers: Headers = (), body: bytes = b""
    ) -> Answer:
        """Send a well-formed request and return its answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        await self.send(head.encode() + body)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one answer, interim ones too.

        Raises:
            ConnectionError: The connection ended before the answer did.
        """
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(f"no answer, but {error.partial!r} and the end") from error
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = [_split(line) for line in lines]
        trailers: list[tuple[str, str]] = []
        body = b""
        if method != "HEAD" and status not in _BODILESS and status >= 200:
            body = await self._body(dict(headers), trailers)
        return Answer(status=status, headers=headers, body=body, trailers=trailers)

    async def until(self, end: bytes) -> bytes:
        """Return what comes up to and with some bytes."""
        return await self._reader.readuntil(end)

    async def exactly(self, count: int) -> bytes:
        """Return the next so many bytes.

        Raises:
            asyncio.IncompleteReadError: The connection ended before.
        """
        return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        """Return all that comes until the end of the connection."""
        return await self._reader.read()

    def end(self) -> None:
        """Send the end of the stream, and go on reading."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close the connection."""
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def _body(self, headers: dict[str, str], trailers: list[tuple[str, str]]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunks(trailers)
        if "content-length" not in headers:
            return await self.rest()
        try:
            return await self._reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection ended within a body") from error

    async def _chunks(self, trailers: list[tuple[str, str]]) -> bytes:
        pieces: list[bytes] = []
        while True:
            line = await self._reader.readline()
            if not line:
                raise ConnectionError("the connection ended between chunks")
            size = int(line, 16)
            if size == 0:
                break
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        while (line := await self._reader.readline()) != b"\r\n":
            trailers.append(_split(line.decode("latin-1").rstrip("\r\n")))
        return b"".join(pieces)


class AsgiPeer:
    """Calls an application as an ASGI server would, without one.

    Args:
        app: The application.
        trailers: Whether to offer the extension for trailers.
    """

    def __init__(self, app: Asgi, *, trailers: bool = False) -> None:
        self._app = app
        self._extensions: dict[str, object] = {"http.response.trailers": {}} if trailers else {}
        self.gone = asyncio.Event()

    def scope(self, method: str, target: str, headers: Headers = ()) -> Event:
        """Return what an ASGI server would tell of a request."""
        path, _, query = target.partition("?")
        sent = [("host", "test"), *headers]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "extensions": self._extensions,
        }

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        pieces: Sequence[bytes] | None = None,
    ) -> Answer:
        """Send a request and return its answer; set ``gone`` to go away meanwhile.

        Args:
            method: Its method.
            target: Its path and query.
            headers: Its headers.
            body: Its body.
            pieces: Its body in pieces, in place of ``body``.

        Raises:
            ConnectionError: The application gave no whole answer.
        """
        scope = self.scope(method, target, headers)
        coming = [body] if pieces is None else list(pieces)
        got: list[Event] = []

        async def receive() -> Event:
            if coming:
                piece = coming.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(coming)}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(event: Event) -> None:
            got.append(event)

        await self._app(scope, receive, send)
        return _answer(got)


class Listening:
    """An engine on a port of the loopback interface.

    Attributes:
        engine: The engine.
        port: Its port.
    """

    def __init__(self, engine: Engine, port: int) -> None:
        self.engine = engine
        self.port = port
        self._peers: list[SocketPeer | Http2Peer] = []

    async def connect(self) -> SocketPeer:
        """Return a new connection, closed at the end."""
        peer = await SocketPeer.connect("127.0.0.1", self.port)
        self._peers.append(peer)
        return peer

    async def connect_http2(self, settings: Settings | None = None) -> Http2Peer:
        """Return a new connection of HTTP/2, closed at the end."""
        peer = await Http2Peer.connect("127.0.0.1", self.port, settings=settings)
        self._peers.append(peer)
        return peer

    async def connection(self) -> ServerConnection:
        """Return the server's end of the one connection there is."""
        await eventually(lambda: self.engine.connections)
        (connection,) = self.engine.connections
        assert isinstance(connection, ServerConnection), "HTTP/1.1 is spoken"
        return connection

    async def aclose(self) -> None:
        """Close all connections."""
        for peer in self._peers:
            await peer.aclose()


async def eventually(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Wait for what the other end of a connection is about to do.

    Raises:
        TimeoutError: It did not within so many seconds.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  what another end does sets no event here
            await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    application: HttpApplication,
    *,
    limits: Limits | None = None,
    versions: Sequence[str] = VERSIONS,
    conductor: Conductor | None = None,
) -> AsyncGenerator[Listening]:
    """Serve an application on the built-in engine."""
    engine = Engine(application, limits=limits, versions=versions, conductor=conductor)
    engine.start()
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    opened = Listening(engine, sock.getsockname()[1])
    acceptor = Acceptor(sock, engine)
    acceptor.start()
    try:
        yield opened
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        await opened.aclose()
        await engine.aclose(grace=1.0)


@asynccontextmanager
async def running(server: HttpServer) -> AsyncGenerator[HttpServer]:
    """Start a server that was mounted, and stop it at the end."""
    await server.bind()
    serving = asyncio.ensure_future(server.start())
    ready = asyncio.ensure_future(server.ready())
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    try:
        yield server
    finally:
        await server.stop()
        await serving


@asynccontextmanager
async def socket_peer(server: HttpServer) -> AsyncGenerator[SocketPeer]:
    """Run a server on its own engine, with one connection to it."""
    async with running(server):
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            yield peer
        finally:
            await peer.aclose()


@asynccontextmanager
async def http2_peer(server: HttpServer) -> AsyncGenerator[Http2Peer]:
    """Run a server on its own engine, with one connection of HTTP/2 to it."""
    async with running(server):
        (url, *_) = await server.bind()
        peer = await Http2Peer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            yield peer
        finally:
            await peer.aclose()


@asynccontextmanager
async def client_of(server: HttpServer, **options: Any) -> AsyncGenerator[Client]:
    """Run a server on its own engine, with a client of it.

    Args:
        server: It was mounted.
        options: Of the client.
    """
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, **options) as client:
            yield client


@asynccontextmanager
async def asgi_peer(server: HttpServer) -> AsyncGenerator[AsgiPeer]:
    """Run a server's application as an ASGI application."""
    yield AsgiPeer(Asgi(server.application))


@asynccontextmanager
async def serving(*services: Service, **options: Any) -> AsyncGenerator[AsgiPeer]:
    """Serve services for the block, without a socket, and yield a peer that sends requests.

        async with serving(GreeterService(), middleware=[recovery()]) as peer:
            answer = await peer.request("GET", "/helloworld/kratos")

    A request passes routing, binding, chain, handler and encoders, as those of an ASGI server
    do. ``asgi_peer`` does the same for a server with routes and mounts of its own, and
    ``kratos.testing.serving`` yields a client instead.

    Args:
        services: Objects to serve.
        options: Of the ``HttpServer``.

    Raises:
        StartupError: A service cannot be served.
    """
    server = HttpServer(**options)
    server.mount(Mount(services=services))
    async with asgi_peer(server) as peer:
        yield peer


def _answer(events: Sequence[Event]) -> Answer:
    starts = [event for event in events if event["type"] == "http.response.start"]
    bodies = [event for event in events if event["type"] == "http.response.body"]
    trailers = [event for event in events if event["type"] == "http.response.trailers"]
    if len(starts) != 1 or not bodies or bodies[-1].get("more_body"):
        raise ConnectionError(f"the application gave no whole answer: {events}")
    return Answer(
        status=starts[0]["status"],
        headers=_text(starts[0]["headers"]),
        body=b"".join(event.get("body", b"") for event in bodies),
        trailers=[pair for event in trailers for pair in _text(event["headers"])],
    )


def _text(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("latin-1")) for name, value in pairs]


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


HANDSHAKE: Final = (
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Return a WebSocket frame, well-formed or not.

    Args:
        opcode: Kind of the frame: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
        payload: What it carries.
        final: Whether it ends its message.
        masked: Whether it is masked, as a client's has to be.
        reserved: Its three reserved bits.
    """
    size = len(payload)
    kind = size if size < 126 else 126 if size < 65536 else 127
    first = (0x80 if final else 0) | reserved << 4 | opcode
    head = bytes((first, (0x80 if masked else 0) | kind))
    if kind > 125:
        head += size.to_bytes(2 if kind == 126 else 8, "big")
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


async def next_frame(peer: SocketPeer) -> tuple[int, bytes]:
    """Return opcode and payload of the next frame from a server."""
    first, kind = await peer.exactly(2)
    size = kind & 0x7F
    if size > 125:
        size = int.from_bytes(await peer.exactly(2 if size == 126 else 8), "big")
    return first & 0x0F, await peer.exactly(size)
