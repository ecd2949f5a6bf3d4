"""Middleware that is one function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Handler

__all__ = ["Plain", "Wrap"]

Wrap: TypeAlias = Callable[[Handler, Endpoint], Handler]


async def _nothing() -> None:
    """Do nothing."""


class Plain:
    """A middleware made of a function.

    Args:
        wrap: Returns the handler around another one, for an endpoint.
        close: Gives back what it holds; called once.
    """

    def __init__(self, wrap: Wrap, *, close: Callable[[], Awaitable[None]] = _nothing) -> None:
        self._wrap: Final = wrap
        self._close = close

    def wrap(self, handler: Handler, endpoint: Endpoint, /) -> Handler:
        """Return the handler around another one."""
        return self._wrap(handler, endpoint)

    async def aclose(self) -> None:
        """Give back what it holds. Idempotent."""
        close, self._close = self._close, _nothing
        await close()
