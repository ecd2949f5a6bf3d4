"""The client side of gRPC-Web."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from kratos.selector import Node
from kratos.tls import ClientTls
from kratos_grpc.connect.base import RpcConnector
from kratos_grpc.web.client import WebConnection
from kratos_http import Proxies

if TYPE_CHECKING:
    from kratos.transport import Connector

__all__ = ["GrpcWebConnector"]

_MEBIBYTE: Final = 1024 * 1024
_AROUND: Final = 64 * 1024  # bytes of a body besides its message: trailers, and what goes before


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

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | ClientTls | None = None,
        http2: bool = False,
        proxy: str | Proxies | None = None,
        prefix: str = "",
        json: bool = False,
        compression: str = "",
        max_receive: int = 4 * _MEBIBYTE,
        max_connections: int = 256,
        connect_timeout: float = 5.0,
    ) -> None:
        super().__init__(
            tls=tls,
            http2=http2,
            proxy=proxy,
            prefix=prefix,
            json=json,
            compression=compression,
            max_receive=max_receive,
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            room=_AROUND,
        )

    @property
    def transport(self) -> str:
        """What calls are told that carries them: gRPC, as on servers."""
        return "grpc"

    def connect(self, node: Node, /) -> WebConnection:
        """Return the connections of one node; see ``Connector``."""
        return WebConnection(node, self.carrier(node), self.terms)


if TYPE_CHECKING:
    _: type[Connector] = GrpcWebConnector
