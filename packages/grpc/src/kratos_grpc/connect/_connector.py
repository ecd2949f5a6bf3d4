"""The client side of Connect."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kratos.selector import Node
from kratos.tls import ClientTls
from kratos_grpc.connect._base import RpcConnector
from kratos_grpc.connect._client import ConnectConnection
from kratos_http import Proxies

if TYPE_CHECKING:
    from kratos.transport import Connector

__all__ = ["ConnectConnector"]

_MEBIBYTE: Final = 1024 * 1024


class ConnectConnector(RpcConnector):
    """Reaches services over Connect; for ``Client(..., transport=ConnectConnector())``.

    Nodes are those with endpoints of HTTP.

    Args:
        tls: For secure nodes: a context, or the files of one; ``None`` for the system's trust
            store. With ``http2``, a context has to offer ``h2`` by ALPN.
        http2: Whether all calls share one connection of HTTP/2, which the nodes have to speak, also
            in plain text. Over HTTP/1.1 each call that streams has a connection of its own.
        proxy: As of ``HttpConnector``.
        prefix: Path before that of every method, for instance ``/api``.
        json: Whether messages are sent in JSON, for people who look at them; by default they are
            protobuf.
        compression: Coding of requests of 1 KiB or more: ``gzip`` or ``deflate``; empty for none.
            ``CallOptions(compression=...)`` goes before it. Compressed replies are read in any
            case.
        get: Whether calls of methods without side effects are GETs, which caches may answer, where
            their messages are short enough.
        max_receive: Bytes of one reply message; larger ones end their call with 429
            ``MESSAGE_TOO_LARGE``.
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
        get: bool = False,
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
        )
        self.terms = replace(self.terms, get=get)

    @property
    def transport(self) -> str:
        """What calls are told that carries them."""
        return "connect"

    def connect(self, node: Node, /) -> ConnectConnection:
        """Return the connections of one node; see ``Connector``."""
        return ConnectConnection(node, self.carrier(node), self.terms)


if TYPE_CHECKING:
    _: type[Connector] = ConnectConnector
