"""Rules for HTTP/2 connections that depend on what is spoken over them, such as gRPC's of pings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from kratos.transport.cause import Cause

__all__ = ["Conduct", "Conductor", "Governed"]


class Governed(Protocol):
    """A connection, as its rules see it."""

    def leave(self) -> None:
        """Send the peer elsewhere, and close when its requests are answered. Idempotent."""
        ...

    def expel(self, why: bytes, /) -> None:
        """End the connection with ENHANCE_YOUR_CALM, and say why."""
        ...

    def cancel(self, cause: Cause, /) -> None:
        """Cancel every request that is under way."""
        ...

    def abort(self) -> None:
        """Cut the connection off."""
        ...


class Conduct(Protocol):
    """The rules of one connection."""

    def on_ping(self) -> None:
        """The peer pinged."""
        ...

    def on_answer(self) -> None:
        """Something of an answer was sent."""
        ...

    def close(self) -> None:
        """The connection has ended."""
        ...


Conductor: TypeAlias = Callable[[Governed], Conduct]
"""Makes the rules of a new connection, in the loop that serves it."""
