"""What contract suites of transports are given: a service that is served, and called."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kratos.middleware import AnyMiddleware
from kratos.transport import Caller, Service

__all__ = ["Served", "Transport"]


class Served(Protocol):
    """A service behind a transport, with a client at its other end."""

    @property
    def caller(self) -> Caller:
        """The client."""
        ...

    async def drain(self, timeout: float, /) -> None:
        """Stop the server's calls: wait ``timeout`` seconds, then cancel the rest."""
        ...


class Transport(Protocol):
    """How a suite opens one."""

    def __call__(
        self,
        service: Service,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        timeouts: dict[str, float] | None = None,
    ) -> AbstractAsyncContextManager[Served]:
        """Serve a service, without a default time limit on either side."""
        ...
