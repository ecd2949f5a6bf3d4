"""Middleware of the gateway, by the name that configuration calls it."""

from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain, Wrap
from kratos_gateway.middleware.refusal import refuse
from kratos_gateway.middleware.registry import GROUP, create

__all__ = [
    "GROUP",
    "Context",
    "Plain",
    "Upstream",
    "Wrap",
    "create",
    "options_of",
    "refuse",
    "seconds_of",
]
