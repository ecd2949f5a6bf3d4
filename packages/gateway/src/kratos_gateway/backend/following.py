"""Redirects of nodes, followed in place of the client (Go: ``PROXY_FOLLOW_REDIRECT``).

Go's gateway goes wherever a node sends it, which lets whoever can make one answer with a redirect
ask anything that the gateway can reach. Here it goes to nodes of the same endpoint, and to hosts
that whoever runs the gateway has named; what leads elsewhere is passed on to the client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from kratos.address import DEFAULT_PORTS, join_host_port
from kratos.errors import Error
from kratos_gateway.backend.connections import Connections, NodeConnection, Place
from kratos_gateway.backend.redirects import Redirects
from kratos_gateway.exchange import Answer, Body, Repeatable, Request

__all__ = ["MOST", "REDIRECTS", "Following"]

MOST: Final = 10
"""Redirects of one attempt that are followed, as in Go."""

_CHANGING: Final = frozenset((301, 302, 303))  # what follows is asked by GET, without the body
REDIRECTS: Final = _CHANGING | {307, 308}
"""Statuses of answers that lead elsewhere, if they say where."""

_SAFE: Final = frozenset(("GET", "HEAD"))
_URL: Final = "/%:@!$&'()*+,;=-._~?[]{}|^"
_OF_BODY: Final = b"content-"
# What another host is told: what is asked for, and nothing of who asks.
_TOLD: Final = frozenset(
    (
        *(b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"range"),
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(b"if-range", b"user-agent", b"traceparent", b"tracestate"),
        *(b"content-encoding", b"content-language", b"content-length", b"content-type"),
    )
)

_Nodes: TypeAlias = Mapping[str, tuple[Place, NodeConnection]]


class _Leg(NamedTuple):
    """Where one request of a chain goes.

    Attributes:
        place: Of the host.
        connection: To it, if it is a node; ``None`` for another host.
        host: By which it is asked.
    """

    place: Place
    connection: NodeConnection | None
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Follows the redirects of the nodes of one endpoint, or counts them alone.

    Attributes:
        redirects: Which are followed; ``None`` for none.
        connections: Reach other hosts.
        count: Called for each answer that leads elsewhere, followed or not, as in Go.
    """

    redirects: Redirects | None
    connections: Connections
    count: Callable[[], None]

    async def follow(self, answer: Answer, request: Request, host: str, nodes: _Nodes) -> Answer:
        """Return the answer at the end of a chain of redirects.

        Methods, bodies and headers are those of Go's client: what follows 301, 302 and 303 is
        asked by ``GET`` without a body, and what follows 307 and 308 as before; where the body
        cannot be sent again, the redirect is the answer.

        Args:
            answer: Of a node, with a status of ``REDIRECTS``.
            request: What it answers.
            host: By which the node was asked.
            nodes: Of the endpoint, by address.

        Raises:
            Error: 502: there are more than ``MOST``.
            OSError: A host of the chain cannot be reached, or was lost.

        Cancellation: as of ``NodeConnection``.
        """
        node = request.options.current_node
        known = None if node is None else nodes.get(node.address)
        leg = None if known is None else _Leg(*known, host)
        followed = 0
        while answer.status in REDIRECTS and answer.header(b"location"):
            self.count()
            if leg is None or self.redirects is None:
                return answer
            led = self._led(answer, request, leg, nodes)
            if led is None:
                return answer
            _close(answer)
            if followed == MOST:
                raise Error(502, "REDIRECTS", f"there were more than {MOST} redirects")
            followed += 1
            request, leg = led
            answer = await self._send(request, leg)
        return answer

    def _led(
        self, answer: Answer, request: Request, leg: _Leg, nodes: _Nodes
    ) -> tuple[Request, _Leg] | None:
        """Return what is asked next, and where; ``None`` if it is not to be followed."""
        try:
            url = _url(answer.header(b"location").decode("latin-1"), request, leg)
            if url.username is not None or not url.hostname:
                return None
            secure = url.scheme == "https"
            name, port = url.hostname.lower(), url.port or DEFAULT_PORTS.get(url.scheme, 0)
        except ValueError:
            return None
        if url.scheme not in DEFAULT_PORTS:
            return None
        address = join_host_port(name, port)
        following = self._leg(address, secure, leg, nodes)
        if following is None:
            assert self.redirects is not None, "nothing is followed without it"
            if not self.redirects.allow(name, port, secure=secure):
                return None
            place = Place(address, secure, "", http2=False)
            following = _Leg(place, None, url.netloc)
        changed = _changed(answer.status, request, url, foreign=following.connection is None)
        return None if changed is None else (changed, following)

    def _leg(self, address: str, secure: bool, leg: _Leg, nodes: _Nodes) -> _Leg | None:  # noqa: FBT001
        """Return the way to a node of the endpoint, or to where it came from."""
        if (address, secure) == (leg.place.address.lower(), leg.place.secure):
            return leg
        for place, connection in nodes.values():
            if (address, secure) == (place.address.lower(), place.secure):
                return _Leg(place, connection, address)
        return None

    async def _send(self, request: Request, leg: _Leg) -> Answer:
        if leg.connection is not None:
            return await leg.connection.send(request, leg.host)
        connection = self.connections.take(leg.place)
        kept = False
        try:
            answer = await connection.send(request, leg.host)
            if not isinstance(answer.body, bytes):
                answer.body = _Held(answer.body, self.connections, leg.place)
                kept = True
            return answer
        finally:
            if not kept:
                self.connections.give_back(leg.place)


class _Held:
    """A ``Body`` of a host that is no node, whose connection is given back at its end."""

    __slots__ = ("_body", "_connections", "_place")

    def __init__(self, body: Body, connections: Connections, place: Place) -> None:
        self._body = body
        self._connections: Connections | None = connections
        self._place = place

    @property
    def trailers(self) -> Any:
        return self._body.trailers

    async def read(self) -> bytes:
        try:
            piece = await self._body.read()
        except Exception:
            self._give_back()
            raise
        if not piece:
            self._give_back()
        return piece

    def close(self) -> None:
        self._body.close()
        self._give_back()

    def _give_back(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.give_back(self._place)


def _url(location: str, request: Request, leg: _Leg) -> SplitResult:
    scheme = "https" if leg.place.secure else "http"
    query = f"?{request.query}" if request.query else ""
    return urlsplit(urljoin(f"{scheme}://{leg.place.address}{request.path}{query}", location))


def _changed(status: int, request: Request, url: SplitResult, *, foreign: bool) -> Request | None:
    """Return the request that follows; ``None`` if its body cannot be sent again."""
    method, headers = request.method, request.headers
    body: bytes | Body | None = request.body
    if status in _CHANGING:
        method = method if method in _SAFE else "GET"
        body = b""
        headers = [pair for pair in headers if not pair[0].startswith(_OF_BODY)]
    elif not isinstance(body, bytes):
        body = body.again() if isinstance(body, Repeatable) else None
        if body is None:
            return None
    if foreign:
        headers = [pair for pair in headers if pair[0] in _TOLD]
    return replace(
        request,
        method=method,
        path=_quoted(url.path or "/"),
        query=_quoted(url.query),
        headers=headers,
        body=body,
    )


def _quoted(text: str) -> str:
    return quote(text.encode("latin-1", "replace"), safe=_URL)


def _close(answer: Answer) -> None:
    if not isinstance(answer.body, bytes):
        answer.body.close()
