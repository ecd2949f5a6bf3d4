"""What the asynchronous fixtures of the plug-in hand out, and take back at the end of a test.

Tests that are type-checked take the types of the fixtures from here.
"""

from __future__ import annotations

import asyncio
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
        self._loop = asyncio.get_running_loop()

    async def run(self, app: App, /) -> App:
        """Run an application until the end."""
        self._require_loop()
        return await self._stack.enter_async_context(running(app))

    async def client(self, served: App | Service, /, *more: Service, **options: Any) -> Client:
        """Return a client until the end; see ``kratos_client``."""
        self._require_loop()
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

    def _require_loop(self) -> None:
        """Refuse what could not be stopped at the end.

        Raises:
            RuntimeError: The test runs in another loop than its fixtures.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "the test runs in another event loop than its fixtures, which stop at its end what "
                "it starts; let both have the same loop_scope"
            )
