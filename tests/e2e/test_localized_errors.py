"""Errors in the language of the caller, over every transport."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from kratos import App, Client
from kratos.catalogue import Catalogue
from kratos.errors import Error
from kratos.middleware import AnyMiddleware, localize
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Call, CallOptions, Handler, Header
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

LocalizedMessage: Any = import_module("google.rpc.error_details_pb2").LocalizedMessage
CATALOGUE = Catalogue({"en": {"BUSY": "busy"}, "de": {"BUSY": "bitte sp\u00e4ter"}}, default="en")
GERMAN = CallOptions(headers={"Accept-Language": "fr, de-AT;q=0.5"})


def app(server: HttpServer | GrpcServer, *, replace: bool = False) -> App:
    return App(
        name="echo",
        services=[EchoService()],
        servers=[server],
        middleware=[localize(CATALOGUE, replace=replace)],
        signals=(),
    )


async def failure(
    server: HttpServer | GrpcServer, *middleware: AnyMiddleware, replace: bool = False
) -> Error:
    """Return the error that a client gets who speaks German."""
    async with (
        running(app(server, replace=replace)) as served,
        Client(served.endpoints[0], middleware=middleware) as client,
    ):
        with pytest.raises(Error) as raised:
            await client.unary(ECHO, text("fail"), GERMAN)
    return raised.value


@pytest.mark.parametrize("kind", [HttpServer, GrpcServer])
async def test_text_is_a_detail_of_the_error(kind: Any) -> None:
    error = await failure(kind("127.0.0.1:0"))
    assert (error.code, error.reason, error.message) == (409, "BUSY", "try later")
    told = error.detail(LocalizedMessage)
    assert told is not None
    assert (told.locale, told.message) == ("de", "bitte sp\u00e4ter")


@pytest.mark.parametrize("kind", [HttpServer, GrpcServer])
async def test_text_may_be_the_message(kind: Any) -> None:
    error = await failure(kind("127.0.0.1:0"), replace=True)
    assert error.message == "bitte sp\u00e4ter"


async def test_browser_is_told_which_language_it_got() -> None:
    seen: list[Header] = []

    async def look(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            seen.append(call.reply_headers)

    await failure(HttpServer("127.0.0.1:0"), look, replace=True)
    assert seen[0].get("content-language") == "de"
    assert "accept-language" in seen[0].values("vary")
