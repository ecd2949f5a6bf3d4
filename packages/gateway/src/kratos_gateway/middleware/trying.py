"""Middleware made to see whether it can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kratos.errors import ConfigError
from kratos.log import NO_FIELDS, Level
from kratos_gateway.api.gateway_pb2 import TLS, Endpoint
from kratos_gateway.api.gateway_pb2 import Middleware as Configured
from kratos_gateway.config.checks import backend_troubles, balancer_troubles
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.registry import made, text_of

__all__ = ["complaints"]


async def complaints(
    message: Configured, /, *, store: Mapping[str, TLS], discovery: bool | None = None
) -> Sequence[Trouble]:
    """Return why a middleware cannot be made, and what is odd about it.

    It is made without connections, and given back at once. What it warns of meanwhile is odd. Back
    ends of its own are looked through as those of endpoints are.

    Args:
        message: Its configuration.
        store: TLS by name, which its back ends may name.
        discovery: Whether there will be a registry; ``None`` if that is not known.

    Cancellation: it may not be given back.
    """
    odd: list[Trouble] = []

    def looked_through(endpoint: Endpoint) -> Upstream:
        for trouble in (
            *balancer_troubles(endpoint),
            *backend_troubles(endpoint, store, discovery=discovery),
        ):
            field = f"endpoint.{trouble.field}"
            if trouble.fatal:
                raise ConfigError(f"{field}: {trouble.text}")
            odd.append(Trouble(field, trouble.text, fatal=False))
        return _Nobody()

    context = Context(logger=_Noting(odd, message.name.strip().lower()), upstream=looked_through)
    try:
        middleware = made(message, context)
    except Exception as error:
        return [*odd, Trouble("", text_of(error))]
    await middleware.aclose()
    return odd


class _Noting:
    """A logger that makes troubles of warnings.

    Args:
        odd: Where they go.
        name: Of the middleware, which is told with each anyway.
    """

    def __init__(self, odd: list[Trouble], name: str) -> None:
        self._odd = odd
        self._name = name

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Note a warning; see ``Logger``."""
        if level >= Level.WARN:
            text = message.removeprefix(f"{self._name} ")
            told = ": ".join([text, *(f"{key}={value}" for key, value in fields.items())])
            self._odd.append(Trouble("", told, fatal=False))


class _Nobody:
    """Back ends that are not there."""

    async def __call__(self, _request: Request, /) -> Answer:
        raise ConnectionError("there are no back ends here")

    async def aclose(self) -> None:
        """Do nothing."""
