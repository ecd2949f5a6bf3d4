"""From a name and options in the configuration to a middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, KratosError
from kratos.log import Level
from kratos.plugins import load
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.gateway_pb2 import Middleware as Configured
from kratos_gateway.exchange import Handler, Middleware
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.plain import Plain

__all__ = ["GROUP", "Build", "complaint", "create"]

GROUP: Final = "kratos.gateway.middleware"
"""Group of entry points; each is a function ``build(options, context)``."""

Build: TypeAlias = Callable[[AnyMessage | None, Context], Middleware]


def create(message: Configured, /, *, context: Context) -> Middleware:
    """Make the middleware that a configuration names.

    One that cannot be made, and is not required, is logged, counted in
    ``go_gateway_failed_middleware_create``, and replaced by one that does nothing.

    Args:
        message: Name, in any case, and options.
        context: What it is made with.

    Raises:
        ConfigError: It is required and cannot be made: nobody knows the name, or its options are
            wrong.
    """
    try:
        return _made(message, context)
    except Exception as error:
        told = f"middleware {message.name!r}: {_text(error)}"
        if message.required:
            raise ConfigError(told) from error
        counter = context.meter.counter(
            "go_gateway_failed_middleware_create",
            description="Middleware that could not be made",
            labels=("name", "required"),
        )
        counter.labels(message.name, "false").inc()
        context.logger.log(Level.ERROR, "a middleware is left out", {"error": told})
        return Plain(_through)


async def complaint(message: Configured, /) -> str | None:
    """Return why a middleware cannot be made; ``None`` if it can.

    It is made without back ends, and given back at once.

    Cancellation: it may not be given back.
    """
    try:
        made = _made(message, Context())
    except Exception as error:
        return _text(error)
    await made.aclose()
    return None


def _made(message: Configured, context: Context) -> Middleware:
    name = message.name.strip().lower()
    if not name:
        raise ConfigError("it has no name: write name: cors, for instance")
    build: Build = load(GROUP, name)
    return build(message.options if message.HasField("options") else None, context)


def _text(error: Exception) -> str:
    if isinstance(error, KratosError):
        cause = error.__cause__
        return (
            f"{error}: {cause}"
            if cause is not None and str(cause) not in str(error)
            else str(error)
        )
    return f"{type(error).__name__}: {error}"


def _through(handler: Handler, _endpoint: Endpoint) -> Handler:
    return handler
