"""Tokens and streams: expiry while one is open, and handshakes of browsers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from tests.auth.opening import Open

from kratos.errors import Error
from kratos.middleware import authorize, scopes
from kratos.testing._guard import call_words, until
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ALL, CHAT, COLLECT, WATCH, EchoService
from kratos.transport import Method, Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request
from kratos_http.testing import HANDSHAKE, socket_peer
from kratos_jwt import Key, bearer, client, cookie, current_claims, server, sign, subprotocol

KEY = Key.from_secret("a secret of the tests, long enough for all of them")
GOOD = sign(KEY, {"sub": "ada"})


@pytest.mark.parametrize("method", [COLLECT, WATCH, CHAT])
async def test_open_stream_ends_with_its_token(opened: Open, method: Method[Any, Any]) -> None:
    clock, service = FakeClock(), EchoService()
    async with opened(
        service,
        middleware=[server(KEY, end_streams=True, clock=clock)],
        client_middleware=[client(KEY, lifetime=60, clock=clock)],
    ) as caller:
        call = asyncio.ensure_future(call_words(caller, method, "hang"))
        await service.entered.wait()
        await clock.advance(60)
        with pytest.raises(Error) as ending:
            await call
        assert (ending.value.code, ending.value.reason) == (401, "UNAUTHORIZED")
        assert ending.value.message == "JWT token has expired"
        await until(lambda: service.interrupted == 1 and not clock.sleepers)


@pytest.mark.parametrize("method", ALL)
async def test_rules_see_who_calls(opened: Open, method: Method[Any, Any]) -> None:
    service = EchoService()
    scope = ["orders:write"]
    async with opened(
        service,
        middleware=[server(KEY), authorize(scopes("orders:read"))],
        client_middleware=[client(KEY, claims=lambda: {"scope": scope[0]})],
    ) as caller:
        with pytest.raises(Error) as refusal:
            await call_words(caller, method, "ok")
        assert (refusal.value.code, refusal.value.reason) == (403, "FORBIDDEN")
        assert service.seen == []
        scope[0] = "orders:read"
        assert await call_words(caller, method, "ok") == ["ok"]


class Subject(EchoService):
    async def _answer(self, request: StringValue) -> StringValue:
        return StringValue(value=current_claims()["sub"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {GOOD}"},
        {"Cookie": f"token={GOOD}"},
        {"Sec-WebSocket-Protocol": f"kratos.stream.v1, kratos.bearer.{GOOD}"},
    ],
    ids=["header", "cookie", "protocol"],
)
async def test_websocket_of_a_browser_brings_its_token(headers: dict[str, str]) -> None:
    web = HttpServer("127.0.0.1:0", middleware=[browsers()])
    web.mount(Mount(services=[Subject()]))
    async with socket_peer(web) as peer:
        given = [*HANDSHAKE, *headers.items()]
        answer = await peer.request("GET", "/kratos.testing/chat", headers=given)
        assert answer.status == 101
        assert answer.header("sec-websocket-protocol") in ("", "kratos.stream.v1")
        assert GOOD not in str(answer.headers)


async def test_websocket_without_a_token_is_refused_before_it_opens() -> None:
    web = HttpServer("127.0.0.1:0", middleware=[browsers()])
    web.mount(Mount(services=[Subject()]))
    async with socket_peer(web) as peer:
        answer = await peer.request("GET", "/kratos.testing/chat", headers=HANDSHAKE)
        assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
        assert answer.json()["message"] == "JWT token is missing"


async def test_mounted_application_is_behind_the_token_too() -> None:
    entered: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        entered.append(current_claims()["sub"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    web = HttpServer("127.0.0.1:0", middleware=[browsers()])
    web.mount_asgi("/app", application, middleware=())
    web.mount(Mount(services=()))
    async with socket_peer(web) as peer:
        answer = await peer.request("GET", "/app/x")
        assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
        given = [("Authorization", f"Bearer {GOOD}")]
        assert (await peer.request("GET", "/app/x", headers=given)).status == 204
    assert entered == ["ada"]


async def test_plain_handler_is_behind_the_token_too() -> None:
    web = HttpServer("127.0.0.1:0", middleware=[browsers()])

    @web.route("GET", "/me")
    async def me(_request: Request) -> Reply:
        return Reply(200, body=current_claims()["sub"].encode())

    web.mount(Mount(services=()))
    async with socket_peer(web) as peer:
        answer = await peer.request("GET", "/me")
        assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
        answer = await peer.request("GET", "/me", headers=[("Cookie", f"token={GOOD}")])
        assert (answer.status, answer.body) == (200, b"ada")


def browsers() -> Any:
    return server(KEY, required=(), sources=[bearer(), cookie("token"), subprotocol()])
