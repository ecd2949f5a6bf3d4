"""Plain handlers beside the services of an API, on both engines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error, StartupError
from kratos.middleware import logging as log_calls
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, Mount, server_call
from kratos.transport.http import HttpApplication, Reply
from kratos_http import (
    Compression,
    Cors,
    Decompression,
    HttpServer,
    Limits,
    Redirect,
    Request,
    StreamReply,
    json_reply,
    redirect_reply,
    text_reply,
)
from kratos_http.testing import OpenPeer, SocketPeer, running


def served(server: HttpServer, *middleware: Any) -> HttpServer:
    server.mount(Mount(services=[EchoService()], middleware=middleware))
    return server


def new_server(**options: Any) -> HttpServer:
    return HttpServer("127.0.0.1:0", **options)


async def test_handler_is_given_variables_query_headers_and_body(open_peer: OpenPeer) -> None:
    server = new_server()

    @server.route("POST", "/users/{id}/{rest=**}")
    async def handler(request: Request) -> Reply:
        return json_reply(
            {
                "params": request.params,
                "tags": request.query.all("tag"),
                "first": request.query["tag"],
                "missing": request.query.get("none"),
                "header": request.headers.get("X-One"),
                "body": await request.json(),
                "again": await request.text(),
                "path": request.path,
                "call": server_call() is request.call,
            }
        )

    async with open_peer(served(server)) as peer:
        answer = await peer.request(
            "POST",
            "/users/a%20b/c/d?tag=1&tag=%C3%A4&empty=",
            headers=[("x-one", "1")],
            body=b'{"a":[1]}',
        )
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.json() == {
        "params": {"id": "a b", "rest": "c/d"},
        "tags": ["1", "ä"],
        "first": "1",
        "missing": None,
        "header": "1",
        "body": {"a": [1]},
        "again": '{"a":[1]}',
        "path": "/users/a%20b/c/d",
        "call": True,
    }


async def test_services_are_served_beside_plain_handlers(open_peer: OpenPeer) -> None:
    server = new_server()
    server.group().add("GET", "/plain", lambda _request: _text("plain"))
    async with open_peer(served(server)) as peer:
        headers = [("Content-Type", "application/json")]
        service = await peer.request("POST", "/kratos.testing/echo", headers=headers, body=b'"a"')
        plain = await peer.request("GET", "/plain")
        head = await peer.request("HEAD", "/plain")
        other = await peer.request("POST", "/plain")
    assert (service.status, plain.body, head.status, other.status) == (200, b"plain", 200, 405)
    assert head.body == b""


async def _text(text: str) -> Reply:
    return text_reply(text)


async def test_errors_are_encoded_as_those_of_services(open_peer: OpenPeer) -> None:
    server = new_server()

    @server.route("GET", "/known")
    async def known(_request: Request) -> Reply:
        raise Error(409, "TAKEN", "it is taken")

    @server.route("GET", "/unknown")
    async def unknown(_request: Request) -> Reply:
        raise KeyError("secret")

    @server.route("GET", "/elsewhere")
    async def elsewhere(_request: Request) -> Reply:
        raise Redirect("/known", 303)

    @server.route("GET", "/away")
    async def away(_request: Request) -> Reply:
        return redirect_reply("/known")

    @server.route("POST", "/json")
    async def no_json(request: Request) -> Reply:
        return json_reply(await request.json())

    async with open_peer(served(server)) as peer:
        first = await peer.request("GET", "/known")
        assert (first.status, first.json()["reason"]) == (409, "TAKEN")
        second = await peer.request("GET", "/unknown")
        assert second.status == 500
        assert b"secret" not in second.body
        third = await peer.request("GET", "/elsewhere")
        assert (third.status, third.header("location")) == (303, "/known")
        fourth = await peer.request("GET", "/away")
        assert (fourth.status, fourth.header("location")) == (302, "/known")
        for bad in (b"{", b"\xff", b"[" * 100_000):
            fifth = await peer.request("POST", "/json", body=bad)
            assert (fifth.status, fifth.json()["reason"]) == (400, "CODEC")


async def test_query_with_too_many_fields_is_refused(open_peer: OpenPeer) -> None:
    server = new_server()

    @server.route("GET", "/")
    async def handler(request: Request) -> Reply:
        return json_reply(len(request.query))

    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/?" + "a=&" * 1001)).status == 400
        assert (await peer.request("GET", "/?a=1&b=2")).json() == 2


async def test_middleware_of_application_server_group_and_route_is_around_the_handler(
    open_peer: OpenPeer,
) -> None:
    def named(name: str) -> Any:
        async def middleware(call: Call, request: Any, next: Handler) -> Any:
            seen.append(f"{name} {call.method.operation}")
            call.reply_headers.add("x-by", name)
            return await next(call, request)

        return middleware

    seen: list[str] = []
    server = new_server(middleware=[named("server")], path_prefix="/api")
    outer = server.group("/admin", middleware=[named("outer")])
    inner = outer.group("/users", middleware=[named("inner")])

    @inner.route("GET", "/{id}", middleware=[named("route")])
    async def handler(request: Request) -> Reply:
        return text_reply(request.params["id"])

    async with open_peer(served(server, named("app"))) as peer:
        answer = await peer.request("GET", "/api/admin/users/7")
    assert answer.body == b"7"
    names = ["app", "server", "outer", "inner", "route"]
    assert seen == [f"{name} /api/admin/users/{{id}}" for name in names]
    assert answer.values("x-by") == names


async def test_middleware_refuses_before_the_handler(open_peer: OpenPeer) -> None:
    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        raise Error(401, "UNAUTHORIZED", "who are you?")

    server = new_server()
    group = server.group(middleware=[refuse])
    called: list[Request] = []

    for streamed in (False, True):

        @group.route("GET", f"/{streamed}", streamed=streamed)
        async def handler(request: Request) -> Reply:
            called.append(request)
            return text_reply("never")

    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/False")).status == 401
        assert (await peer.request("GET", "/True")).status == 401
    assert not called


async def test_message_is_encoded_as_a_reply_of_a_service(open_peer: OpenPeer) -> None:
    server = new_server()

    @server.route("GET", "/message")
    async def handler(_request: Request) -> StringValue:
        return StringValue(value="hi")

    async with open_peer(served(server)) as peer:
        answer = await peer.request("GET", "/message", headers=[("Accept", "application/proto")])
    assert answer.header("content-type") == "application/proto"
    assert StringValue.FromString(answer.body).value == "hi"


async def test_group_makes_answers_and_errors_with_encoders_of_its_own(
    open_peer: OpenPeer,
) -> None:
    server = new_server()
    group = server.group(
        "/group",
        reply_encoder=lambda _call, message, _accept: Reply(200, (), message.SerializeToString()),
        error_encoder=lambda error, _accept: Reply(200, (), error.reason.encode()),
    )

    async def message(_request: Request) -> StringValue:
        return StringValue(value="hi")

    async def failing(_request: Request) -> Reply:
        raise Error(400, "BAD", "bad")

    group.add("GET", "/message", message)
    group.add("GET", "/failing", failing)
    server.group().add("GET", "/failing", failing)
    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/group/message")).body == b"\n\x02hi"
        assert (await peer.request("GET", "/group/failing")).body == b"BAD"
        assert (await peer.request("GET", "/failing")).status == 400


def test_verb_that_no_request_would_have_is_refused() -> None:
    async def handler(_request: Request) -> Reply:
        return text_reply("never")

    with pytest.raises(ConfigError, match="write GET, not get, of /a"):
        new_server().group().add("get", "/a", handler)


async def test_what_is_no_answer_is_an_error_of_the_server(
    open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(_request: Request) -> Any:
        return {"a": 1}

    async def stream(_request: Request) -> StreamReply:
        return StreamReply(pieces=_pieces(b"a"))

    server = new_server()
    server.group().add("GET", "/dict", handler)
    server.group().add("GET", "/stream", stream)
    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/dict")).status == 500
        assert (await peer.request("GET", "/stream")).status == 500
    assert "/dict returned dict: return json_reply(...)" in caplog.text
    assert "streamed=True" in caplog.text


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_body_and_answer_are_moved_in_pieces(open_peer: OpenPeer) -> None:
    server = new_server(limits=Limits(max_body=10))
    closed: list[str] = []

    @server.route("POST", "/upper", streamed=True, max_body=1_000_000)
    async def handler(request: Request) -> StreamReply:
        async def answer() -> AsyncIterator[bytes]:
            async for piece in request.pieces():
                yield piece.upper()

        request.call.reply_headers.set("x-a", "1")
        return StreamReply(pieces=answer(), status=201, close=lambda: closed.append("once"))

    body = b"abc" * 100_000
    async with open_peer(served(server)) as peer:
        answer = await peer.request("POST", "/upper", body=body)
    assert (answer.status, answer.header("x-a")) == (201, "1")
    assert answer.body == body.upper()
    assert closed == ["once"]


async def test_head_of_a_stream_has_its_length_and_makes_nothing_of_it(
    open_peer: OpenPeer,
) -> None:
    server = new_server()
    made: list[bytes] = []
    closed: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        made.append(b"abc")
        yield b"abc"

    @server.route("GET", "/file", streamed=True)
    async def handler(_request: Request) -> StreamReply:
        return StreamReply(pieces=pieces(), length=3, close=lambda: closed.append("once"))

    async with open_peer(served(server)) as peer:
        head = await peer.request("HEAD", "/file")
        assert (head.header("content-length"), made, closed) == ("3", [], ["once"])
        assert (await peer.request("GET", "/file")).body == b"abc"


async def test_stream_that_fails_is_broken_off(open_peer: OpenPeer) -> None:
    server = new_server()
    closed: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        raise Error(500, "LOST", "the source was lost")

    @server.route("GET", "/failing", streamed=True)
    async def handler(_request: Request) -> StreamReply:
        return StreamReply(pieces=pieces(), close=lambda: closed.append("once"))

    async with open_peer(served(server)) as peer:
        with pytest.raises(ConnectionError):
            await peer.request("GET", "/failing")
    assert closed == ["once"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_body_beyond_the_limit_is_refused(open_peer: OpenPeer, streamed: bool) -> None:
    server = new_server(limits=Limits(max_body=10))

    @server.route("POST", "/", streamed=streamed)
    async def handler(request: Request) -> Reply:
        return json_reply(len(await request.body()))

    async with open_peer(served(server)) as peer:
        assert (await peer.request("POST", "/", body=b"a" * 10)).json() == 10
        assert (await peer.request("POST", "/", body=b"a" * 11)).status == 413


async def test_streamed_body_that_comes_too_slowly_is_refused() -> None:
    server = new_server(limits=Limits(body_grace=0.05))

    @server.route("POST", "/", streamed=True)
    async def handler(request: Request) -> Reply:
        return text_reply((await request.body()).decode())

    async with running(served(server)) as serving:
        (url,) = await serving.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
            answer = await peer.answer()
        finally:
            await peer.aclose()
    assert (answer.status, answer.json()["reason"]) == (408, "REQUEST_TIMEOUT")


async def test_time_limit_holds_for_calls_and_not_for_streams(open_peer: OpenPeer) -> None:
    server = new_server(timeout=0.02)
    passed = asyncio.Event()

    async def waits(request: Request) -> Reply:
        if request.call.deadline is None:
            return text_reply("no limit")
        await passed.wait()
        return text_reply("never")

    group = server.group()
    group.add("GET", "/call", waits)
    group.add("GET", "/stream", waits, streamed=True)
    group.add("GET", "/unlimited", waits, timeout=float("inf"))
    group.add("GET", "/limited", waits, streamed=True, timeout=0.02)
    async with open_peer(served(server)) as peer:
        for path, status in (("call", 504), ("stream", 200), ("unlimited", 200), ("limited", 504)):
            assert (await peer.request("GET", f"/{path}")).status == status


async def test_route_added_after_the_services_is_served(open_peer: OpenPeer) -> None:
    server = served(new_server())
    server.group().add("GET", "/late", lambda _request: _text("late"))
    async with open_peer(server) as peer:
        assert (await peer.request("GET", "/late")).body == b"late"


async def test_log_has_no_query(open_peer: OpenPeer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    server = new_server()
    server.group().add("GET", "/secret", lambda _request: _text("a"))
    async with open_peer(served(server, log_calls())) as peer:
        await peer.request("GET", "/secret?token=hidden")
    assert "/secret" in caplog.text
    assert "hidden" not in caplog.text


def test_wrong_routes_are_refused_when_they_are_added() -> None:
    server = new_server()
    with pytest.raises(ConfigError, match="slash"):
        server.group("admin")
    server.group().add("GET", "/{a}", lambda _request: _text(""))
    with pytest.raises(ConfigError, match="twice"):
        server.group("/{b}").add("GET", "/", lambda _request: _text(""))
    with pytest.raises(ConfigError, match="negative"):
        server.group().add("GET", "/", lambda _request: _text(""), max_body=-1)
    with pytest.raises(ValueError, match="no-slash"):
        server.group().add("GET", "no-slash", lambda _request: _text(""))


class Answers:
    """Handlers of all kinds, good and bad."""

    async def good(self, _request: Request) -> Reply:
        return text_reply("good")

    def passes_on(self, request: Request) -> Awaitable[Reply]:
        return self.good(request)

    def blocks(self, _request: Request) -> Reply:
        return text_reply("bad")

    def yields(self, _request: Request) -> Iterator[bytes]:
        yield b"bad"

    async def streams(self, _request: Request) -> AsyncIterator[bytes]:
        yield b"bad"

    async def __call__(self, request: Request, /) -> Reply:
        return await self.good(request)


def untyped(_request: Any) -> Any:
    return text_reply("bad")


untyped.__annotations__.clear()


class Blocking:
    def __call__(self, _request: Request, /) -> Reply:
        return text_reply("bad")


BAD_HANDLERS: list[tuple[Any, str]] = [
    (Answers().blocks, r"GET /x: Answers\.blocks is no async function: write async def"),
    (untyped, r"untyped is no async function"),
    (Blocking(), r"Blocking is no async function"),
    (Answers, r"Answers is a class: pass an instance"),
    (Answers().yields, r"Answers\.yields has a yield in it: return a StreamReply"),
    (Answers().streams, r"Answers\.streams has a yield in it"),
    (None, r"None is no function"),
]
GOOD_HANDLERS: list[Callable[[Request], Any]] = [
    Answers().good,
    Answers().passes_on,
    Answers(),
    partial(Answers.good, Answers()),
    lambda request: Answers().good(request),
]
LAMBDA: Callable[[Request], Any] = lambda _request: text_reply("bad")  # noqa: E731


@pytest.mark.parametrize(("handler", "problem"), BAD_HANDLERS)
def test_handler_that_could_not_answer_is_refused_when_it_is_added(
    handler: Any, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        new_server().route("GET", "/x")(handler)


@pytest.mark.parametrize("handler", GOOD_HANDLERS)
async def test_handler_is_whatever_returns_an_awaitable(handler: Any, open_peer: OpenPeer) -> None:
    server = new_server()
    server.group().add("GET", "/x", handler)
    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/x")).body == b"good"


async def test_lambda_that_returns_no_awaitable_is_named_in_the_log(
    open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
) -> None:
    server = new_server()
    server.group().add("GET", "/x", LAMBDA)
    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/x")).status == 500
    assert "must be async: it returned Reply" in caplog.text


class Passing:
    """A filter that is a class, as it may be."""

    def __init__(self, application: HttpApplication) -> None:
        self.route = application.route


@pytest.mark.parametrize("kind", [Cors, Compression, Decompression])
def test_class_of_a_filter_is_refused(kind: Any) -> None:
    problem = rf"the filter {kind.__name__} is a class: write {kind.__name__}\(\.\.\.\)"
    with pytest.raises(TypeError, match=problem):
        new_server(filters=[kind])
    server = new_server()
    server.group("/a", filters=[kind]).add("GET", "/x", Answers())
    with pytest.raises(TypeError, match=problem):
        served(server)


def test_what_wraps_no_application_is_refused() -> None:
    broken: Callable[[HttpApplication], Any] = lambda _application: None  # noqa: E731
    with pytest.raises(TypeError, match=r"is no filter: .* not None"):
        new_server(filters=[broken])
    new_server(filters=[Passing])


def test_middleware_for_no_operation_is_refused_with_the_nearest() -> None:
    for slip, meant in (
        ("/kratos.testing.Echo/Ecko", "/kratos.testing.Echo/Echo"),
        ("/kratos.testing.Ecko/*", "/kratos.testing.Echo/*"),
        ("/plian", "/plain"),
    ):
        server = new_server()
        server.group().add("GET", "/plain", Answers())
        server.use("/plain", [])
        server.use("/kratos.testing.Echo/*", [])
        server.use(slip, [])
        with pytest.raises(StartupError, match=re.escape(f"did you mean {meant!r}?")):
            served(server)


def test_time_limit_of_no_operation_is_refused_with_the_nearest() -> None:
    server = new_server(timeouts={"/api/plain": 1.0}, path_prefix="/api")
    server.group().add("GET", "/plain", Answers())
    served(server)
    server = new_server(timeouts={"/plain": 1.0}, path_prefix="/api")
    server.group().add("GET", "/plain", Answers())
    with pytest.raises(StartupError, match=r"timeouts names '/plain'.*did you mean '/api/plain'"):
        served(server)


async def test_peer_that_goes_away_cancels_the_handler_and_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = new_server()
    entered, left = asyncio.Event(), asyncio.Event()

    @server.route("GET", "/", streamed=True)
    async def handler(_request: Request) -> Reply:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return text_reply("never")

    async with running(served(server)) as serving:
        (url,) = await serving.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(entered.wait(), 10)
        peer.reset()
        await asyncio.wait_for(left.wait(), 10)
        await peer.aclose()
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_stream_whose_headers_cannot_be_sent_is_an_error_of_the_server(
    open_peer: OpenPeer,
) -> None:
    server = new_server()
    closed: list[str] = []

    @server.route("GET", "/", streamed=True)
    async def handler(_request: Request) -> StreamReply:
        headers = ((b"x-a", b"1\r\nx-b: 2"),)
        return StreamReply(
            pieces=_pieces(b"a"), headers=headers, close=lambda: closed.append("once")
        )

    async with open_peer(served(server)) as peer:
        assert (await peer.request("GET", "/")).status == 500
    assert closed == ["once"]


@pytest.mark.parametrize("status", [100, 101, 199, 0, 1000])
@pytest.mark.parametrize("streamed", [False, True])
async def test_status_that_ends_no_request_is_not_sent(
    open_peer: OpenPeer, status: int, streamed: bool
) -> None:
    # A peer, or a proxy, would take the answer to the next request for the one to this.
    server = HttpServer("127.0.0.1:0")

    @server.route("GET", "/", streamed=streamed)
    async def interim(_request: Request) -> Reply:
        return Reply(status, ())

    server.mount(Mount())
    async with open_peer(server) as peer:
        assert (await peer.request("GET", "/")).status == 500
