"""What the asynchronous fixtures of the plug-in hand out, and take back at the end of a test."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self

from kratos.app import App
from kratos.client import Client
from kratos.testing.app import client_of, running
from kratos.testing.leaks import LeakCheck
from kratos.testing.service import serving
from kratos.transport import Service

__all__ = ["AppFixture", "ClientFixture", "Scope"]


class AppFixture(Protocol):
    """What ``kratos_app`` is."""

    async def __call__(self, app: App, /) -> App:
        """Run an application until the end of the test, and return when it serves."""
        ...


class ClientFixture(Protocol):
    """What ``kratos_client`` is."""

    async def __call__(self, served: App | Service, /, *more: Service, **options: Any) -> Client:
        """Return a client until the end of the test."""
        ...


class Scope:
    """Applications and clients of one test; an async context manager."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._check = LeakCheck()

    async def run(self, app: App, /) -> App:
        """Run an application until the end."""
        return await self._stack.enter_async_context(running(app))

    async def client(self, served: App | Service, /, *more: Service, **options: Any) -> Client:
        """Return a client until the end; see ``kratos_client``."""
        opening = (
            client_of(served, **options)
            if isinstance(served, App)
            else serving(served, *more, **options)
        )
        return await self._stack.enter_async_context(opening)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        await self._check.nothing_left()
