"""gRPC server and client of Kratos, on HTTP/2 of our own or on grpcio; gRPC-Web and Connect."""

from kratos_grpc import _process as _process  # asks for grpcio's objects before a fork
from kratos_grpc.connector import GrpcConnector
from kratos_grpc.health import health_check
from kratos_grpc.limits import ClientLimits, ServerLimits
from kratos_grpc.protocols import Grpc, GrpcWeb
from kratos_grpc.server import GrpcServer
from kratos_grpc.tls import ClientTls, ServerTls

__all__ = [
    "ClientLimits",
    "ClientTls",
    "Grpc",
    "GrpcConnector",
    "GrpcServer",
    "GrpcWeb",
    "ServerLimits",
    "ServerTls",
    "health_check",
]
