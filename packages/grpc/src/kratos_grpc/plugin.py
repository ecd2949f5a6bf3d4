"""What the entry points name."""

from __future__ import annotations

from kratos_grpc.connector import GrpcConnector
from kratos_grpc.limits import ClientLimits, Options
from kratos_grpc.tls import ClientTls

__all__ = ["connector"]


def connector(
    *,
    tls: ClientTls | None = None,
    limits: ClientLimits | None = None,
    compression: str = "",
    options: Options = (),
) -> GrpcConnector:
    """Return the client side of gRPC; see ``GrpcConnector``."""
    return GrpcConnector(tls=tls, limits=limits, compression=compression, options=options)
