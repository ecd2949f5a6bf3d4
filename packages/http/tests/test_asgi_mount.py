"""ASGI applications within a server, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from kratos.errors import StartupError
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_http import Asgi, Cors, HttpServer, Limits
from kratos_http._asgi_wire import Event, Receive, Send
from kratos_http.testing import AsgiPeer, OpenPeer, SocketPeer, running


def mounting(application: Any, path: str = "/old", **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount_asgi(path, application)
    server.mount(Mount(services=[EchoService()]))
    return server


async def show(scope: Event, receive: Receive, send: Send) -> None:
    """Answer with the scope and the body; knows no lifespan."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body, more = b"", True
    while more:
        event = await receive()
        body += event["body"]
        more = event["more_body"]
    shown = [scope[key] for key in ("method", "path", "raw_path", "root_path", "query_string")]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"X-A", b"1")]})
    await send({"type": "http.response.body", "body": f"{shown} {body!r}".encode()})


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND"])
async def test_application_gets_the_request_and_gives_the_answer(
    open_peer: OpenPeer, method: str
) -> None:
    async with open_peer(mounting(show, path_prefix="/api")) as peer:
        answer = await peer.request(method, "/api/old/a%20b/?q=1", body=b"body")
    assert (answer.status, answer.header("x-a")) == (201, "1")
    expected = [method, "/api/old/a b/", b"/api/old/a%20b/", "/api/old", b"q=1"]
    assert answer.body.decode() == f"{expected} b'body'"
    assert answer.header("content-length") == str(len(answer.body))


async def test_head_has_no_body_and_its_length(open_peer: OpenPeer) -> None:
    async with open_peer(mounting(show)) as peer:
        answer = await peer.request("HEAD", "/old")
        assert (answer.status, answer.body) == (201, b"")
        assert (await peer.request("GET", "/old")).status == 201


async def test_services_go_before_an_application_for_all_the_rest(open_peer: OpenPeer) -> None:
    async with open_peer(mounting(show, "/")) as peer:
        headers = [("Content-Type", "application/json")]
        service = await peer.request("POST", "/kratos.testing/echo", headers=headers, body=b'"a"')
        other = await peer.request("GET", "/whatever")
    assert (service.body, other.status) == (b'"a"', 201)


async def test_filters_are_around_the_application(open_peer: OpenPeer) -> None:
    cors = Cors(["https://app.example.com"])
    async with open_peer(mounting(show, filters=[cors])) as peer:
        origin = ("Origin", "https://app.example.com")
        answer = await peer.request("GET", "/old", headers=[origin])
    assert answer.header("access-control-allow-origin") == "https://app.example.com"


async def test_body_beyond_the_limit_is_refused(open_peer: OpenPeer) -> None:
    async with open_peer(mounting(show, limits=Limits(max_body=3))) as peer:
        assert (await peer.request("POST", "/old", body=b"abc")).status == 201
        with_more = await peer.request("POST", "/old", body=b"abcd")
    assert with_more.status == 413


async def fails_at_once(scope: Event, receive: Receive, send: Send) -> None:
    raise KeyError("secret")


async def says_nothing(scope: Event, receive: Receive, send: Send) -> None:
    return


async def stops_midway(scope: Event, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})


async def fails_midway(scope: Event, receive: Receive, send: Send) -> None:
    await stops_midway(scope, receive, send)
    raise KeyError("secret")


