"""Let clients of Connect call services of gRPC: calls and streams, in protobuf and in JSON."""

from kratos_gateway.middleware.connect.calls import build

__all__ = ["build"]
