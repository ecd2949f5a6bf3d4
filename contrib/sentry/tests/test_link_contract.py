"""The contract of single middlewares, with sentry_sdk at work and without."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import pytest
import sentry_sdk

from kratos.errors import Error
from kratos.middleware import AnyMiddleware
from kratos.testing._guard import call_words
from kratos.testing.echo import EchoService
from kratos.testing.link_contract import LinkContract, Make
from kratos.testing.service import serving
from kratos.transport import Call, Handler, Method, Side
from kratos_sentry import server


class TestWithoutSentry(LinkContract):
    @pytest.fixture
    def make(self) -> Make:
        return server


class TestServer(LinkContract):
    @pytest.fixture
    def make(self, sent: Any) -> Make:
        return server

    async def test_context_is_as_it_was_after_the_call(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        """In a context without scopes, sentry_sdk leaves the ones that it begins with."""
        leaked: list[str] = []

        async def probe(call: Call, request: Any, next: Handler, /) -> Any:
            sentry_sdk.get_current_scope()
            sentry_sdk.get_isolation_scope()
            before = dict(copy_context().items())
            try:
                return await next(call, request)
            finally:
                after = dict(copy_context().items())
                leaked.extend(
                    variable.name
                    for variable in before.keys() | after.keys()
                    if before.get(variable) is not after.get(variable)
                )

        chain: list[AnyMiddleware] = [probe, make()]
        none: list[AnyMiddleware] = []
        ways = (chain, none) if side is Side.SERVER else (none, chain)
        service = EchoService()
        async with serving(service, middleware=ways[0], client_middleware=ways[1]) as caller:
            for word in ("a", "fail", "crash"):
                try:
                    await call_words(caller, method, word)
                except Error:
                    assert word != "a"
        assert leaked == []
