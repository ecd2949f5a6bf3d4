"""Endpoints whose requests are streams (Go: the branch of stream endpoints)."""

from __future__ import annotations

from kratos_gateway.api.gateway_pb2 import Endpoint

__all__ = ["stream_problem"]


def stream_problem(endpoint: Endpoint, /) -> str | None:
    """Return why an endpoint cannot be one of streams, if it says so; ``None`` if it can."""
    if endpoint.stream and endpoint.HasField("retry"):
        return "a stream is not sent again: take retry away, or stream"
    return None
