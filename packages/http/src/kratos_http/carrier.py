"""Requests of other protocols than REST on a client's connections to one node.

``HttpConnector.carrier`` makes one; Connect and gRPC-Web are spoken on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kratos.transport.http import WireHeaders
from kratos_http._exchange import Lost, RawReply, TooLarge

__all__ = ["Carrier", "Lost", "RawReply", "Request", "TooLarge", "Transmission"]


@dataclass(slots=True)
class Request:
    """The head of a request.

    Attributes:
        verb: HTTP method.
        target: Path and query.
        headers: Lower-case names, all but those of the node and of the framing.
    """

    verb: str
    target: str
    headers: WireHeaders


class Transmission(Protocol):
    """A request whose body, and whose answer's body, go in pieces."""

    @property
    def trailers(self) -> WireHeaders:
        """Trailers of the answer, once it has ended."""
        ...

    async def send(self, data: bytes, /) -> bool:
        """Send a piece of the request's body; returns when there is room.

        Returns:
            Whether the server takes more. If not, the answer says why.
        """
        ...

    async def end(self) -> None:
        """End the request's body."""
        ...

    async def answer(self) -> tuple[int, WireHeaders]:
        """Return status and headers of the answer.

        Raises:
            Lost: The connection ended before.
            TooLarge: Its head exceeds the limit.

        Cancellation: safe; the answer may be waited for again.
        """
        ...

    async def read(self) -> bytes:
        """Return the next piece of the answer's body; ``b""`` at its clean end and only there.

        Raises:
            Lost: The connection ended before the answer did.

        Cancellation: safe; nothing is lost.
        """
        ...

    def close(self) -> None:
        """Cut off what has not ended. Idempotent."""
        ...


class Carrier(Protocol):
    """The connections to one node."""

    @property
    def ready(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        ...

    async def warm(self) -> None:
        """Open a connection, and keep it for the first request.

        Raises:
            OSError: That failed.
        """
        ...

    async def ask(self, request: Request, body: bytes, *, repeatable: bool) -> RawReply:
        """Send a whole request and return its whole answer.

        Args:
            request: Its head.
            body: Its body.
            repeatable: Whether it may be sent again though the server may have it.

        Raises:
            OSError: The server cannot be reached, or the connection was lost.
            TooLarge: The answer exceeds the limit.
            ValueError: A header cannot be sent.

        Cancellation: the server learns of it.
        """
        ...

    async def open(self, request: Request) -> Transmission:
        """Send the head of a request whose body follows in pieces; ``close`` what it returns.

        Raises:
            OSError: The server cannot be reached.
            ValueError: A header cannot be sent.
        """
        ...

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new requests, let those in flight end, then cut the rest off. Idempotent."""
        ...
