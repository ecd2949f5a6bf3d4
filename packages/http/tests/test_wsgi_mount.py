"""WSGI applications within a server, on both engines."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, request

from kratos.errors import ConfigError, Error
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, Mount
from kratos.transport.http import Head, Reply
from kratos_http import Cors, Decompression, HttpServer, Limits
from kratos_http._wsgi_environ import Body, environ_of
from kratos_http.sessions import CookieSessions, current_session
from kratos_http.testing import OpenPeer, SocketPeer, eventually, running

Environ = dict[str, Any]


def mounting(application: Any, path: str = "/old", **options: Any) -> HttpServer:
    kept = {name: options.pop(name) for name in ("threads", "queue", "middleware") & options.keys()}
    server = HttpServer("127.0.0.1:0", **options)
    server.mount_wsgi(path, application, **kept)
    server.mount(Mount(services=[EchoService()]))
    return server


def show(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH")
    body = environ["wsgi.input"].read()
    text = repr([environ.get(name) for name in names] + [body])
    start("201 Created", [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")])
    return [text.encode()]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND"])
async def test_application_gets_the_request_and_gives_the_answer(
    open_peer: OpenPeer, method: str
) -> None:
    async with open_peer(mounting(show, path_prefix="/api")) as peer:
        answer = await peer.request(method, "/api/old/a%20b/?q=1", body=b"body")
    assert (answer.status, answer.values("x-a")) == (201, ["1", "2"])
    assert answer.header("content-length") == str(len(answer.body))
    shown = answer.body.decode()
    assert shown.startswith(f"['{method}', '/api/old', '/a b/', 'q=1', ")
    assert shown.endswith("b'body']")


@pytest.mark.parametrize(
    ("mount", "target", "script", "info"),
    [
        ("/", "/", "", "/"),
        ("/", "/a", "", "/a"),
        ("/old", "/old", "/old", ""),
        ("/old", "/old/", "/old", "/"),
        ("/old", "/%6fld/a", "/old", "/a"),
        ("/o/p", "/o/p/q%2Fr", "/o/p", "/q/r"),
    ],
)
async def test_path_is_parted_where_the_application_is(
    open_peer: OpenPeer, mount: str, target: str, script: str, info: str
) -> None:
    async with open_peer(mounting(show, mount)) as peer:
        answer = await peer.request("GET", target)
    assert answer.body.decode().startswith(f"['GET', {script!r}, {info!r}")


async def test_application_meets_the_validator_of_the_standard_library(
    open_peer: OpenPeer,
) -> None:
    def reads_in_parts(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        first = environ["wsgi.input"].readline(10)
        rest = environ["wsgi.input"].read(100)
        start("200 OK", [("Content-Type", "text/plain")])
        return iter([first, b"|", rest])

    async with open_peer(mounting(validator(reads_in_parts))) as peer:
        headers = [("Content-Type", "text/plain"), ("Cookie", "a=1"), ("Cookie", "b=2")]
        answer = await peer.request("POST", "/old/a?b=c", headers=headers, body=b"one\ntwo")
    assert answer.body == b"one\n|two"


def flask() -> Flask:
    app = Flask("old")

    @app.route("/hello/<name>")
    def hello(name: str) -> str:
        return f"hello {name}, {request.args['q']}"

    @app.route("/upload", methods=["POST"])
    def upload() -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        while piece := request.stream.read(10_000):
            digest.update(piece)
            size += len(piece)
        return {"size": size, "sha256": digest.hexdigest()}

    @app.route("/pieces")
    def pieces() -> Response:
        return Response((b"x" * 10_000 for _ in range(30)), mimetype="text/plain")

    @app.route("/broken")
    def broken() -> str:
        raise KeyError("secret")

    # Type checkers see no use of functions that a decorator keeps.
    assert all((hello, upload, pieces, broken))
    return app


async def test_flask_serves_pages_uploads_and_streams(open_peer: OpenPeer) -> None:
    body = b"0123456789" * 30_000
    async with open_peer(mounting(flask())) as peer:
        page = await peer.request("GET", "/old/hello/you?q=%C3%A4")
        upload = await peer.request("POST", "/old/upload", body=body)
        pieces = await peer.request("GET", "/old/pieces")
        missing = await peer.request("GET", "/old/none")
        head = await peer.request("HEAD", "/old/hello/you?q=1")
        wrong = await peer.request("POST", "/old/hello/you")
    assert page.body.decode() == "hello you, ä"
    assert upload.json() == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert pieces.body == b"x" * 300_000
    assert [missing.status, head.status, wrong.status] == [404, 200, 405]
    assert (head.body, head.header("content-length")) == (b"", "12")


async def test_body_without_a_length_is_read_to_its_end() -> None:
    async with running(mounting(flask())) as server, connected(server) as peer:
        head = b"POST /old/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await peer.send(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await peer.answer()).json()["size"] == 5


def as_django_reads(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    """Read as many bytes as were announced, none if none were."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start("200 OK", [("Content-Type", "text/plain")])
    return [f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()]


