"""What a transport's client side supplies; picking nodes and calling is the core's part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kratos.transport.call import Call

if TYPE_CHECKING:
    from kratos.selector import Node

__all__ = ["Connection", "Connector"]


class Connector(Protocol):
    """A transport's whole client side; one per client.

    Plug-ins of the group ``kratos.transport`` name a factory of these:
    ``connector(*, tls=None, **options) -> Connector``. One whose calls go by another name than the
    scheme has that in an attribute ``transport``, for ``Call.transport``.
    """

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches, without TLS: ``http`` or ``grpc``."""
        ...

    def connect(self, node: Node, /) -> Connection:
        """Return the connection of one node, for as long as the node is known.

        No I/O: the connection opens on ``warm`` or with its first call. Called in the event
        loop. A secure node asks for TLS, with trusted defaults if no configuration was given.
        """
        ...


class Connection(Protocol):
    """Whatever leads to one node: a socket, a pool of them, a channel."""

    @property
    def node(self) -> Node:
        """Where it leads to."""
        ...

    @property
    def ready(self) -> bool:
        """Whether calls may be sent now.

        A transport that holds one connection says whether it stands; one that opens
        connections per call says whether the newest attempt succeeded or none was made.
        Cheap: it is read once per call.
        """
        ...

    async def warm(self) -> None:
        """Try to become ready, and return when it is; at once if it is already.

        Called again, with back-off, while it fails and the node is wanted.

        Raises:
            Error: The node cannot be reached.
            OSError: The same, as the operating system said it.

        Cancellation: gives up the attempt, and leaves the connection usable.
        """
        ...

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call: a client's innermost handler, which returns when the call has ended.

        Sets ``call.peer``. For streamed replies it awaits ``converse(call, stream)``.

        Raises:
            Error: What the service answered, or 503 when the node cannot be reached.

        Cancellation: cancels the call at the peer.
        """
        ...

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, then release everything.

        Idempotent, also with another ``drain`` after an earlier ``aclose`` was cancelled.

        Args:
            drain: Seconds for calls in flight; what is left then is cut off with 503.
        """
        ...
