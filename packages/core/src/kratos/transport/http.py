"""The HTTP seam between engines that move bytes and applications that answer.

Nothing here knows gRPC, JSON or services; httptools, our HTTP/2 and ASGI implement one side,
the protocol adapters (REST, SSE, WebSocket, gRPC-Web, ...) the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from kratos.transport.cause import Cause

if TYPE_CHECKING:
    from kratos.tls import PeerCertificate

__all__ = [
    "Buffered",
    "Endpoint",
    "Head",
    "HttpApplication",
    "Memo",
    "Reply",
    "Running",
    "Socket",
    "Streamed",
    "Upgraded",
    "Wire",
    "WireHeaders",
]

WireHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]


class Running(Protocol):
    """What an engine cancels when the peer has gone; every ``Call`` is one."""

    def cancel(self, cause: Cause, /) -> None:
        """End it early, for the given cause."""
        ...


class Memo:
    """What an application remembers for requests whose heads are the same.

    An engine that recognises such heads cheaply, as HTTP/2's does by their compressed bytes,
    gives them one memo. Filters may have changed the head since: whoever reads the memo compares
    what it was made of.

    Args:
        base: Of heads without fields such as a deadline, which are another in each call; ``None``
            if this head has none of them.
        varying: These fields, the last of its headers.

    Attributes:
        base: See above.
        varying: See above.
        owner: Who wrote the value; others must not read it.
        path: Of the head that the value was made of.
        headers: Of that head.
        value: What was found out; never changed, as calls share it.
    """

    __slots__ = ("base", "headers", "owner", "path", "value", "varying")

    def __init__(self, base: Memo | None = None, varying: WireHeaders = ()) -> None:
        self.base = base
        self.varying = varying
        self.owner: object = None
        self.path = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.value: Any = None


class Head:
    """A request before its body.

    Attributes:
        method: Verb, upper case.
        path: Raw path as sent, percent-encoded, without the query.
        query: Raw query without the question mark.
        headers: Lower-case names and values in the order they came.
        scheme: ``http`` or ``https``.
        version: ``1.0``, ``1.1`` or ``2``.
        peer: Address of the other end.
        tls: Whether the connection is encrypted.
        certificate: Who the peer proved to be, where the server asks for certificates.
        params: Path variables by field path, filled in by ``route``.
        running: Set by the endpoint while there is something to cancel with a cause; without
            it the engine cancels the task.
        memo: Of all requests on the connection with a head like this one; ``None`` from engines
            that do not recognise them.
    """

    __slots__ = (
        "certificate",
        "headers",
        "memo",
        "method",
        "params",
        "path",
        "peer",
        "query",
        "running",
        "scheme",
        "tls",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        scheme: str = "http",
        version: str = "1.1",
        peer: str = "",
        tls: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.scheme = scheme
        self.version = version
        self.peer = peer
        self.tls = tls
        self.certificate: PeerCertificate | None = None
        self.params: Sequence[str] = ()
        self.running: Running | None = None
        self.memo: Memo | None = None

    def header(self, name: bytes) -> bytes:
        """Return the first value of a lower-case name, empty when it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""

    def __str__(self) -> str:
        """Return what a line of a log tells of it."""
        return f"{self.method} {self.path.decode('latin-1')!r}"


@dataclass(slots=True)
class Reply:
    """A whole answer; the engine adds Date, Connection and length, nothing else."""

    status: int
    headers: WireHeaders = ()
    body: bytes = b""
    trailers: WireHeaders = ()


class Wire(Protocol):
    """Both directions of a request that is not buffered."""

    async def read(self) -> bytes:
        """Return the next piece of the body; ``b""`` at its clean end and only there.

        Raises:
            Error: The body ended early or broke a limit.
        """
        ...

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """Begin the answer."""
        ...

    async def write(self, data: bytes, /) -> None:
        """Send a piece of the answer; waits while the peer is slow."""
        ...

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """End the answer well."""
        ...

    def reset(self, cause: Cause, /) -> None:
        """Break the answer off so that the peer cannot take it for a whole one."""
        ...


class Socket(Protocol):
    """A WebSocket handshake waiting for its answer."""

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame, 1005 for one without; ``None`` while none came."""
        ...

    @property
    def newest(self) -> str | bytes | None:
        """The newest message that came, received or not; ``None`` while none came."""
        ...

    async def accept(self, headers: WireHeaders = ()) -> None:
        """Answer 101.

        Args:
            headers: Of the answer; ``sec-websocket-protocol`` chooses one of those offered.

        Raises:
            ValueError: A header cannot be sent; nothing was.
        """
        ...

    async def refuse(self, reply: Reply, /) -> None:
        """Answer an ordinary reply instead."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next message; ``None`` at the peer's close frame.

        Raises:
            Error: The peer has gone without one, or broke the protocol or a limit.
        """
        ...

    async def send(self, message: str | bytes, /) -> None:
        """Send a message; waits while the peer is slow.

        Raises:
            Error: The peer has gone.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait for the peer's, for a bounded time.

        Args:
            code: Of the frame.
            reason: Of the frame; what exceeds the 123 bytes that fit is cut off.
        """
        ...


class Buffered(Protocol):
    """An endpoint whose body the engine reads whole: the fast path.

    One that has a method ``overflow(head, error) -> Reply`` makes the answer to a body that is too
    large, in place of the engine.
    """

    @property
    def max_body(self) -> int:
        """Largest body in bytes; a larger one is answered 413 by the engine."""
        ...

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Answer; raises nothing but ``CancelledError``."""
        ...


class Streamed(Protocol):
    """An endpoint that reads and writes piece by piece."""

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Answer through the wire."""
        ...


class Upgraded(Protocol):
    """An endpoint behind a WebSocket handshake."""

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """Accept or refuse the socket, then talk."""
        ...


Endpoint: TypeAlias = Buffered | Streamed | Upgraded


class HttpApplication(Protocol):
    """What an engine serves."""

    def route(self, head: Head, /) -> Endpoint:
        """Choose the endpoint; never raises: 404 and 405 are endpoints too."""
        ...