LENGTHS = pytest.mark.parametrize("length", [0, 5, 64 * 1024, 3 * 1024 * 1024])


def told(body: bytes) -> str:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


@LENGTHS
async def test_body_in_chunks_has_a_length_in_the_application(length: int) -> None:
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    async with running(mounting(as_django_reads)) as server, connected(server) as peer:
        head = b"POST /old HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n%b\r\n" % (length, body) if body else b""
        await peer.send(head + chunk + b"0\r\n\r\n")
        assert (await peer.answer()).body.decode() == told(body)


@LENGTHS
async def test_body_that_was_compressed_has_a_length_in_the_application(
    open_peer: OpenPeer, length: int
) -> None:
    body = b"a" * length
    server = mounting(as_django_reads, filters=[Decompression()])
    async with open_peer(server) as peer:
        headers = [("Content-Encoding", "gzip")]
        answer = await peer.request("POST", "/old", headers=headers, body=gzip.compress(body))
    assert answer.body.decode() == told(body)


@pytest.mark.parametrize("length", [100_000, 100_001, 2_000_000])
async def test_limit_holds_for_bodies_that_were_compressed(
    open_peer: OpenPeer, length: int
) -> None:
    limits = Limits(max_body=100_000)
    server = mounting(as_django_reads, filters=[Decompression()], limits=limits)
    async with open_peer(server) as peer:
        headers = [("Content-Encoding", "gzip")]
        answer = await peer.request(
            "POST", "/old", headers=headers, body=gzip.compress(bytes(length))
        )
    assert answer.status == (200 if length == 100_000 else 413)


async def test_compressed_body_that_breaks_off_late_is_refused(open_peer: OpenPeer) -> None:
    server = mounting(as_django_reads, filters=[Decompression()])
    async with open_peer(server) as peer:
        body = gzip.compress(random.Random(1).randbytes(200_000))[:-100]
        headers = [("Content-Encoding", "gzip")]
        assert (await peer.request("POST", "/old", headers=headers, body=body)).status == 400


class connected:  # noqa: N801
    """A connection to a running server."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server

    async def __aenter__(self) -> SocketPeer:
        (url,) = await self._server.bind()
        self._peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        return self._peer

    async def __aexit__(self, *_: object) -> None:
        await self._peer.aclose()


class Pieces:
    """An answer in pieces that says when it was closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.given += 1
        return next(self._pieces)

    def close(self) -> None:
        self.closed.set()


def answering(pieces: Pieces, status: str = "200 OK") -> Any:
    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start(status, [("Content-Type", "text/plain")])
        return pieces

    return application


def failing(count: int) -> Iterator[bytes]:
    yield from [b"a"] * count
    raise KeyError("secret")


@pytest.mark.parametrize("count", [0, 2])
async def test_what_the_application_returned_is_closed_also_when_it_fails(
    open_peer: OpenPeer, count: int
) -> None:
    pieces = Pieces(failing(count))
    async with open_peer(mounting(answering(pieces))) as peer:
        if count:
            with pytest.raises(ConnectionError):
                await peer.request("GET", "/old")
        else:
            answer = await peer.request("GET", "/old")
            assert (answer.status, b"secret" in answer.body) == (500, False)
    assert pieces.closed.is_set()


