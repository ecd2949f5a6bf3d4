"""Which middleware nothing is served without."""

from __future__ import annotations

from typing import Final

from kratos_gateway.api.gateway_pb2 import Middleware

__all__ = ["is_required", "known_as"]

# They decide who is let in. Go's gateway has none of them, so that no configuration of its relies
# on their being left out where they cannot be made, which would let everybody in.
_GUARDS: Final = frozenset(("basicauth", "extauth", "ipfilter", "jwt", "keyauth"))


def known_as(middleware: Middleware, /) -> str:
    """Return the name that a middleware is installed under."""
    return middleware.name.strip().lower()


def is_required(middleware: Middleware, /) -> bool:
    """Tell whether a middleware must not be left out: it says so, or it decides who is let in."""
    return middleware.required or known_as(middleware) in _GUARDS
