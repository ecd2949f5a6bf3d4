"""The application as an ASGI application; what both engines share is tested elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from kratos.errors import Error
from kratos.middleware import outcome
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, Mount
from kratos.transport.cause import Cause
from kratos.transport.http import Endpoint, Head, Reply, Wire
from kratos_http import Asgi, HttpServer
from kratos_http.testing import AsgiPeer, SocketPeer, eventually

JSON = [("Content-Type", "application/json")]
TEXT = ((b"content-type", b"text/plain"),)

Event = MutableMapping[str, Any]


class Streams:
    """Echoes piece by piece; a path asks for something else."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.entered = asyncio.Event()

    def route(self, head: Head, /) -> Endpoint:
        return self

    async def converse(self, head: Head, wire: Wire, /) -> None:
        if head.path == b"/fail":
            raise RuntimeError("an inner secret")
        wire.start(200, TEXT)
        with pytest.raises(RuntimeError, match="begun already"):
            wire.start(200, TEXT)
        if head.path == b"/unfinished":
            return
        if head.path == b"/reset":
            wire.reset(Cause.DEADLINE)
            return
        self.entered.set()
        try:
            while piece := await wire.read():
                await wire.write(piece)
            if head.path == b"/hang":
                await asyncio.get_running_loop().create_future()
        except BaseException as error:
            self.errors.append(error)
            raise
        await wire.finish(((b"x-sum", b"1"),))


async def test_pieces_are_streamed() -> None:
    peer = AsgiPeer(Asgi(Streams()), trailers=True)
    answer = await peer.request("POST", "/", pieces=[b"ab", b"", b"cd" * 50_000, b"e"])
    assert answer.body == b"ab" + b"cd" * 50_000 + b"e"
    assert answer.trailers == [("x-sum", "1")]


async def test_trailers_are_left_out_where_the_server_cannot_send_them() -> None:
    answer = await AsgiPeer(Asgi(Streams())).request("POST", "/", body=b"ab")
    assert (answer.body, answer.trailers) == (b"ab", [])


async def test_failure_before_the_answer_is_500(caplog: pytest.LogCaptureFixture) -> None:
    answer = await AsgiPeer(Asgi(Streams())).request("GET", "/fail")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "an inner secret" in caplog.text


async def test_unfinished_answer_ends_with_an_exception() -> None:
    with pytest.raises(RuntimeError, match="not finished"):
        await AsgiPeer(Asgi(Streams())).request("GET", "/unfinished")


async def test_reset_gives_no_whole_answer() -> None:
    with pytest.raises(ConnectionError):
        await AsgiPeer(Asgi(Streams())).request("GET", "/reset")


async def test_disconnect_cancels_a_stream() -> None:
    app = Streams()
    peer = AsgiPeer(Asgi(app))
    asking = asyncio.ensure_future(peer.request("GET", "/hang"))
    await app.entered.wait()
    peer.gone.set()
    with pytest.raises(ConnectionError):
        await asking
    assert [type(error) for error in app.errors] == [asyncio.CancelledError]


async def test_disconnect_cancels_a_call_with_its_cause() -> None:
    ends: list[str] = []
    service = EchoService()

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except BaseException as error:
            ends.append(outcome(call, error).reason)
            raise

    server = HttpServer(middleware=[note])
    server.mount(Mount(services=[service]))
    peer = AsgiPeer(Asgi(server.application))
    asking = asyncio.ensure_future(
        peer.request("POST", "/kratos.testing/echo", headers=JSON, body=b'"hang"')
    )
    await service.entered.wait()
    peer.gone.set()
    with pytest.raises(ConnectionError):
        await asking
    assert ends == ["CLIENT_CLOSED"]


