"""The client side of gRPC-Web."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kratos.selector import Node
from kratos_grpc.connect._base import RpcConnector
from kratos_grpc.web._client import WebConnection

if TYPE_CHECKING:
    from kratos.transport import Connector

__all__ = ["GrpcWebConnector"]


class GrpcWebConnector(RpcConnector):
    """Reaches services over gRPC-Web; for ``Client(..., transport=GrpcWebConnector())``.

    Nodes are those with endpoints of HTTP. What can be reached by gRPC is better off with that.

    Args:
        tls: As of ``ConnectConnector``, as are all other options.
        http2: Whether all calls share one connection of HTTP/2.
        proxy: As of ``HttpConnector``.
        prefix: Path before that of every method.
        json: Whether messages are sent in JSON.
        compression: Coding of requests of 1 KiB or more.
        max_receive: Bytes of one reply message.
        max_connections: To one node at once; further calls wait for one.
        connect_timeout: Seconds to connect, proxy and TLS included.

    Raises:
        ConfigError: An option has no such value.
    """

    around: ClassVar[int] = 64 * 1024  # trailers, and what goes before a message

    @property
    def transport(self) -> str:
        """What calls are told that carries them: gRPC, as on servers."""
        return "grpc"

    def connect(self, node: Node, /) -> WebConnection:
        """Return the connections of one node; see ``Connector``."""
        return WebConnection(node, self.carrier(node), self.terms)


if TYPE_CHECKING:
    _: type[Connector] = GrpcWebConnector
