"""What an engine of clients supplies: a line to a node, which carries calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from kratos.transport import Call

__all__ = ["Attempt", "Line"]


class Attempt(Protocol):
    """One call on a line."""

    @property
    def call(self) -> Call:
        """The call."""
        ...

    @property
    def unanswered(self) -> bool:
        """Whether it was ended, and neither by the service nor by its time limit."""
        ...

    def release(self) -> None:
        """Cancel the call unless it has ended, and let go of what is kept for it."""
        ...


A = TypeVar("A", bound=Attempt)


class Line(Protocol[A]):
    """A way to a node, from the first call on it to the end of the last."""

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        ...

    @property
    def attempts(self) -> set[A]:
        """The calls on it."""
        ...

    async def connect(self) -> bool:
        """Try once to have the connection stand, and tell whether it does.

        Cancellation: safe.
        """
        ...

    def start(self, call: Call, request: Any, /) -> A:
        """Start a call, whose request is given unless it streams them; no I/O.

        Raises:
            ValueError: gRPC cannot carry one of the headers.
            ConfigError: There is no such coding.
            TypeError: The request is none of the method.
        """
        ...

    def carry(self, attempt: A, request: Any, /) -> Coroutine[Any, Any, Any]:
        """Carry a call that was started, to its end; see ``GrpcConnection.invoke``."""
        ...

    def ended(self, attempt: A, /) -> None:
        """Note that a call has ended."""
        ...

    async def aclose(self, *, drain: float | None = 0.0) -> None:
        """Let calls end, cut the rest off, close the connection.

        Args:
            drain: Seconds for calls to end; ``None`` for no limit.

        Cancellation: cuts off at once.
        """
        ...