async def test_cancellation_of_the_servers_own_passes() -> None:
    app = Streams()
    asking = asyncio.ensure_future(AsgiPeer(Asgi(app)).request("GET", "/hang"))
    await app.entered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_disconnect_within_a_body_calls_nothing() -> None:
    service = EchoService()
    server = HttpServer()
    server.mount(Mount(services=[service]))
    sent: list[Event] = []
    coming: list[Event] = [
        {"type": "http.request", "body": b'"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Event:
        return coming.pop(0)

    async def send(event: Event) -> None:
        sent.append(event)

    await Asgi(server.application)(_scope("/kratos.testing/echo"), receive, send)
    assert (sent, service.seen) == ([], [])


@pytest.mark.parametrize("path", ["/api/files/a%2Fb", "/api"])
async def test_root_path_is_taken_away(path: str) -> None:
    paths: list[bytes] = []

    class Note:
        max_body = 0

        def route(self, head: Head, /) -> Endpoint:
            paths.append(head.path)
            return self

        async def answer(self, head: Head, body: bytes, /) -> Reply:
            return Reply(204)

    app = Asgi(Note())
    scope = {**_scope(path), "root_path": "/api", "raw_path": path.encode()}
    await app(scope, _nothing_more, _drop)
    assert paths == [path.encode().removeprefix(b"/api") or b"/"]


async def test_path_is_encoded_again_where_the_raw_one_is_missing() -> None:
    heads: list[Head] = []

    class Note:
        def route(self, head: Head, /) -> Endpoint:
            heads.append(head)
            return self

        async def talk(self, head: Head, socket: object, /) -> None:
            raise AssertionError("not reached")

    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)

    scope = {**_scope("/düne x"), "client": ("::1", 7), "scheme": "https"}
    await Asgi(Note())(scope, _nothing_more, send)
    assert heads[0].path == b"/d%C3%BCne%20x"
    assert (heads[0].peer, heads[0].tls) == ("[::1]:7", True)
    assert sent[0]["status"] == 400


async def test_uvicorn_serves_the_application() -> None:
    server = HttpServer()
    server.mount(Mount(services=[EchoService()]))
    config = uvicorn.Config(Asgi(server.application), log_config=None, lifespan="on")
    host = uvicorn.Server(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        serving = asyncio.ensure_future(host.serve(sockets=[sock]))
        await eventually(lambda: host.started)
        peer = await SocketPeer.connect("127.0.0.1", sock.getsockname()[1])
        echoed = await peer.request("POST", "/kratos.testing/echo", headers=JSON, body=b'"ok"')
        nowhere = await peer.request("HEAD", "/nowhere")
        await peer.aclose()
        host.should_exit = True
        await serving
    assert echoed.json() == "ok"
    assert (nowhere.status, nowhere.body) == (404, b"")


async def test_lifespan_is_entered_and_left() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        events.append("entered")
        yield
        events.append("left")

    sent = await _live(Asgi(Streams(), lifespan=lifespan))
    assert events == ["entered", "left"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_lifespan_without_one_is_answered() -> None:
    sent = await _live(Asgi(Streams()))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("when", ["startup", "shutdown"])
async def test_failing_lifespan_is_told(when: str, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        if when == "startup":
            raise Error(503, "DOWN", "no data base")
        yield
        raise Error(503, "DOWN", "no data base")

    sent = await _live(Asgi(Streams(), lifespan=lifespan))
    assert sent[-1] == f"lifespan.{when}.failed"
    assert "no data base" in caplog.text


@pytest.mark.parametrize("extended", [True, False])
async def test_websocket_that_leads_nowhere_is_refused_cleanly(extended: bool) -> None:
    sent: list[Event] = []
    coming = [{"type": "websocket.connect"}]

    async def receive() -> Event:
        return coming.pop()

    async def send(event: Event) -> None:
        sent.append(event)

    extensions: dict[str, object] = {"websocket.http.response": {}} if extended else {}
    scope = {**_scope("/"), "type": "websocket", "scheme": "ws", "extensions": extensions}
    await Asgi(Streams())(scope, receive, send)
    if extended:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 404)
    else:
        assert [event["type"] for event in sent] == ["websocket.close"]


async def test_unknown_scope_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="'odd'"):
        await Asgi(Streams())({"type": "odd"}, _nothing_more, _drop)


async def _live(app: Asgi) -> list[str]:
    sent: list[str] = []

    async def receive() -> Event:
        return {"type": "lifespan"}

    async def send(event: Event) -> None:
        sent.append(event["type"])

    await app({"type": "lifespan"}, receive, send)
    return sent


async def _nothing_more() -> Event:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _drop(event: Event) -> None:
    """Take an event and do nothing."""


def _scope(path: str) -> Event:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"Host", b"h"), (b"Content-Type", b"application/json")],
    }
