"""The client side of gRPC: one connection per node, picked by the core (Go: transport/grpc)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kratos.errors import ConfigError
from kratos.options import require_instance
from kratos.selector import Node
from kratos_grpc._connection import GrpcConnection
from kratos_grpc._dialing import Http2Dialing
from kratos_grpc.limits import ClientLimits, Options, pairs
from kratos_grpc.tls import ClientTls
from kratos_http.proxies import Proxies

if TYPE_CHECKING:
    from kratos.transport import Connector
    from kratos_grpc._grpcio.dialing import GrpcioDialing

__all__ = ["GrpcConnector"]


class GrpcConnector:
    """Reaches nodes over gRPC; for ``Client(..., transport=...)``.

    Args:
        tls: How secure nodes are reached; ``None`` for the system's roots, or, with
            the engine ``grpcio``, for those that come with gRPC.
        limits: What servers may do, and how connections are kept.
        compression: Coding of requests of 1 KiB or more, and of all that are streamed: ``gzip``
            or ``deflate``; empty for none. ``CallOptions(compression=...)`` goes before it.
            Compressed replies are read in any case.
        engine: ``kratos``, the HTTP/2 of our own, or ``grpcio``.
        proxy: URL of the proxy for all nodes, or which is for which; ``None`` for none. Engine
            ``kratos``.
        options: Channel arguments of gRPC's core beyond these; engine ``grpcio``. Proxies that
            the environment names are not used, unless ``("grpc.enable_http_proxy", 1)`` asks for
            them.

    Raises:
        ConfigError: ``tls`` is that of another transport, there is no such coding or engine, or
            the engine does not know an option.
    """

    def __init__(
        self,
        *,
        tls: ClientTls | None = None,
        limits: ClientLimits | None = None,
        compression: str = "",
        engine: Literal["kratos", "grpcio"] = "kratos",
        proxy: str | Proxies | None = None,
        options: Options = (),
    ) -> None:
        require_instance("limits", limits, ClientLimits)
        checked, arguments = _checked(tls), pairs(options)
        limits = limits or ClientLimits()
        self._dialing: GrpcioDialing | Http2Dialing
        if engine == "grpcio":
            if proxy is not None:
                raise ConfigError(
                    "proxy= is for engine='kratos'; that of grpcio takes what the environment "
                    'names, with options=[("grpc.enable_http_proxy", 1)]'
                )
            from kratos_grpc._grpcio.dialing import GrpcioDialing  # and with it, grpcio

            self._dialing = GrpcioDialing(checked, limits, compression, arguments)
        elif engine == "kratos":
            if arguments:
                raise ConfigError("options= are channel arguments of grpcio: engine='grpcio'")
            self._dialing = Http2Dialing(checked, limits, compression, proxy)
        else:
            raise ConfigError(f"engine {engine!r} is none: it is 'kratos' or 'grpcio'")

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches, without TLS."""
        return "grpc"

    def connect(self, node: Node, /) -> GrpcConnection:
        """Return the connection of one node; see ``Connector``."""
        return GrpcConnection(node, self._dialing.dial)


def _checked(tls: Any) -> ClientTls:
    if tls is None:
        return ClientTls()
    if not isinstance(tls, ClientTls):
        raise ConfigError(f"tls of gRPC is a kratos.tls.ClientTls, not {tls!r}")
    return tls


if TYPE_CHECKING:
    _: type[Connector] = GrpcConnector
