"""What the entry points name."""

from __future__ import annotations

import ssl
from typing import Literal

from kratos_grpc.connect import ConnectConnector
from kratos_grpc.connector import GrpcConnector
from kratos_grpc.limits import ClientLimits, Options
from kratos_grpc.tls import ClientTls
from kratos_http.proxies import Proxies

__all__ = ["connect", "connector"]


def connector(
    *,
    tls: ClientTls | None = None,
    limits: ClientLimits | None = None,
    compression: str = "",
    engine: Literal["kratos", "grpcio"] = "kratos",
    proxy: str | Proxies | None = None,
    options: Options = (),
) -> GrpcConnector:
    """Return the client side of gRPC; see ``GrpcConnector``."""
    return GrpcConnector(
        tls=tls,
        limits=limits,
        compression=compression,
        engine=engine,
        proxy=proxy,
        options=options,
    )


def connect(
    *,
    tls: ssl.SSLContext | ClientTls | None = None,
    json: bool = False,
    compression: str = "",
    get: bool = False,
) -> ConnectConnector:
    """Return the client side of Connect; see ``ConnectConnector``."""
    return ConnectConnector(tls=tls, json=json, compression=compression, get=get)