async def test_answer_waits_for_a_slow_peer_and_ends_when_that_goes_away() -> None:
    pieces = Pieces(b"x" * 65_536 for _ in range(10_000))
    async with running(mounting(answering(pieces))) as server, connected(server) as peer:
        await peer.send(b"GET /old HTTP/1.1\r\nHost: a\r\n\r\n")
        await peer.exactly(1)
        given = -1
        while given != pieces.given:  # until nothing moves any more
            given = pieces.given
            await asyncio.to_thread(pieces.closed.wait, 0.3)
        assert 0 < given < 1000
        peer.reset()
        assert await asyncio.to_thread(pieces.closed.wait, 10)
    assert pieces.given < 1000


async def test_peer_that_goes_away_with_the_whole_answer_breaks_nothing_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = threading.Event()
    ended: list[object] = []

    def pieces() -> Iterator[bytes]:
        yield b"whole"
        released.wait(10)

    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "5")])
        return pieces()

    async def watch(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            reply = await next(call, request)
        except BaseException as error:
            ended.append(error)
            raise
        ended.append("well")
        return reply

    server = mounting(application, middleware=[watch])
    async with running(server), connected(server) as peer, connected(server) as other:
        assert (await peer.request("GET", "/old")).body == b"whole"
        peer.reset()
        for _ in range(2):  # by then the server knows that it has gone
            assert (await other.request("GET", "/none")).status == 404
        assert ended == []
        released.set()
        await eventually(lambda: ended)
    assert ended == ["well"]
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_peer_that_goes_away_ends_a_wait_for_its_body() -> None:
    failed: list[BaseException] = []
    ended = threading.Event()

    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            failed.append(error)
            raise
        finally:
            ended.set()
        return []

    async with running(mounting(application)) as server, connected(server) as peer:
        head = b"POST /old HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
        await peer.send(head + b"x" * 100_000)
        await eventually(lambda: threading.active_count() > 1)
        peer.reset()
        assert await asyncio.to_thread(ended.wait, 10)
    assert len(failed) == 1


async def test_slow_beginning_of_a_body_takes_no_thread() -> None:
    called = threading.Event()

    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        called.set()
        return show(environ, start)

    async with (
        running(mounting(application)) as server,
        connected(server) as slow,
        connected(server) as other,
    ):
        await slow.send(b"POST /old HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        assert (await other.request("GET", "/none")).status == 404
        assert not called.is_set()
        await slow.send(b"y")
        assert (await slow.answer()).body.endswith(b"b'xy']")


async def test_body_beyond_the_limit_is_refused(open_peer: OpenPeer) -> None:
    limits = Limits(max_body=100_000)
    async with open_peer(mounting(show, limits=limits)) as peer:
        assert (await peer.request("POST", "/old", body=b"x" * 100_000)).status == 201
        assert (await peer.request("POST", "/old", body=b"x" * 100_001)).status == 413


async def test_refusal_is_made_by_the_error_encoder(open_peer: OpenPeer) -> None:
    def encoder(error: Error, _accept: str) -> Reply:
        return Reply(error.code, (), error.reason.encode())

    server = mounting(show, limits=Limits(max_body=1), error_encoder=encoder)
    async with open_peer(server) as peer:
        answer = await peer.request("POST", "/old", body=b"xy")
    assert (answer.status, answer.body) == (413, b"BODY_TOO_LARGE")


async def test_only_so_many_requests_wait_for_a_thread() -> None:
    go, entered = threading.Event(), threading.Event()

    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        entered.set()
        assert go.wait(10)
        return show(environ, start)

    async with (
        running(mounting(application, threads=1, queue=0)) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        waiting = asyncio.create_task(first.request("GET", "/old"))
        assert await asyncio.to_thread(entered.wait, 10)
        refused = await second.request("GET", "/old")
        go.set()
        assert (await waiting).status == 201
    assert (refused.status, refused.json()["reason"]) == (503, "OFFLOAD_FULL")


def forgets_to_start(_environ: Environ, _start: Callable[..., Any]) -> Iterable[bytes]:
    return [b"a"]


def starts_twice(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [])
    start("200 OK", [])
    return [b"a"]


def speaks_for_the_server(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("Connection", "close")])
    return [b"a"]


def has_no_status(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    start("OK", [])
    return [b"a"]


def breaks_a_line(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("X-A", "a\r\nX-B: b")])
    return [b"a"]


def promises_more(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "0"), ("X-A", "ä€")])
    return []


