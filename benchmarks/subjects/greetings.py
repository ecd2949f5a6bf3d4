"""The reply of all servers of gRPC."""

from __future__ import annotations

from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

__all__ = ["greeting"]


def greeting(request: HelloRequest | CountRequest) -> HelloReply:
    """Return the reply to a call, and each of those of a stream."""
    return HelloReply(message="Hello " + request.name)
