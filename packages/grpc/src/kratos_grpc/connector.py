"""The client side of gRPC: one channel per node, picked by the core (Go: transport/grpc)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from kratos.errors import ConfigError
from kratos.selector import Node
from kratos_grpc._compression import coding_of
from kratos_grpc._connection import GrpcConnection
from kratos_grpc._process import claim
from kratos_grpc.limits import ClientLimits, Options
from kratos_grpc.tls import ClientTls, channel_credentials

if TYPE_CHECKING:
    from kratos.transport import Connector

__all__ = ["GrpcConnector"]


class GrpcConnector:
    """Reaches nodes over gRPC; for ``Client(..., transport=...)``.

    Args:
        tls: How secure nodes are reached; ``None`` for the roots that come with gRPC.
        limits: What servers may do, and how connections are kept.
        compression: Coding of requests of 1 KiB or more, and of all that are streamed: ``gzip``
            or ``deflate``; empty for none. ``CallOptions(compression=...)`` goes before it.
            Compressed replies are read in any case.
        options: Channel arguments of gRPC's core beyond these. Proxies that the environment
            names are not used, unless ``("grpc.enable_http_proxy", 1)`` asks for them.

    Raises:
        ConfigError: ``tls`` is that of another transport, or there is no such coding.
    """

    def __init__(
        self,
        *,
        tls: ClientTls | None = None,
        limits: ClientLimits | None = None,
        compression: str = "",
        options: Options = (),
    ) -> None:
        self._tls = _checked(tls)
        self._compression = coding_of(compression)
        self._credentials: grpc.ChannelCredentials | None = None
        self._options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),  # else clients would share connections
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_http_proxy", 0),
            *(limits or ClientLimits()).options(),
            *options,
        ]

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches, without TLS."""
        return "grpc"

    def connect(self, node: Node, /) -> GrpcConnection:
        """Return the connection of one node; see ``Connector``."""
        return GrpcConnection(node, self._dial, compression=self._compression)

    def _dial(self, node: Node) -> grpc.aio.Channel:
        claim()
        target = node.address if node.unix_path is not None else f"dns:///{node.address}"
        options = list(self._options)
        if not node.secure:
            return grpc.aio.insecure_channel(target, options=options)
        name = self._tls.server_name or node.name
        if name:
            options.append(("grpc.ssl_target_name_override", name))
        if self._credentials is None:
            self._credentials = channel_credentials(self._tls)
        return grpc.aio.secure_channel(target, self._credentials, options=options)


def _checked(tls: object) -> ClientTls:
    if tls is None:
        return ClientTls()
    if not isinstance(tls, ClientTls):
        raise ConfigError(f"tls of gRPC is a kratos.tls.ClientTls, not {tls!r}")
    return tls


if TYPE_CHECKING:
    _: type[Connector] = GrpcConnector
