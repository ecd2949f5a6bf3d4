"""The filter for other origins, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import Cors, HttpServer, Request, StreamReply
from kratos_http.testing import OpenPeer

APP = "https://app.example.com"
EVIL = "https://evil.example.com"


def server_behind(cors: Cors) -> HttpServer:
    server = HttpServer("127.0.0.1:0", filters=[cors])

    @server.route("GET", "/whole")
    async def whole(_request: Request) -> Reply:
        return Reply(200, ((b"vary", b"accept"), (b"access-control-allow-origin", b"*")), b"a")

    @server.route("GET", "/stream", streamed=True)
    async def stream(_request: Request) -> StreamReply:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"

        return StreamReply(pieces=pieces())

    server.mount(Mount(services=()))
    return server


def preflight(origin: str, method: str = "PUT") -> list[tuple[str, str]]:
    return [("Origin", origin), ("Access-Control-Request-Method", method)]


@pytest.mark.parametrize("path", ["/whole", "/stream", "/nowhere"])
async def test_allowed_origin_may_read_every_answer(open_peer: OpenPeer, path: str) -> None:
    async with open_peer(server_behind(Cors([APP], expose=["X-Total"]))) as peer:
        answer = await peer.request("GET", path, headers=[("Origin", APP)])
    assert answer.values("access-control-allow-origin") == [APP]
    assert answer.header("access-control-expose-headers") == "X-Total"
    assert answer.header("access-control-allow-credentials") == ""
    assert "origin" in ",".join(answer.values("vary"))


@pytest.mark.parametrize("origin", [EVIL, "null", "https://app.example.com:444", APP.upper(), ""])
async def test_other_origin_is_not_named(open_peer: OpenPeer, origin: str) -> None:
    async with open_peer(server_behind(Cors([APP]))) as peer:
        answer = await peer.request("GET", "/stream", headers=[("Origin", origin)])
        asked = await peer.request("OPTIONS", "/whole", headers=preflight(origin))
    assert answer.status == 200
    for each in (answer, asked):
        assert not [name for name, _ in each.headers if name.startswith("access-control-")]
    assert "origin" in answer.header("vary")


async def test_answer_without_an_origin_varies_by_it(open_peer: OpenPeer) -> None:
    async with open_peer(server_behind(Cors([APP]))) as peer:
        answer = await peer.request("GET", "/stream")
    assert answer.header("vary") == "origin"
    assert answer.header("access-control-allow-origin") == ""


async def test_preflight_is_answered_for_paths_and_methods_of_services(
    open_peer: OpenPeer,
) -> None:
    cors = Cors([APP], methods=["GET", "PUT"], headers=["X-A", "X-B"], max_age=5)
    async with open_peer(server_behind(cors)) as peer:
        answer = await peer.request("OPTIONS", "/whole", headers=preflight(APP))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == APP
    assert answer.header("access-control-allow-methods") == "GET, PUT"
    assert answer.header("access-control-allow-headers") == "X-A, X-B"
    assert answer.header("access-control-max-age") == "5"
    assert "access-control-request-headers" in answer.header("vary")


async def test_options_that_is_no_preflight_reaches_the_application(open_peer: OpenPeer) -> None:
    async with open_peer(server_behind(Cors([APP]))) as peer:
        answer = await peer.request("OPTIONS", "/whole", headers=[("Origin", APP)])
    assert "GET" in answer.header("allow")
    assert answer.header("access-control-allow-origin") == APP


async def test_any_origin_is_a_star_that_varies_by_nothing(open_peer: OpenPeer) -> None:
    async with open_peer(server_behind(Cors(["*"], headers=["*"]))) as peer:
        answer = await peer.request("GET", "/stream", headers=[("Origin", EVIL)])
        asked = await peer.request("OPTIONS", "/stream", headers=preflight(EVIL))
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("vary") == ""
    assert asked.header("access-control-allow-headers") == "*"


async def test_credentials_are_allowed_to_an_origin_by_name(open_peer: OpenPeer) -> None:
    async with open_peer(server_behind(Cors([APP], credentials=True))) as peer:
        answer = await peer.request("GET", "/whole", headers=[("Origin", APP)])
        asked = await peer.request("OPTIONS", "/whole", headers=preflight(APP))
        other = await peer.request("GET", "/whole", headers=[("Origin", EVIL)])
    for each in (answer, asked):
        assert each.header("access-control-allow-origin") == APP
        assert each.header("access-control-allow-credentials") == "true"
    assert other.header("access-control-allow-credentials") == ""


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.example.com.evil.org", False),
        ("https://evil.org/https://a.example.com", False),
        ("https://a.example.com\n", False),
    ],
)
def test_pattern_matches_origins_from_end_to_end(origin: str, allowed: bool) -> None:
    cors = Cors(origin_regex=r"https://[a-z]+\.example\.com")
    assert cors.allows(origin.encode()) is allowed


async def test_several_origins_in_one_request_are_none(open_peer: OpenPeer) -> None:
    async with open_peer(server_behind(Cors([APP]))) as peer:
        answer = await peer.request("GET", "/stream", headers=[("Origin", APP), ("Origin", EVIL)])
    assert answer.header("access-control-allow-origin") == ""


@pytest.mark.parametrize(
    "options",
    [
        {"origins": "https://a"},
        {"origins": ["https://a/"]},
        {"origins": ["a.example.com"]},
        {"origins": ["https://A.example.com"]},
        {"origins": ["https://*.example.com"]},
        {"origins": ["*"], "credentials": True},
        {"origins": [APP], "credentials": True, "headers": ["*"]},
        {"origins": [APP], "credentials": True, "methods": ["*"]},
        {"origins": [APP], "credentials": True, "expose": ["*"]},
        {"origins": [APP], "headers": ["a b"]},
        {"origins": [APP], "methods": "GET"},
        {"origins": [APP], "max_age": -1},
        {"origin_regex": "("},
    ],
    ids=str,
)
def test_options_that_browsers_would_not_obey_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError):
        Cors(**options)
