"""Serve REST where back ends serve gRPC: rules, calls, streams and uploads."""

from kratos_gateway.middleware.rest.calls import build

__all__ = ["build"]
