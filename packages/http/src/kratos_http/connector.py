"""The client side of HTTP (Go: transport/http, Client)."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, Final

from kratos import encoding
from kratos.encoding import Codecs
from kratos.errors import ConfigError, Error
from kratos.selector import Node
from kratos.transport import Arity, Call, Cause, Method, converse
from kratos_http._events import EVENT_STREAM
from kratos_http._exchange import TooLarge
from kratos_http._format import CHUNKED, header_block
from kratos_http._frames import Frames, Side
from kratos_http._handshake import accepts, new_key, request_lines
from kratos_http._plan import Body, Plan
from kratos_http._pool import ConnectionPool, PoolOptions
from kratos_http._socket import FramedSocket
from kratos_http._socket_client import Opened, SocketStream, collect
from kratos_http._sse_client import SseStream
from kratos_http._streaming import StreamConnection
from kratos_http._timeout import format_timeout
from kratos_http._transfer_client import DownloadStream, Transfer, UploadStream
from kratos_http._trouble import frozen, too_large, unavailable

__all__ = ["HttpConnection", "HttpConnector"]

_SCHEME: Final = "http"
_SWITCHING: Final = 101
_CLOSE_TIMEOUT: Final = 2.0  # seconds
_USER_AGENT: Final = "kratos-python"
_OWN: Final = frozenset((b"accept", b"content-type", b"grpc-timeout"))
_HANDSHAKE: Final = b"sec-websocket-"
_VERBS_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))


class HttpConnector:
    """Reaches services over HTTP/1.1, by the first ``google.api.http`` rule of each method.

    A method that streams replies is read as events, one that streams requests is a WebSocket.
    Raw bytes (``google.api.HttpBody``) that stream one way are the body of an ordinary request
    or answer instead. Each such call has a connection of its own. Bodies are sent, and replies
    asked for, as ``application/protojson``, which servers of Kratos v3 in either language take
    for protobuf JSON; for servers of v2 say ``codec="json"``.

    Errors of its own: 503 ``UNAVAILABLE`` for a server that cannot be reached or that was lost
    before it had answered, 500 ``CODEC`` for a reply that is no reply of the method, 500
    ``REPLY_TOO_LARGE``, 501 ``UNIMPLEMENTED`` for a method that HTTP cannot call.

    Args:
        tls: TLS configuration for secure nodes; ``None`` for the system's trust store.
        codec: Name of the codec of requests.
        codecs: Where codecs are found.
        path_prefix: Path before that of every rule, for instance ``/api``.
        user_agent: The ``User-Agent`` header.
        max_connections: To one node at once; further calls wait for one.
        idle_timeout: Seconds for which an unused connection is kept; less than servers keep it.
        connect_timeout: Seconds to connect, TLS included.
        max_reply: Bytes of the largest reply, or message of a stream of them.
        ping_interval: Seconds between pings on a WebSocket from which nothing comes, of a
            server of ours; ``math.inf`` for no pings.
        ping_timeout: Seconds for anything to come after a ping.
        socket_uploads: Whether streams of raw bytes go to the server through WebSockets, too: Go
            Kratos takes them no other way.

    Raises:
        ConfigError: An option has no such value.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        codec: str = "protojson",
        codecs: Codecs = encoding.DEFAULT,
        path_prefix: str = "",
        user_agent: str = _USER_AGENT,
        max_connections: int = 256,
        idle_timeout: float = 60.0,
        connect_timeout: float = 5.0,
        max_reply: int = 64 * 1024 * 1024,
        ping_interval: float = 20.0,
        ping_timeout: float = 20.0,
        socket_uploads: bool = False,
    ) -> None:
        found = codecs.get(codec)
        if found is None:
            raise ConfigError(f"there is no codec {codec!r}: register it, or use protojson")
        if tls is not None and not _is_context(tls):
            raise ConfigError(f"tls must be an ssl.SSLContext, not {type(tls).__name__}")
        if path_prefix and not path_prefix.startswith("/"):
            raise ConfigError(f"path_prefix {path_prefix!r} must start with a slash")
        self._tls = tls
        self._codec = found
        self._codecs = codecs
        self._prefix = path_prefix.rstrip("/")
        self._user_agent = user_agent.encode()
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self._sockets = socket_uploads
        self._plans: dict[str, Plan] = {}
        self._options = PoolOptions(
            max_connections=max_connections,
            idle_timeout=idle_timeout,
            connect_timeout=connect_timeout,
            max_reply=max_reply,
        )

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches."""
        return _SCHEME

    def connect(self, node: Node, /) -> HttpConnection:
        """Return the connections of one node; see ``Connector``."""
        return HttpConnection(node, self, self._options, self._context if node.secure else None)

    def plan(self, method: Method[Any, Any]) -> Plan:
        """Return how a method is called.

        Raises:
            Error: 501: HTTP cannot call it.
            ConfigError: Its rule is wrong.
        """
        plan = self._plans.get(method.operation)
        if plan is None:
            plan = Plan(method, self._codec, self._codecs, sockets=self._sockets)
            self._plans[method.operation] = plan
        return plan

    def head(
        self, plan: Plan, call: Call, target: str, host: str, body: Body, *, more: bytes = b""
    ) -> bytes:
        """Return the head of a request, up to its empty line.

        Args:
            plan: How the method is called.
            call: The call.
            target: Path and query.
            host: For the ``Host`` header.
            body: What follows.
            more: Header lines of the framing.

        Raises:
            Error: 504: there is no time left for the call; 400 CODEC: a header cannot be sent.
        """
        own = [(b"accept", plan.accept.encode())]
        if body.content_type:
            own.append((b"content-type", body.content_type.encode()))
        remaining = call.remaining()
        if remaining is not None:
            if remaining <= 0:
                raise Cause.DEADLINE.error()
            own.append((b"grpc-timeout", format_timeout(remaining).encode()))
        given = [
            pair
            for pair in call.headers.raw()
            if pair[0] not in _OWN and not pair[0].startswith(_HANDSHAKE)
        ]
        names = {name for name, _ in given}
        if b"host" not in names:
            own.append((b"host", host.encode()))
        if b"user-agent" not in names:
            own.append((b"user-agent", self._user_agent))
        try:
            block = header_block(own + given)
        except ValueError as error:
            raise Error(400, "CODEC", str(error)) from error
        length = b""
        if body.chunked:
            length = CHUNKED
        elif body.content_type or plan.verb in _VERBS_WITH_BODY:
            length = b"content-length: %d\r\n" % len(body.data)
        line = f"{plan.verb} {self._prefix}{target} HTTP/1.1\r\n".encode()
        return b"%b%b%b%b\r\n" % (line, block, length, more)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class HttpConnection:
    """The connections to one node; see ``kratos.transport.Connection``."""

    def __init__(
        self,
        node: Node,
        connector: HttpConnector,
        options: PoolOptions,
        tls: Any,
    ) -> None:
        self._node = node
        self._connector = connector
        self._max_reply = options.max_reply
        self._host = "localhost" if node.unix_path is not None else node.address
        self._pool = ConnectionPool(node.address, tls=tls, options=options)

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether the newest attempt to connect succeeded, or none was made."""
        return self._pool.healthy

    async def warm(self) -> None:
        """Open a connection, and keep it for the first call.

        Raises:
            OSError: That failed.
        """
        await self._pool.warm()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``.

        Raises:
            Error: What the service answered, or one of the connector's own.

        Cancellation: closes the connection, by which the server learns of it.
        """
        call.peer = self._node.address
        plan = self._connector.plan(call.method)
        try:
            if plan.upload is not None:
                return await self._transfer(plan, call, request)
            if call.method.arity is Arity.SERVER_STREAM:
                return await self._follow(plan, call, request)
            if call.method.arity.client_streams:
                return await self._talk(plan, call, request)
            return await self._exchange(plan, call, request)
        except TooLarge as error:
            raise too_large(call, error) from error
        except OSError as error:
            raise unavailable(call, error) from error

    async def _exchange(self, plan: Plan, call: Call, request: Any) -> Any:
        """Carry a unary call."""
        target, body = plan.write(request)
        head = self._connector.head(plan, call, target, self._host, body)
        reply = await self._pool.exchange(
            head + body.data, repeatable=plan.repeatable, head_only=plan.verb == "HEAD"
        )
        call.reply_headers = frozen(reply.headers)
        call.trailers = frozen(reply.trailers)
        return plan.read(reply)

    async def _follow(self, plan: Plan, call: Call, request: Any) -> None:
        """Carry a call whose replies come as events."""
        target, body = plan.write(request)
        head = self._connector.head(plan, call, target, self._host, body)
        connection = await self._pool.dedicate(StreamConnection)
        try:
            reply = await connection.request(head + body.data)
            call.reply_headers = frozen(reply.headers)
            if not 200 <= reply.status < 300:
                reply.body = await connection.rest(self._max_reply)
                plan.read(reply)  # raises
            kind = reply.header(b"content-type")
            if plan.download is not None and not kind.lower().startswith(EVENT_STREAM):
                await converse(call, DownloadStream(call, plan, connection, kind.decode("latin-1")))
                return
            if kind and not kind.lower().startswith(EVENT_STREAM):  # Go's has none, if it is empty
                shown = kind.decode("latin-1")
                raise Error(500, "CODEC", f"{call.peer}: {shown} is no stream of events")
            stream = SseStream(call, plan, connection, max_event=self._max_reply)
            await converse(call, stream)
        finally:
            self._pool.dismiss(connection)

    async def _transfer(self, plan: Plan, call: Call, requests: Any) -> Any:
        """Carry a call whose requests are the body of one."""
        open_transfer = partial(self._open_transfer, plan, call)
        stream = UploadStream(call, plan, open_transfer, max_reply=self._max_reply)
        try:
            return await collect(call, stream, requests)
        finally:
            await stream.aclose()

    async def _open_transfer(self, plan: Plan, call: Call, first: Any) -> Transfer:
        """Send the head of an upload; see ``UploadStream``."""
        target, body = plan.upload_head(first)
        head = self._connector.head(plan, call, target, self._host, body)
        try:
            connection = await self._pool.dedicate(StreamConnection)
        except OSError as error:
            raise unavailable(call, error) from error
        return Transfer(connection, head, release=partial(self._pool.dismiss, connection))

    async def _talk(self, plan: Plan, call: Call, requests: Any) -> Any:
        """Carry a call whose requests are a stream."""
        stream = SocketStream(call, plan, partial(self._open_socket, plan, call))
        try:
            if not plan.lazy:
                await stream.open(None)
            if call.method.arity is Arity.BIDI_STREAM:
                return await converse(call, stream)
            return await collect(call, stream, requests)
        finally:
            await stream.aclose()

    async def _open_socket(self, plan: Plan, call: Call, first: Any) -> Opened:
        """Open a WebSocket; see ``SocketStream.open``."""
        key = new_key()
        target = plan.socket_target(first)
        lines = request_lines(key)
        head = self._connector.head(plan, call, target, self._host, Body(), more=lines)
        try:
            connection = await self._pool.dedicate(StreamConnection)
        except OSError as error:
            raise unavailable(call, error) from error
        try:
            return await self._shake_hands(plan, call, connection, head=head, key=key)
        except TooLarge as error:
            self._pool.dismiss(connection)
            raise too_large(call, error) from error
        except OSError as error:
            self._pool.dismiss(connection)
            raise unavailable(call, error) from error
        except BaseException:
            self._pool.dismiss(connection)
            raise

    async def _shake_hands(
        self, plan: Plan, call: Call, connection: StreamConnection, *, head: bytes, key: str
    ) -> Opened:
        reply = await connection.request(head, upgrade=True)
        call.reply_headers = frozen(reply.headers)
        if reply.status != _SWITCHING:
            reply.body = await connection.rest(self._max_reply)
            if 200 <= reply.status < 300:
                raise Error(500, "CODEC", f"{call.peer}: {reply.status} is no WebSocket")
            plan.read(reply)  # raises
        if not accepts(reply.headers, key):
            raise Error(500, "CODEC", f"{call.peer}: the handshake was not answered as asked")
        own = bool(reply.header(b"sec-websocket-protocol"))
        frames = Frames(Side.CLIENT, max_message=self._max_reply)
        socket = FramedSocket(connection, frames, close_timeout=_CLOSE_TIMEOUT)
        if own:  # Go's server answers pings only while its handler receives
            interval = self._connector.ping_interval
            socket.ping_every(interval, timeout=self._connector.ping_timeout, strict=True)
        connection.attach(socket)
        release = partial(self._pool.dismiss, connection)
        return Opened(socket=socket, own=own, release=release)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, then cut the rest off; idempotent.

        Args:
            drain: Seconds for calls in flight.
        """
        await self._pool.aclose(drain=drain)


def _is_context(tls: object) -> bool:
    return isinstance(tls, ssl.SSLContext)
