"""Middleware made to see whether it can be."""

from __future__ import annotations

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.gateway_pb2 import Middleware as Configured
from kratos_gateway.config.checks import backend_troubles, balancer_troubles
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.registry import made, text_of

__all__ = ["complaint"]


async def complaint(message: Configured, /) -> str | None:
    """Return why a middleware cannot be made; ``None`` if it can.

    It is made without connections, and given back at once. Back ends of its own are looked
    through as those of endpoints are.

    Cancellation: it may not be given back.
    """
    try:
        middleware = made(message, Context(upstream=_looked_through))
    except Exception as error:
        return text_of(error)
    await middleware.aclose()
    return None


def _looked_through(endpoint: Endpoint) -> Upstream:
    troubles = [
        *balancer_troubles(endpoint),
        *backend_troubles(endpoint, {}, discovery=None),
    ]
    for trouble in troubles:
        if trouble.fatal:
            raise ConfigError(f"endpoint.{trouble.field}: {trouble.text}")
    return _Nobody()


class _Nobody:
    """Back ends that are not there."""

    async def __call__(self, _request: Request, /) -> Answer:
        raise ConnectionError("there are no back ends here")

    async def aclose(self) -> None:
        """Do nothing."""
