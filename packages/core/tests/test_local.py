"""The in-process transport, held to the contract that every other transport follows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from kratos.middleware import AnyMiddleware
from kratos.testing.middleware_contract import MiddlewareContract, Served, Transport
from kratos.transport import ChainCaller, Service
from kratos.transport.local import LocalTransport


@dataclass
class _Served:
    caller: ChainCaller
    transport: LocalTransport

    async def drain(self, timeout: float, /) -> None:
        await self.transport.dispatcher.drain(timeout)


def opener(*, encode: bool) -> Transport:
    @asynccontextmanager
    async def serve(
        service: Service,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        timeouts: dict[str, float] | None = None,
    ) -> AsyncGenerator[Served]:
        transport = LocalTransport(
            service, middleware=middleware, timeout=None, timeouts=timeouts, encode=encode
        )
        caller = ChainCaller(
            transport.invoke, transport="local", middleware=client_middleware, timeout=None
        )
        yield _Served(caller, transport)

    return serve


class TestLocal(MiddlewareContract):
    @pytest.fixture(params=[False, True], ids=["by_reference", "encoded"])
    def transport(self, request: pytest.FixtureRequest) -> Transport:
        return opener(encode=request.param)
