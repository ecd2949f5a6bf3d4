"""The client side of gRPC-Web, for services behind proxies that carry nothing else."""

from kratos_grpc.web._connector import GrpcWebConnector

__all__ = ["GrpcWebConnector"]