async def breaks_the_protocol(scope: Event, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body", "body": b"a"})


@pytest.mark.parametrize("application", [fails_at_once, says_nothing, breaks_the_protocol])
async def test_application_without_an_answer_is_an_error_of_the_server(
    open_peer: OpenPeer, application: Any
) -> None:
    server = HttpServer("127.0.0.1:0")
    server.mount_asgi("/old", application)
    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        answer = await peer.request("GET", "/old")
    assert answer.status == 500
    assert b"secret" not in answer.body


@pytest.mark.parametrize("application", [stops_midway, fails_midway])
async def test_answer_that_is_not_ended_is_broken_off(
    open_peer: OpenPeer, application: Any
) -> None:
    async with open_peer(mounting(application)) as peer:
        with pytest.raises(ConnectionError):
            await peer.request("GET", "/old")


async def test_peer_that_goes_away_cancels_the_application() -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def waits(scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with running(mounting(waits)) as server:
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        await peer.send(b"GET /old HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(entered.wait(), 10)
        peer.reset()
        await asyncio.wait_for(left.wait(), 10)
        await peer.aclose()


class Working:
    """An application that goes on working when it has answered."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.released = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})
        self.entered.set()
        await self.released.wait()
        self.done.set()


async def test_peer_that_has_the_whole_answer_may_go_while_the_application_works_on() -> None:
    working = Working()
    async with running(mounting(working)) as server:
        (url,) = await server.bind()
        port = int(url.rpartition(":")[2])
        peer = await SocketPeer.connect("127.0.0.1", port)
        other = await SocketPeer.connect("127.0.0.1", port)
        assert (await peer.request("GET", "/old")).body == b"whole"
        peer.reset()
        for _ in range(2):  # by then the server knows that it has gone
            assert (await other.request("GET", "/none")).status == 404
        working.released.set()
        await asyncio.wait_for(working.done.wait(), 10)
        await peer.aclose()
        await other.aclose()


async def test_end_of_an_answer_on_an_asgi_server_cancels_no_work_after_it() -> None:
    working = Working()
    peer = AsgiPeer(Asgi(mounting(working).application))
    asking = asyncio.ensure_future(peer.request("GET", "/old"))
    await asyncio.wait_for(working.entered.wait(), 10)
    peer.gone.set()  # so uvicorn says after each answer
    for _ in range(10):  # turns of the loop, in which a cancellation would come
        await asyncio.sleep(0)
    working.released.set()
    assert (await asking).body == b"whole"
    assert working.done.is_set()


async def test_lifespan_is_that_of_the_server_and_its_state_reaches_requests() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[dict[str, str]]:
        seen.append("started")
        yield {"word": "hello"}
        seen.append("stopped")

    async def home(request: StarletteRequest) -> Response:
        return JSONResponse({"word": request.state.word, "url": str(request.url.path)})

    application = Starlette(routes=[Route("/home", home)], lifespan=lifespan)
    async with running(mounting(application)) as server:
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        answer = await peer.request("GET", "/old/home")
        await peer.aclose()
        assert seen == ["started"]
    assert answer.json() == {"word": "hello", "url": "/old/home"}
    assert seen == ["started", "stopped"]


async def has_no_database(scope: Event, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def test_application_that_cannot_start_stops_the_server() -> None:
    with pytest.raises(StartupError, match="no database"):
        await mounting(has_no_database).start()


async def test_asgi_server_starts_what_is_mounted() -> None:
    seen: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        for phase in ("startup", "shutdown"):
            seen.append((await receive())["type"])
            await send({"type": f"lifespan.{phase}.complete"})

    async def receive() -> Event:
        return {"type": "lifespan"}

    async def send(event: Event) -> None:
        seen.append(f"outer {event['type']}")

    server = mounting(application)
    asgi = Asgi(server.application, lifespan=server.lifespan)
    await asgi({"type": "lifespan"}, receive, send)
    assert seen == [
        "lifespan.startup",
        "outer lifespan.startup.complete",
        "lifespan.shutdown",
        "outer lifespan.shutdown.complete",
    ]


async def test_application_that_does_not_shut_down_well_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "no flush"})

    async with mounting(application).lifespan():
        pass
    assert "no flush" in caplog.text


async def test_starlette_reads_bodies_and_streams_answers(open_peer: OpenPeer) -> None:
    async def upper(request: StarletteRequest) -> Response:
        body = await request.body()

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 10_000):
                yield body[start : start + 10_000].upper()

        return StreamingResponse(pieces())

    async def missing(_request: StarletteRequest) -> Response:
        return PlainTextResponse("no", status_code=404)

    routes = [Route("/upper", upper, methods=["POST"]), Route("/missing", missing)]
    async with open_peer(mounting(Starlette(routes=routes))) as peer:
        answer = await peer.request("POST", "/old/upper", body=b"abc" * 50_000)
        none = await peer.request("GET", "/old/missing")
    assert answer.body == b"ABC" * 50_000
    assert (none.status, none.body) == (404, b"no")
