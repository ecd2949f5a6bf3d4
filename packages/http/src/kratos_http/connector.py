"""The client side of HTTP (Go: transport/http, Client)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from kratos import encoding
from kratos.encoding import Codecs
from kratos.errors import ConfigError
from kratos.selector import Node
from kratos.tls import ClientTls, Rotation, client_context
from kratos.transport import Method
from kratos_http._dial import Dialer
from kratos_http._node_connection import CallSettings, HttpConnection
from kratos_http._packing import Packing
from kratos_http._plain_plan import PlainPlan
from kratos_http._plan import Plan
from kratos_http._pool import ConnectionPool, PoolOptions
from kratos_http._reply_codings import accept_line
from kratos_http._request_head import RequestHeads
from kratos_http.invocation import ClientRequest
from kratos_http.proxies import Proxies
from kratos_http.reconnect import Reconnect

__all__ = ["HttpConnection", "HttpConnector"]

_SCHEME: Final = "http"
_USER_AGENT: Final = "kratos-python"


class HttpConnector:
    """Reaches services over HTTP/1.1, by the ``google.api.http`` rules of each method.

    A call takes the first rule, or, where a variable of its path is empty or does not fit, the
    next one whose path the request fits.

    A method that streams replies is read as events, one that streams requests is a WebSocket.
    Raw bytes (``google.api.HttpBody``) that stream one way are the body of an ordinary request
    or answer instead. Each such call has a connection of its own. Bodies are sent, and replies
    asked for, as ``application/protojson``, which servers of Kratos v3 in either language take
    for protobuf JSON; for servers of v2 say ``codec="json"``.

    Errors of its own: 503 ``UNAVAILABLE`` for a server that cannot be reached or that was lost
    before it had answered, 500 ``CODEC`` for a reply that is no reply of the method, 500
    ``REPLY_TOO_LARGE``, 501 ``UNIMPLEMENTED`` for a method that HTTP cannot call.

    Args:
        tls: For secure nodes: a context, or the files of one; ``None`` for the system's trust
            store.
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
            server of ours; ``math.inf`` for no pings.
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
        self._tls = _contexts(tls)
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

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches."""
        return _SCHEME

    def connect(self, node: Node, /) -> HttpConnection:
        """Return the connections of one node; see ``Connector``."""
        proxy = None
        if self._proxies is not None:
            proxy = self._proxies.find(node.address, secure=node.secure)
        dialer = Dialer(
            node.address,
            tls=self._context if node.secure else None,
            server_name=self._server_name,
            proxy=proxy,
            proxy_tls=self._proxy_context,
        )
        host = "localhost" if node.unix_path is not None else node.address
        heads = self._heads(host, secure=node.secure)
        asked = heads
        if proxy is not None and not node.secure:
            asked = self._heads(host, origin=f"http://{host}", authorization=proxy.authorization)
        pool = ConnectionPool(dialer, self._options)
        return HttpConnection(node, pool, self._settings, heads=asked, socket_heads=heads)

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

    def _proxy_context(self) -> ssl.SSLContext:
        given = None if self._proxies is None else self._proxies.tls
        return self._trust() if given is None else given

    def _trust(self) -> ssl.SSLContext:
        """Return the context of the system's trust store, which takes milliseconds to make."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted


def _contexts(tls: object) -> Callable[[], ssl.SSLContext] | None:
    """Return what gives the context of the next connection: files may have changed."""
    if isinstance(tls, ClientTls):
        return Rotation(tls, client_context).refresh
    if isinstance(tls, ssl.SSLContext):
        return lambda: tls
    if tls is None:
        return None
    raise ConfigError(f"tls must be an ssl.SSLContext or ClientTls, not {type(tls).__name__}")
