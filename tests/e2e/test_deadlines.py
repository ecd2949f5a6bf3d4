"""The time of a call over two hops, whichever transports they are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, CallOptions, Client, Error, Service, detached, server_call
from kratos.errors import FieldViolation, bad_request
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.virtual_time import advance, run_still
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

MAKERS: dict[str, Any] = {"http": HttpServer, "grpc": GrpcServer}
ROUTES = [(first, second) for first in MAKERS for second in MAKERS]


class Asks(EchoService):
    """Notes how much time its calls have."""

    def __init__(self) -> None:
        super().__init__()
        self.had: list[float | None] = []

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        self.had.append(call.remaining())
        if request.value == "refuse":
            raise bad_request("INVALID").with_field_violations(FieldViolation("value", "refuse"))
        return request


class Relay(EchoService):
    """Uses up some seconds, then calls on, and asks once more aside."""

    def __init__(self, caller: Client, seconds: float) -> None:
        super().__init__()
        self._caller = caller
        self._seconds = seconds

    async def echo(self, request: StringValue, /) -> StringValue:
        advance(self._seconds)
        with detached():
            await self._caller.unary(ECHO, text("aside"))
        return await self._caller.unary(ECHO, request)


@asynccontextmanager
async def reaching(transport: str, service: Service) -> AsyncGenerator[Client]:
    """Serve without a time limit, with a client that has none."""
    server = MAKERS[transport]("127.0.0.1:0", timeout=None)
    async with (
        running(App(name="hop", services=[service], servers=[server], signals=())) as app,
        Client(app.endpoints[0], timeout=None) as caller,
    ):
        yield caller


@pytest.mark.parametrize(("first", "second"), ROUTES)
@pytest.mark.parametrize("timeout", [60.0, None])
def test_second_hop_has_what_the_first_one_left(
    first: str, second: str, timeout: float | None
) -> None:
    asks = Asks()

    async def run() -> None:
        async with (
            reaching(second, asks) as inner,
            reaching(first, Relay(inner, 36.0)) as outer,
        ):
            await outer.unary(ECHO, text("x"), CallOptions(timeout=timeout))

    run_still(run())
    aside, left = asks.had
    assert aside is None
    if timeout is None:
        assert left is None
    else:
        assert left is not None
        assert 0 < left <= 24.0


@pytest.mark.parametrize(("first", "second"), ROUTES)
def test_details_of_an_error_pass_two_hops(first: str, second: str) -> None:
    async def run() -> None:
        async with (
            reaching(second, Asks()) as inner,
            reaching(first, Relay(inner, 0.0)) as outer,
        ):
            await outer.unary(ECHO, text("refuse"))

    with pytest.raises(Error) as failure:
        run_still(run())
    assert failure.value.reason == "INVALID"
    assert failure.value.field_violations == (FieldViolation("value", "refuse"),)