@pytest.mark.parametrize(
    "application",
    [
        forgets_to_start,
        starts_twice,
        speaks_for_the_server,
        has_no_status,
        breaks_a_line,
        promises_more,
    ],
)
async def test_application_that_breaks_the_protocol_is_an_error_of_the_server(
    open_peer: OpenPeer, application: Any
) -> None:
    async with open_peer(mounting(application)) as peer:
        assert (await peer.request("GET", "/old")).status == 500


async def test_answer_may_be_replaced_while_nothing_was_sent(open_peer: OpenPeer) -> None:
    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("X-A", "1")])
        try:
            raise KeyError("late")
        except KeyError as error:
            start("503 No", [], (KeyError, error, error.__traceback__))
        return [b"no"]

    async with open_peer(mounting(application)) as peer:
        answer = await peer.request("GET", "/old")
    assert (answer.status, answer.header("x-a"), answer.body) == (503, "", b"no")


async def test_answer_that_has_begun_cannot_be_replaced(open_peer: OpenPeer) -> None:
    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [])(b"a")
        try:
            raise KeyError("late")
        except KeyError as error:
            start("503 No", [], (KeyError, error, error.__traceback__))
        return [b"no"]

    async with open_peer(mounting(application)) as peer:
        with pytest.raises(ConnectionError):
            await peer.request("GET", "/old")


async def test_function_for_writing_sends_at_once(open_peer: OpenPeer) -> None:
    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        write = start("200 OK", [])
        write(b"a")
        write(b"")
        write(b"b")
        return [b"c"]

    async with open_peer(mounting(application)) as peer:
        assert (await peer.request("GET", "/old")).body == b"abc"


@pytest.mark.parametrize(("status", "length"), [("200 OK", "0"), ("204 No Content", "")])
async def test_answer_without_a_body(open_peer: OpenPeer, status: str, length: str) -> None:
    async with open_peer(mounting(answering(Pieces([]), status))) as peer:
        answer = await peer.request("GET", "/old")
    assert (answer.body, answer.header("content-length")) == (b"", length)


async def test_filters_are_around_the_application(open_peer: OpenPeer) -> None:
    cors = Cors(["https://app.example.com"])
    async with open_peer(mounting(show, filters=[cors])) as peer:
        answer = await peer.request("GET", "/old", headers=[("Origin", "https://app.example.com")])
    assert answer.header("access-control-allow-origin") == "https://app.example.com"


async def test_middleware_is_around_the_application_when_asked_for(open_peer: OpenPeer) -> None:
    seen: list[str] = []

    async def of_server(call: Call, request: Any, next: Handler) -> Any:
        seen.append(f"{call.method.operation} {request.params['path']}")
        call.reply_headers.set("x-a", "chain")
        call.reply_headers.set("set-cookie", "a=1")
        return await next(call, request)

    async with open_peer(mounting(show, middleware=())) as peer:
        assert (await peer.request("GET", "/old/x")).values("x-a") == ["1", "2"]
    server = HttpServer("127.0.0.1:0", middleware=[of_server])
    server.mount_wsgi("/old", show, middleware=())
    server.mount_wsgi("/bare", show)
    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        within = await peer.request("GET", "/old/x/y")
        bare = await peer.request("GET", "/bare")
    assert within.values("x-a") == ["chain"]
    assert (bare.values("x-a"), bare.values("set-cookie")) == (["1", "2"], [])
    assert seen == ["/old/{path=**} x/y"]


