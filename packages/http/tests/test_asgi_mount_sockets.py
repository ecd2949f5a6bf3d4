"""WebSockets into ASGI applications within a server, and middleware around these."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kratos.errors import Error
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, Mount
from kratos_http import Asgi, Compression, Cors, Decompression, HttpServer
from kratos_http._asgi_wire import Event, Receive, Send
from kratos_http.sessions import CookieSessions, current_session
from kratos_http.testing import HANDSHAKE, Answer, SocketPeer, frame, next_frame, socket_peer

TEXT, BINARY, CLOSE = 1, 2, 8


def mounting(application: Any, *, around: Any = None, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount_asgi("/old", application, middleware=around)
    server.mount(Mount(services=[EchoService()]))
    return server


async def opened(peer: SocketPeer, target: str, *more: tuple[str, str]) -> Answer:
    return await peer.request("GET", target, headers=[*HANDSHAKE, *more])


async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
    await socket.send_json([socket.url.path, dict(socket.query_params)])
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "bye":
            await socket.close(4000, "as you like")
            return
        await socket.send({**message, "type": "websocket.send"})


async def page(_request: StarletteRequest) -> Response:
    return PlainTextResponse("page")


ECHO = Starlette(routes=[WebSocketRoute("/echo", echo), Route("/echo", page)])


async def test_application_talks_over_a_websocket() -> None:
    async with socket_peer(mounting(ECHO, path_prefix="/api")) as peer:
        answer = await opened(peer, "/api/old/echo?a=1", ("Sec-WebSocket-Protocol", "x, y"))
        assert (answer.status, answer.header("sec-websocket-protocol")) == (101, "x")
        assert await next_frame(peer) == (TEXT, b'["/api/old/echo",{"a":"1"}]')
        await peer.send(frame(TEXT, b"hi") + frame(BINARY, b"\x00\xff"))
        assert await next_frame(peer) == (TEXT, b"hi")
        assert await next_frame(peer) == (BINARY, b"\x00\xff")
        await peer.send(frame(TEXT, b"bye"))
        code = (4000).to_bytes(2, "big")
        assert await next_frame(peer) == (CLOSE, code + b"as you like")


async def test_same_path_serves_requests_and_websockets() -> None:
    async with socket_peer(mounting(ECHO)) as peer:
        assert (await peer.request("GET", "/old/echo")).body == b"page"
        assert (await opened(peer, "/old/echo")).status == 101


@pytest.mark.parametrize("wrap", [Compression(), Decompression(), Cors(["https://a.example"])])
async def test_filters_let_websockets_pass(wrap: Any) -> None:
    async with socket_peer(mounting(ECHO, filters=[wrap])) as peer:
        assert (await opened(peer, "/old/echo")).status == 101


async def test_handshake_that_is_none_is_refused_before_the_application() -> None:
    async with socket_peer(mounting(ECHO)) as peer:
        headers = [pair for pair in HANDSHAKE if not pair[0].endswith("-Key")]
        answer = await peer.request("GET", "/old/echo", headers=headers)
    assert (answer.status, answer.json()["reason"]) == (400, "BAD_REQUEST")


async def denies(socket: WebSocket) -> None:
    await socket.close()


async def explains(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("too early", status_code=425))


@pytest.mark.parametrize(("endpoint", "status"), [(denies, 403), (explains, 425)])
async def test_application_refuses_the_handshake(endpoint: Any, status: int) -> None:
    application = Starlette(routes=[WebSocketRoute("/", endpoint)])
    async with socket_peer(mounting(application)) as peer:
        answer = await opened(peer, "/old/")
    assert answer.status == status
    assert status == 403 or answer.body == b"too early"


async def test_peer_that_closes_is_told_to_the_application() -> None:
    ended = asyncio.get_running_loop().create_future()

    async def waits(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive_text()
        except WebSocketDisconnect as error:
            ended.set_result(error.code)

    application = Starlette(routes=[WebSocketRoute("/", waits)])
    async with socket_peer(mounting(application)) as peer:
        assert (await opened(peer, "/old/")).status == 101
        await peer.send(frame(CLOSE, (4001).to_bytes(2, "big")))
        assert await asyncio.wait_for(ended, 10) == 4001


@pytest.mark.parametrize("around", [None, ()])
async def test_peer_that_is_lost_is_told_to_the_application(around: Any) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def waits(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive_text()
        except WebSocketDisconnect as error:
            ended.set_result(error.code)

    application = Starlette(routes=[WebSocketRoute("/", waits)])
    async with socket_peer(mounting(application, around=around)) as peer:
        assert (await opened(peer, "/old/")).status == 101
        peer.reset()
        assert await asyncio.wait_for(ended, 10) == 1006


@pytest.mark.parametrize("around", [None, ()])
async def test_application_that_does_not_leave_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, around: Any
) -> None:
    monkeypatch.setattr("kratos_http._asgi_talk._LEAVING", 0.01)
    left = asyncio.Event()

    async def waits(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    application = Starlette(routes=[WebSocketRoute("/", waits)])
    async with socket_peer(mounting(application, around=around)) as peer:
        assert (await opened(peer, "/old/")).status == 101
        peer.reset()
        await asyncio.wait_for(left.wait(), 10)


async def says_nothing(scope: Event, receive: Receive, send: Send) -> None:
    return


async def fails(scope: Event, receive: Receive, send: Send) -> None:
    raise KeyError("secret")


async def sends_too_early(scope: Event, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.send", "text": "a"})


async def answers_twice(scope: Event, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 200, "headers": []})
    await send({"type": "websocket.accept"})


@pytest.mark.parametrize("around", [None, ()])
@pytest.mark.parametrize("application", [says_nothing, fails, sends_too_early, answers_twice])
async def test_application_without_an_answer_is_an_error_of_the_server(
    application: Any, around: Any
) -> None:
    async with socket_peer(mounting(application, around=around)) as peer:
        answer = await opened(peer, "/old/")
    assert answer.status == 500
    assert b"secret" not in answer.body


async def test_application_that_fails_later_breaks_the_connection_off() -> None:
    async def breaks(socket: WebSocket) -> None:
        await socket.accept()
        raise KeyError("secret")

    application = Starlette(routes=[WebSocketRoute("/", breaks)])
    for around in (None, ()):
        async with socket_peer(mounting(application, around=around)) as peer:
            assert (await opened(peer, "/old/")).status == 101
            assert b"secret" not in await peer.rest()


async def test_application_that_returns_closes_the_socket() -> None:
    async def accepts(socket: WebSocket) -> None:
        await socket.accept()

    application = Starlette(routes=[WebSocketRoute("/", accepts)])
    async with socket_peer(mounting(application)) as peer:
        assert (await opened(peer, "/old/")).status == 101
        assert await next_frame(peer) == (CLOSE, (1000).to_bytes(2, "big"))


async def asgi_socket(server: HttpServer, headers: Any) -> list[Event]:
    """Open a WebSocket as an ASGI server does, and say bye."""
    sent: list[Event] = []
    coming: list[Event] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "bye"},
    ]

    async def receive() -> Event:
        if coming:
            return coming.pop(0)
        await asyncio.Event().wait()
        return {}

    async def send(event: Event) -> None:
        sent.append(event)

    scope: Event = {
        "type": "websocket",
        "http_version": "2",
        "scheme": "ws",
        "path": "/old/echo",
        "raw_path": b"/old/echo",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "extensions": {},
    }
    await Asgi(server.application)(scope, receive, send)
    return sent


async def test_websocket_passes_through_an_asgi_server() -> None:
    sent = await asgi_socket(mounting(ECHO), [(b"host", b"test")])
    assert [event["type"].rpartition(".")[2] for event in sent] == ["accept", "send", "close"]
    assert (sent[-1]["code"], sent[-1]["reason"]) == (4000, "as you like")


async def test_middleware_is_around_requests_and_websockets() -> None:
    seen: list[str] = []

    async def note(call: Call, request: Any, next: Handler) -> Any:
        seen.append(f"{call.method.operation} {request.params['path']} begins")
        call.reply_headers.set("x-by", "chain")
        try:
            return await next(call, request)
        finally:
            seen.append("ends")

    async with socket_peer(mounting(ECHO, around=[note])) as peer:
        assert (await peer.request("GET", "/old/echo")).header("x-by") == "chain"
        answer = await opened(peer, "/old/echo")
        assert (answer.status, answer.header("x-by")) == (101, "chain")
        await next_frame(peer)
        assert seen[2:] == ["/old/{path=**} echo begins"]
        await peer.send(frame(TEXT, b"bye"))
        await next_frame(peer)
        await peer.send(frame(CLOSE, (4000).to_bytes(2, "big")))
        await peer.rest()
    assert seen == ["/old/{path=**} echo begins", "ends"] * 2


@pytest.mark.parametrize("call", ["request", "socket"])
async def test_middleware_refuses_with_its_status(call: str) -> None:
    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        raise Error(401, "UNAUTHORIZED", "who are you?")

    async with socket_peer(mounting(ECHO, around=[refuse])) as peer:
        socket = call == "socket"
        answer = await (opened(peer, "/old/echo") if socket else peer.request("GET", "/old/echo"))
    assert (answer.status, answer.json()["reason"]) == (401, "UNAUTHORIZED")


async def test_session_is_there_in_the_application_and_its_cookie_goes_out() -> None:
    async def count(_request: StarletteRequest) -> Response:
        current_session()["n"] = current_session().get("n", 0) + 1
        return PlainTextResponse(str(current_session()["n"]))

    async def greet(socket: WebSocket) -> None:
        current_session()["n"] = 7
        await socket.accept()
        await socket.close()

    routes = [Route("/count", count), WebSocketRoute("/greet", greet)]
    sessions = [CookieSessions(["k" * 32])]
    async with socket_peer(mounting(Starlette(routes=routes), around=sessions)) as peer:
        first = await peer.request("GET", "/old/count")
        cookie = first.header("set-cookie").partition(";")[0]
        again = await peer.request("GET", "/old/count", headers=[("Cookie", cookie)])
        greeted = await opened(peer, "/old/greet")
    assert (first.body, again.body) == (b"1", b"2")
    assert greeted.header("set-cookie").startswith("__Host-session=")
