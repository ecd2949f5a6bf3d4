"""What passes between the server, middleware, and the proxy: a request, its answer, its options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from kratos.selector import Node
from kratos.transport.http import WireHeaders
from kratos_gateway.api.gateway_pb2 import Endpoint

__all__ = [
    "Answer",
    "Body",
    "Handler",
    "Middleware",
    "NodeFilter",
    "Repeatable",
    "Request",
    "RequestOptions",
]


class Body(Protocol):
    """What comes in pieces."""

    @property
    def trailers(self) -> WireHeaders:
        """Trailers, once it has ended."""
        ...

    async def read(self) -> bytes:
        """Return the next piece; ``b""`` at the clean end and only there.

        Raises:
            OSError: Its sender was lost before the end.
            Error: It ended early or broke a limit.

        Cancellation: safe; nothing is lost.
        """
        ...

    def close(self) -> None:
        """Cut off what has not ended. Idempotent."""
        ...


@runtime_checkable
class Repeatable(Body, Protocol):
    """A body of a request that can be sent once more."""

    def again(self) -> Body | None:
        """Return it from its beginning, and read no more of this one.

        ``None`` if the beginning is lost; then this one is as it was.
        """
        ...


def _never() -> bool:
    return False


NodeFilter: TypeAlias = Callable[[Sequence[Node]], Sequence[Node]]


@dataclass(slots=True)
class RequestOptions:
    """What is known of one request over all its attempts (Go: middleware.RequestOptions).

    Attributes:
        endpoint: Its endpoint.
        filters: Choose among nodes; middleware may add some.
        backends: Addresses tried.
        metadata: Told by middleware.
        upstream_status_code: Of each attempt; 0 where there was no answer.
        upstream_response_time: Seconds of each attempt until the head of its answer.
        current_node: Of the attempt under way.
        last_attempt: Whether no attempt follows.
        values: What middleware tells each other, by key.
        on_error: Set by middleware whose clients are told of errors in a form of their own: makes
            the answer to a request that came to none, of a status of HTTP and a text.
        marks: What middleware adds to the answer that the proxy makes for a request that came to
            none; so browsers are shown that one, too. Done again for each attempt, to the same end.
        is_late: Set by the proxy: tells whether the time of the attempt is over. Handlers are
            cancelled for that, as they are when the client goes away; this is how they know.
        is_uploading: Set by the proxy: tells whether the client is waited for, which has not sent
            all of the body. What is late then is no fault of a back end.
    """

    endpoint: Endpoint
    filters: list[NodeFilter] = field(default_factory=list[NodeFilter])
    backends: list[str] = field(default_factory=list[str])
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    upstream_status_code: list[int] = field(default_factory=list[int])
    upstream_response_time: list[float] = field(default_factory=list[float])
    current_node: Node | None = None
    last_attempt: bool = False
    values: dict[object, Any] = field(default_factory=dict[object, Any])
    on_error: Callable[[int, str], Answer] | None = None
    marks: list[Callable[[Answer], Answer]] = field(
        default_factory=list["Callable[[Answer], Answer]"]
    )
    is_late: Callable[[], bool] = _never
    is_uploading: Callable[[], bool] = _never


@dataclass(slots=True)
class Request:
    """One attempt of a request; middleware may change it, or hand on another.

    Attributes:
        method: Verb.
        scheme: ``http`` or ``https``, by which it came.
        host: As the client named it, with its port if it did.
        path: Percent-encoded, cleaned.
        query: Without the question mark.
        headers: Lower-case names; none of those of one hop alone.
        body: Of the request; whole, or in pieces.
        peer: Address of the client.
        version: Of HTTP, by which it came: ``1.0``, ``1.1`` or ``2``.
        options: Of the whole request.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | Body
    peer: str
    version: str
    options: RequestOptions

    def header(self, name: bytes) -> bytes:
        """Return the first value of a lower-case name, empty when it is absent."""
        return next((value for key, value in self.headers if key == name), b"")


@dataclass(slots=True)
class Answer:
    """An answer, of a node or of middleware.

    Attributes:
        status: Of HTTP.
        headers: Lower-case names; none of those of one hop alone.
        body: Whole, or in pieces. Whoever drops the answer closes it.
        trailers: Where the body is whole; those of one in pieces are its own.
    """

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes | Body = b""
    trailers: WireHeaders = ()

    def header(self, name: bytes) -> bytes:
        """Return the first value of a lower-case name, empty when it is absent."""
        return next((value for key, value in self.headers if key == name), b"")


Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Answers one attempt.

Raises:
    TimeoutError: Its time is over; 504 to the client.
    OSError: No node could be reached, or it was lost; 502.
    Error: Something else that has a status.
"""


class Middleware(Protocol):
    """Wraps a handler, once per endpoint; what it holds is given back when that is replaced."""

    def wrap(self, handler: Handler, endpoint: Endpoint, /) -> Handler:
        """Return the handler around another one; called for every attempt of every request."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds. Idempotent."""
        ...
