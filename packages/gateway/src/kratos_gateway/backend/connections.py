"""The connections to all nodes, shared by the endpoints of one configuration."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.tls import ClientTls, Rotation, client_context
from kratos_gateway.api.gateway_pb2 import TLS
from kratos_gateway.backend._options import ConnectOptions
from kratos_gateway.backend.http1_node import Http1Node
from kratos_gateway.backend.http2_node import Http2Node
from kratos_gateway.backend.negotiated_node import NegotiatedNode
from kratos_gateway.exchange import Answer, Request
from kratos_http.http2 import Dialer

__all__ = ["ConnectOptions", "Connections", "NodeConnection", "Place", "node_place", "require_tls"]

_RETIRING: Final = 120.0  # seconds for requests to a node that is listed no more


class NodeConnection(Protocol):
    """The connections to one node."""

    @property
    def open(self) -> int:
        """How many connections there are."""
        ...

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        ...

    async def send(self, request: Request, host: str) -> Answer:
        """Send a request and return its answer, whose body may still be on its way.

        Args:
            request: The request.
            host: By which the node is asked.

        Raises:
            Unreachable: There is no connection; nothing was sent.
            OSError: The connection was lost.
            TooLarge: The head of the answer exceeds the limit.
            ValueError: Something in the request cannot be sent.
            Error: The body of the request ended early.

        Cancellation: the node learns of it.
        """
        ...

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Let requests under way end, for so many seconds, then cut the rest off. Idempotent."""
        ...


class Place(NamedTuple):
    """What connections are told apart by.

    Attributes:
        address: Of the node.
        secure: Whether it speaks TLS.
        tls: Name of the TLS configuration; empty for the system's.
        http2: Whether it speaks HTTP/2.
        negotiated: Whether it may choose HTTP/1.1 all the same, when TLS begins.
    """

    address: str
    secure: bool
    tls: str
    http2: bool
    negotiated: bool = False


class _Shared(NamedTuple):
    connection: NodeConnection
    dialer: Dialer


class Connections:
    """Connections by place; who uses one takes it, and gives it back.

    Args:
        options: How nodes are connected to.
        tls_store: TLS configurations by name.

    Raises:
        ConfigError: One of them cannot be used; names it.
    """

    def __init__(
        self, options: ConnectOptions | None = None, *, tls_store: Mapping[str, TLS] | None = None
    ) -> None:
        self._options = options or ConnectOptions()
        self._tls = {name: _client_tls(name, each) for name, each in (tls_store or {}).items()}
        self._contexts: dict[tuple[str, tuple[str, ...]], ssl.SSLContext] = {}
        self._shared: dict[Place, _Shared] = {}
        self._users: dict[Place, int] = {}
        self._retiring: dict[asyncio.Task[None], NodeConnection] = {}
        for name in self._tls:
            self._context(name)

    def __len__(self) -> int:
        return len(self._shared)

    @property
    def options(self) -> ConnectOptions:
        """How nodes are connected to."""
        return self._options

    def knows(self, name: str) -> bool:
        """Tell whether there is a TLS configuration of a name."""
        return name in self._tls

    def take(self, place: Place) -> NodeConnection:
        """Return the connections to a place; each use is given back once."""
        shared = self._shared.get(place)
        if shared is None:
            shared = self._shared[place] = self._make(place)
        self._users[place] = self._users.get(place, 0) + 1
        return shared.connection

    def dialer(self, place: Place) -> Dialer:
        """Return what opens connections to a place that was taken."""
        return self._shared[place].dialer

    def give_back(self, place: Place) -> None:
        """End a use; after the last, requests under way may end, and then all is closed."""
        self._users[place] -= 1
        if self._users[place]:
            return
        del self._users[place]
        shared = self._shared.pop(place)
        retiring = asyncio.ensure_future(shared.connection.aclose(drain=_RETIRING))
        self._retiring[retiring] = shared.connection
        retiring.add_done_callback(self._retired)

    async def aclose(self) -> None:
        """Cut all connections off. Idempotent."""
        shared, self._shared = self._shared, {}
        self._users.clear()
        retiring = dict(self._retiring)
        await cancel_and_wait(*retiring)
        # One that was cancelled before it began has closed nothing.
        for connection in (*retiring.values(), *(each.connection for each in shared.values())):
            await connection.aclose()

    def _retired(self, task: asyncio.Task[None]) -> None:
        del self._retiring[task]

    def _make(self, place: Place) -> _Shared:
        if place.negotiated:
            dialer, http1 = self._dialer(place, "h2", "http/1.1"), self._dialer(place, "http/1.1")
            return _Shared(NegotiatedNode(dialer, self._options, http1=http1), http1)
        if not place.http2:
            dialer = self._dialer(place, "http/1.1")
            return _Shared(Http1Node(dialer, self._options), dialer)
        dialer = self._dialer(place, "h2")
        scheme = "https" if place.secure else "http"
        return _Shared(Http2Node(dialer, self._options, scheme=scheme), dialer)

    def _dialer(self, place: Place, *alpn: str) -> Dialer:
        context: Callable[[], ssl.SSLContext] | None = None
        if place.secure:
            context = partial(self._context, place.tls, alpn)
            context()  # it takes milliseconds: now, and not when a request waits for it
        tls = self._tls.get(place.tls)
        proxies = self._options.proxies
        return Dialer(
            place.address,
            tls=context,
            server_name=(tls.server_name or "") if tls is not None else "",
            proxy=None if proxies is None else proxies.find(place.address, secure=place.secure),
            proxy_tls=self._proxy_context,
        )

    def _context(self, name: str, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        found = self._contexts.get((name, alpn))
        if found is None:
            tls = self._tls.get(name) or ClientTls()
            try:
                found = Rotation(tls, partial(client_context, alpn=alpn)).value
            except ConfigError as error:
                raise ConfigError(f"tls_store {name!r}: {error}") from error
            self._contexts[name, alpn] = found
        return found

    def _proxy_context(self) -> ssl.SSLContext:
        proxies = self._options.proxies
        given = None if proxies is None else proxies.tls
        return given if given is not None else self._context("")


def node_place(node: Node, *, tls: str, http2: bool, negotiated: bool = False) -> Place:
    """Return the place of a node.

    Args:
        node: The node.
        tls: Name of its TLS configuration.
        http2: Whether it speaks HTTP/2.
        negotiated: Whether it may choose HTTP/1.1 all the same, where it speaks TLS.
    """
    named = tls if node.secure else ""
    return Place(node.address, node.secure, named, http2, negotiated and node.secure)


def require_tls(given: TLS) -> None:
    """Refuse certificates and keys that no connection could be made with.

    Raises:
        ConfigError: They are none, or do not belong together; says which.
    """
    Rotation(_client_tls("", given), client_context)


def _client_tls(name: str, given: TLS) -> ClientTls:
    try:
        return ClientTls(
            ca=given.cacert.encode() or None,
            certificate=given.cert.encode() or None,
            key=given.key.encode() or None,
            server_name=given.server_name or None,
            verify=not given.insecure,
        )
    except ConfigError as error:
        raise ConfigError(f"tls_store {name!r}: {error}") from error
