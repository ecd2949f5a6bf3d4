"""What tests of HTTP services are given."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.errors import StartupError, forbidden
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler
from kratos_http.testing import serving

JSON = ("content-type", "application/json")


async def refuse(call: Call, request: Any, next: Handler, /) -> Any:
    raise forbidden("NO_TOKEN", "say who you are")


async def test_request_passes_routing_codec_and_handler_without_a_socket() -> None:
    service = EchoService()
    async with serving(service) as peer:
        answer = await peer.request("POST", "/kratos.testing/echo", headers=[JSON], body=b'"ok"')
    assert (answer.status, answer.json()) == (200, "ok")
    assert answer.header("content-type") == "application/json"
    assert service.seen == ["ok"]


async def test_request_passes_the_chain_and_the_encoder_of_errors() -> None:
    async with serving(EchoService(), middleware=[refuse]) as peer:
        answer = await peer.request("POST", "/kratos.testing/echo", headers=[JSON], body=b'"ok"')
    assert (answer.status, answer.json()["reason"]) == (403, "NO_TOKEN")


async def test_unknown_path_is_answered_as_the_server_does() -> None:
    async with serving(EchoService()) as peer:
        assert (await peer.request("GET", "/nowhere")).status == 404


async def test_service_that_cannot_be_served_is_refused() -> None:
    wrong: Any = EchoService
    with pytest.raises(StartupError, match="is no service"):
        async with serving(wrong):
            pass
