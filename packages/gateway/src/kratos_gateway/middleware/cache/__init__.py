"""Answers kept for others who ask the same (RFC 9111): what may be kept, where, and how long."""

from kratos_gateway.middleware.cache.caching import build

__all__ = ["build"]
