"""The client side of HTTP (Go: transport/http, Client)."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from kratos import encoding
from kratos.encoding import Codecs
from kratos.errors import ConfigError
from kratos.options import require_count, require_number
from kratos.selector import Node
from kratos.tls import ClientTls, Rotation, client_context
from kratos.transport import Method
from kratos_http._dial import Dialer
from kratos_http._http2_carrier import Http2Carrier
from kratos_http._negotiated_pool import NegotiatedPool
from kratos_http._node_connection import CallSettings, HttpConnection
from kratos_http._packing import Packing
from kratos_http._plain_plan import PlainPlan
from kratos_http._plan import Plan
from kratos_http._pool import ConnectionPool, PoolOptions
from kratos_http._pool_carrier import PoolCarrier
from kratos_http._reply_codings import accept_line
from kratos_http._request_head import RequestHeads
from kratos_http.carrier import Carrier
from kratos_http.http2 import ConnectionOptions, Http2Channel
from kratos_http.invocation import ClientRequest
from kratos_http.proxies import Proxies, Proxy
from kratos_http.reconnect import Reconnect

__all__ = ["HttpConnection", "HttpConnector"]

_SCHEME: Final = "http"
_USER_AGENT: Final = "kratos-python"
_HTTP2: Final = ("h2",)
_EITHER: Final = ("h2", "http/1.1")


class HttpConnector:
    """Reaches services over HTTP/1.1 or HTTP/2, by the ``google.api.http`` rules of each method.

    Which one is up to the server, where TLS lets it choose; over HTTP/2 all calls share one
    connection.

    A call takes the first rule, or, where a variable of its path is empty or does not fit, the
    next one whose path the request fits.

    A method that streams replies is read as events, one that streams requests is a WebSocket.
    Raw bytes (``google.api.HttpBody``) that stream one way are the body of an ordinary request
    or answer instead. Over HTTP/1.1 each such call has a connection of its own, as WebSockets
    always have. Bodies are sent, and replies
    asked for, as ``application/protojson``, which servers of Kratos v3 in either language take
    for protobuf JSON; for servers of v2 say ``codec="json"``.

    Errors of its own: 503 ``UNAVAILABLE`` for a server that cannot be reached or that was lost
    before it had answered, 500 ``CODEC`` for a reply that is no reply of the method, 500
    ``REPLY_TOO_LARGE``, 501 ``UNIMPLEMENTED`` for a method that HTTP cannot call.

    Args:
        tls: For secure nodes: a context, or the files of one; ``None`` for the system's trust
            store.
        http2: Whether HTTP/2 is spoken: ``None`` for where servers choose it by ALPN, ``True``
            also in plain text, to servers that are known to speak it, ``False`` for never. A
            context of the standard library decides by its own list for ALPN: with ``True``, give
            it ``h2``.
        proxy: URL of the proxy for all nodes, as of ``Proxy.parse``, or which is for which;
            ``Proxies.from_environment()`` for what the environment says. ``None`` for none.
        codec: Name of the codec of requests.
        codecs: Where codecs are found.
        path_prefix: Path before that of every rule, for instance ``/api``.
        user_agent: The ``User-Agent`` header.
        compression: Coding of requests of 1 KiB or more, for servers that read it: ``gzip``, or
            ``br`` and ``zstd`` where they are installed; empty for none.
        accept_encodings: Codings that replies are asked for in, the best first, of ``zstd``,
            ``br``, ``gzip`` and ``deflate``; those that are not installed are left out.
        redirects: How many a ``GET`` or ``HEAD`` follows, to other paths of its node; what leads
            elsewhere is an error with its status, as all are by default.
        max_connections: To one node at once; further calls wait for one.
        idle_timeout: Seconds for which an unused connection is kept; less than servers keep it.
        connect_timeout: Seconds to connect, proxy and TLS included.
        max_reply: Bytes of the largest reply, or message of a stream of them.
        max_head: Bytes of a reply without its body: head, interim replies, trailers, framing.
        ping_interval: Seconds between pings on a WebSocket from which nothing comes, of a
            server of ours, and on HTTP/2 while it owes an answer; ``math.inf`` for no pings.
        ping_timeout: Seconds for anything to come after a ping.
        socket_uploads: Whether streams of raw bytes go to the server through WebSockets, too: Go
            Kratos takes them no other way.
        reconnect: When a lost stream of events is taken up again; ``None`` for never.

    Raises:
        ConfigError: An option has no such value.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | ClientTls | None = None,
        http2: bool | None = None,
        proxy: str | Proxies | None = None,
        codec: str = "protojson",
        codecs: Codecs = encoding.DEFAULT,
        path_prefix: str = "",
        user_agent: str = _USER_AGENT,
        compression: str = "",
        accept_encodings: Sequence[str] = ("gzip",),
        redirects: int = 0,
        max_connections: int = 256,
        idle_timeout: float = 60.0,
        connect_timeout: float = 5.0,
        max_reply: int = 64 * 1024 * 1024,
        max_head: int = 256 * 1024,
        ping_interval: float = 20.0,
        ping_timeout: float = 20.0,
        socket_uploads: bool = False,
        reconnect: Reconnect | None = None,
    ) -> None:
        found = codecs.get(codec)
        if found is None:
            raise ConfigError(f"there is no codec {codec!r}: register it, or use protojson")
        if path_prefix and not path_prefix.startswith("/"):
            raise ConfigError(f"path_prefix {path_prefix!r} must start with a slash")
        require_count("redirects", redirects, least=0)
        require_count("max_connections", max_connections)
        for name, value in (
            ("idle_timeout", idle_timeout),
            ("connect_timeout", connect_timeout),
            ("max_reply", max_reply),
            ("max_head", max_head),
            ("ping_interval", ping_interval),
            ("ping_timeout", ping_timeout),
        ):
            require_number(name, value, above=0)
        if http2 not in (None, True, False):
            raise ConfigError(
                f"http2 is True, False, or None for what servers choose, not {http2!r}"
            )
        self._http2 = http2
        self._given = tls
        self._tls = _contexts(tls)
        self._by_alpn: dict[tuple[str, ...], Callable[[], ssl.SSLContext]] = {}
        self._server_name = (isinstance(tls, ClientTls) and tls.server_name) or ""
        self._trusted: ssl.SSLContext | None = None
        self._proxies = Proxies(http=proxy, https=proxy) if isinstance(proxy, str) else proxy
        self._codec = found
        self._codecs = codecs
        self._prefix = path_prefix.rstrip("/")
        self._user_agent = user_agent
        self._sockets = socket_uploads
        self._plans: dict[Method[Any, Any], Plan] = {}
        self._settings = CallSettings(
            plan=self.plan,
            packing=Packing(compression) if compression else None,
            accept_encoding=accept_line(accept_encodings),
            redirects=redirects,
            max_reply=max_reply,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            reconnect=reconnect,
        )
        self._options = PoolOptions(
            max_connections=max_connections,
            idle_timeout=idle_timeout,
            connect_timeout=connect_timeout,
            max_reply=max_reply,
            max_head=max_head,
        )

        self._channel = ConnectionOptions(
            connect_timeout=connect_timeout,
            max_backoff=0.0,  # whoever picks nodes knows when to try again
            idle_timeout=idle_timeout,
            keepalive=ping_interval if ping_interval < math.inf else None,
            keepalive_timeout=ping_timeout,
            max_head=max_head,
        )

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches."""
        return _SCHEME

    def connect(self, node: Node, /) -> HttpConnection:
        """Return the connections of one node; see ``Connector``."""
        http1, heads, through = self._reach(node)
        chosen = node.secure and not isinstance(self._given, ssl.SSLContext)
        if self._http2 is False or not (self._http2 or chosen):
            return HttpConnection(node, http1, self._settings, heads=heads, socket_heads=through)
        context = self._http2_context if self._http2 else self._either_context
        dialer = self._dialer(node, self._proxy(node), context)
        pool = NegotiatedPool(
            http1,
            lambda other: Http2Channel(dialer, self._channel, other=other),
            max_reply=self._options.max_reply,
            secure=node.secure,
            told=self._http2 is True,
        )
        return HttpConnection(node, pool, self._settings, heads=through, socket_heads=through)

    def carrier(self, node: Node, /, *, http2: bool = False) -> Carrier:
        """Return the connections of one node for requests of other protocols.

        Args:
            node: Where they lead to.
            http2: Whether they are one of HTTP/2, which the node has to speak.
        """
        if not http2:
            return PoolCarrier(*self._reach(node))
        dialer = self._dialer(node, self._proxy(node), self._http2_context)
        scheme = b"https" if node.secure else b"http"
        base = (
            (b":scheme", scheme),
            (b":authority", _host(node).encode()),
            (b"user-agent", self._user_agent.encode()),
        )
        channel = Http2Channel(dialer, self._channel)
        return Http2Carrier(channel, base, prefix=self._prefix, most=self._options.max_reply)

    def _proxy(self, node: Node) -> Proxy | None:
        if self._proxies is None:
            return None
        return self._proxies.find(node.address, secure=node.secure)

    def _dialer(
        self, node: Node, proxy: Proxy | None, context: Callable[[], ssl.SSLContext]
    ) -> Dialer:
        return Dialer(
            node.address,
            tls=context if node.secure else None,
            server_name=self._server_name,
            proxy=proxy,
            proxy_tls=self._proxy_context,
        )

    def _reach(self, node: Node) -> tuple[ConnectionPool, RequestHeads, RequestHeads]:
        """Return a pool, and what writes heads: of its requests, and of streams through a proxy."""
        proxy = self._proxy(node)
        dialer = self._dialer(node, proxy, self._context)
        host = _host(node)
        heads = self._heads(host, secure=node.secure)
        asked = heads
        if proxy is not None and not node.secure:
            asked = self._heads(host, origin=f"http://{host}", authorization=proxy.authorization)
        return ConnectionPool(dialer, self._options), asked, heads

    def _heads(
        self, host: str, *, secure: bool = False, origin: str = "", authorization: bytes = b""
    ) -> RequestHeads:
        return RequestHeads(
            host=host,
            user_agent=self._user_agent,
            secure=secure,
            prefix=self._prefix,
            origin=origin,
            more=((b"proxy-authorization", authorization),) if authorization else (),
        )

    def plan(self, method: Method[Any, Any]) -> Plan:
        """Return how a method is called.

        Raises:
            Error: 501: HTTP cannot call it.
            ConfigError: Its rule is wrong.
        """
        plan = self._plans.get(method)
        if plan is None:
            if issubclass(method.request, ClientRequest):
                plan = PlainPlan(method, self._codecs)
            else:
                plan = Plan(method, self._codec, self._codecs, sockets=self._sockets)
            self._plans[method] = plan
        return plan

    def _context(self) -> ssl.SSLContext:
        return self._trust() if self._tls is None else self._tls()

    def _http2_context(self) -> ssl.SSLContext:
        """Return the context for servers that have to speak HTTP/2."""
        return self._offering(_HTTP2)

    def _either_context(self) -> ssl.SSLContext:
        """Return the context for servers that may choose."""
        return self._offering(_EITHER)

    def _offering(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        made = self._by_alpn.get(alpn)
        if made is None:
            made = _contexts(ClientTls() if self._given is None else self._given, alpn=alpn)
            assert made is not None, "something was given"
            self._by_alpn[alpn] = made
        return made()

    def _proxy_context(self) -> ssl.SSLContext:
        given = None if self._proxies is None else self._proxies.tls
        return self._trust() if given is None else given

    def _trust(self) -> ssl.SSLContext:
        """Return the context of the system's trust store, which takes milliseconds to make."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted


def _host(node: Node) -> str:
    return "localhost" if node.unix_path is not None else node.address


def _contexts(tls: object, *, alpn: Sequence[str] = ()) -> Callable[[], ssl.SSLContext] | None:
    """Return what gives the context of the next connection: files may have changed."""
    if isinstance(tls, ClientTls):
        return Rotation(tls, partial(client_context, alpn=alpn) if alpn else client_context).refresh
    if isinstance(tls, ssl.SSLContext):
        return lambda: tls
    if tls is None:
        return None
    raise ConfigError(f"tls must be an ssl.SSLContext or ClientTls, not {type(tls).__name__}")
