"""What Go Kratos' own tests hold over HTTP, where no other test here does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kratos.client import Client
from kratos.errors import Error
from kratos.selector import Node, NodeFilter, Outcome, OutcomeKind, Pick, RandomChoice
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Call, Handler, Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request
from kratos_http.replies import text_reply
from kratos_http.testing import OpenPeer, running


def plain_server() -> HttpServer:
    server = HttpServer("127.0.0.1:0")

    async def tell(request: Request) -> Reply:
        return text_reply(request.head.method)

    for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        server.route(verb, "/verb")(tell)
    server.route("*", "/any")(tell)

    async def fail(request: Request) -> Reply:
        raise Error(int(request.params["code"]), "AS_ASKED")

    server.route("GET", "/fail/{code}")(fail)
    server.mount(Mount(services=[EchoService()]))
    return server


@pytest.mark.parametrize("path", ["/verb", "/any"])
async def test_every_verb_reaches_its_handler(open_peer: OpenPeer, path: str) -> None:
    async with open_peer(plain_server()) as peer:
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            answer = await peer.request(verb, path)
            assert (answer.status, answer.body.decode()) == (200, verb)
        assert (await peer.request("HEAD", path)).status == 200


@pytest.mark.parametrize("code", [400, 418, 451, 499, 511, 599])
async def test_code_that_is_a_status_is_sent_whether_it_has_a_name_or_not(
    open_peer: OpenPeer, code: int
) -> None:
    async with open_peer(plain_server()) as peer:
        answer = await peer.request("GET", f"/fail/{code}")
    assert (answer.status, answer.json()["code"]) == (code, code)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/nothing", "application/json"),
        ("application/json", "application/json"),
        ("application/protojson", "application/protojson"),
        ("application/proto", "application/proto"),
        ("application/yaml", "application/yaml"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
    ],
)
async def test_bad_body_is_400_in_the_codec_that_is_accepted(
    open_peer: OpenPeer, accept: str, kind: str
) -> None:
    headers = [("Content-Type", "application/json")]
    headers += [("Accept", accept)] if accept else []
    async with open_peer(plain_server()) as peer:
        answer = await peer.request("POST", ECHO.http[0].path, headers=headers, body=b"{bad")
    assert (answer.status, answer.header("content-type")) == (400, kind)
    assert b"CODEC" in answer.body


class Recording:
    """A selector that keeps what it is told of calls that have ended."""

    def __init__(self) -> None:
        self.outcomes: list[OutcomeKind] = []
        self._inner = RandomChoice()

    def apply(self, nodes: Sequence[Node], /) -> None:
        self._inner.apply(nodes)

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        return _Picked(self, self._inner.select(call, filters=filters, avoid=avoid))


class _Picked:
    def __init__(self, recording: Recording, pick: Pick) -> None:
        self._recording = recording
        self._pick = pick

    @property
    def node(self) -> Node:
        return self._pick.node

    def done(self, outcome: Outcome, /) -> None:
        self._recording.outcomes.append(outcome.kind)
        self._pick.done(outcome)


@asynccontextmanager
async def echo(server: HttpServer, **options: Any) -> AsyncGenerator[Client]:
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport="http", **options) as client:
            yield client


async def test_stream_that_ends_well_is_a_success_and_reported_once() -> None:
    recording = Recording()
    async with echo(HttpServer("127.0.0.1:0"), selector=recording) as client:
        async with client.server_stream(WATCH, text("a b")) as replies:
            assert [reply.value async for reply in replies] == ["a", "b"]
        async with client.bidi_stream(CHAT) as chat:
            await chat.send(text("a"))
            await chat.end()
            assert [reply.value async for reply in chat] == ["a"]
        assert (await client.client_stream(COLLECT, [text("a"), text("b")])).value == "a b"
    assert recording.outcomes == [OutcomeKind.SUCCESS] * 3


async def test_end_may_be_said_again_and_nothing_can_be_sent_after_it() -> None:
    async with echo(HttpServer("127.0.0.1:0")) as client, client.bidi_stream(CHAT) as chat:
        await chat.send(text("a"))
        await chat.end()
        await chat.end()
        with pytest.raises(RuntimeError, match="end"):
            await chat.send(text("late"))
        assert [reply.value async for reply in chat] == ["a"]


async def test_header_of_client_middleware_goes_with_streams_of_every_kind() -> None:
    seen: list[str] = []

    async def mark(call: Call, request: Any, next: Handler, /) -> Any:
        call.headers.set("x-mark", call.method.name)
        return await next(call, request)

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.headers.get("x-mark"))
        return await next(call, request)

    async with echo(HttpServer("127.0.0.1:0", middleware=[note]), middleware=[mark]) as client:
        async with client.server_stream(WATCH, text("a")) as replies:
            assert [reply.value async for reply in replies] == ["a"]
        async with client.bidi_stream(CHAT) as chat:
            await chat.end()
            assert [reply async for reply in chat] == []
        await client.client_stream(COLLECT, [text("a")])
    assert seen == ["watch", "chat", "collect"]
