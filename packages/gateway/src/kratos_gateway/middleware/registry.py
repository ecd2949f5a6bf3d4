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
from kratos_gateway.required import is_required, known_as

__all__ = ["GROUP", "Build", "create", "made", "text_of"]

GROUP: Final = "kratos.gateway.middleware"
"""Group of entry points; each is a function ``build(options, context)``."""

Build: TypeAlias = Callable[[AnyMessage | None, Context], Middleware]


def create(message: Configured, /, *, context: Context) -> Middleware:
    """Make the middleware that a configuration names.

    One that cannot be made, and is not required, is logged, counted in
    ``go_gateway_failed_middleware_create``, and replaced by one that does nothing. Those that
    decide who is let in are always required.

    Args:
        message: Name, in any case, and options.
        context: What it is made with.

    Raises:
        ConfigError: It is required and cannot be made: nobody knows the name, or its options are
            wrong.
    """
    try:
        return made(message, context)
    except Exception as error:
        told = f"middleware {message.name!r}: {text_of(error)}"
        if is_required(message):
            raise ConfigError(told) from error
        counter = context.meter.counter(
            "go_gateway_failed_middleware_create",
            description="Middleware that could not be made",
            labels=("name", "required"),
        )
        counter.labels(message.name, "false").inc()
        context.logger.log(Level.ERROR, "a middleware is left out", {"error": told})
        return Plain(_through)


def made(message: Configured, context: Context) -> Middleware:
    """Make the middleware that a configuration names; whatever it raises is raised."""
    name = known_as(message)
    if not name:
        raise ConfigError("it has no name: write name: cors, for instance")
    build: Build = load(GROUP, name)
    return build(message.options if message.HasField("options") else None, context)


def text_of(error: Exception) -> str:
    """Return why something could not be made, in a line."""
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