async def test_middleware_refuses_in_the_form_of_services(open_peer: OpenPeer) -> None:
    called: list[Environ] = []

    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        raise Error(401, "UNAUTHORIZED", "who are you?")

    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        called.append(environ)
        return show(environ, start)

    async with open_peer(mounting(application, middleware=[refuse])) as peer:
        answer = await peer.request("GET", "/old")
    assert (answer.status, answer.json()["reason"], called) == (401, "UNAUTHORIZED", [])


@pytest.mark.parametrize("count", [0, 2])
async def test_error_within_a_chain_is_one_of_services(open_peer: OpenPeer, count: int) -> None:
    outcomes: list[str] = []

    async def watch(call: Call, request: Any, next: Handler) -> Any:
        try:
            return await next(call, request)
        except KeyError:
            outcomes.append("KeyError")
            raise

    server = mounting(answering(Pieces(failing(count))), middleware=[watch])
    async with open_peer(server) as peer:
        if count:
            with pytest.raises(ConnectionError):
                await peer.request("GET", "/old")
        else:
            answer = await peer.request("GET", "/old")
            assert (answer.status, answer.json()["reason"]) == (500, "UNKNOWN")
    assert outcomes == ["KeyError"]


async def test_session_of_kratos_is_there_in_the_thread(open_peer: OpenPeer) -> None:
    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        current_session()["n"] = current_session().get("n", 0) + 1
        start("200 OK", [("Set-Cookie", "own=1")])
        return [str(current_session()["n"]).encode()]

    async with open_peer(mounting(application, middleware=[CookieSessions(["k" * 32])])) as peer:
        first = await peer.request("GET", "/old")
        cookies = [value.partition(";")[0] for value in first.values("set-cookie")]
        again = await peer.request("GET", "/old", headers=[("Cookie", "; ".join(cookies))])
    assert (first.body, again.body) == (b"1", b"2")
    assert cookies[0] == "own=1"


async def test_interim_answer_is_not_the_applications_to_give(open_peer: OpenPeer) -> None:
    def application(_environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("100 Continue", [])
        return [b""]

    async with open_peer(mounting(application)) as peer:
        assert (await peer.request("GET", "/old")).status == 500


def test_environment_has_no_header_that_passes_for_another() -> None:
    head = Head(
        "GET",
        b"/",
        b"a=%C3%A4",
        [
            (b"host", b"[::1]:8000"),
            (b"x-user", b"alice"),
            (b"x_user", b"mallory"),
            (b"proxy", b"http://evil.example"),
            (b"accept", b"a"),
            (b"accept", b"b"),
            (b"cookie", b"c=1"),
            (b"cookie", b"d=2"),
            (b"x-byte", b"\xff"),
        ],
        scheme="https",
        peer="[::2]:5",
    )
    environ = environ_of(head, Body(lambda: b""), segments=0)
    assert environ["HTTP_X_USER"] == "alice"
    assert "HTTP_PROXY" not in environ
    assert (environ["HTTP_ACCEPT"], environ["HTTP_COOKIE"]) == ("a,b", "c=1; d=2")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("[::1]", "8000")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::2", "5")
    assert (environ["QUERY_STRING"], environ["HTTP_X_BYTE"]) == ("a=%C3%A4", "\xff")
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("host", "scheme", "server"),
    [
        (b"", "http", ("localhost", "80")),
        (b"", "https", ("localhost", "443")),
        (b"a.example", "https", ("a.example", "443")),
        (b"a:b:c", "http", ("localhost", "80")),
    ],
)
def test_environment_names_the_server(host: bytes, scheme: str, server: tuple[str, str]) -> None:
    head = Head("GET", b"/", b"", [(b"host", host)], scheme=scheme)
    environ = environ_of(head, Body(lambda: b""), segments=0)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == server


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"queue": -1}, {"max_body": -1}])
def test_impossible_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        HttpServer("127.0.0.1:0").mount_wsgi("/old", show, **wrong)
