"""Requests that two readers could read apart, and other bad input, and what comes after them."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.testing.echo import ECHO
from kratos.transport import Call, Handler, Method, Mount, Service, server_call
from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import HttpServer, Limits, Redirect, Request
from kratos_http.testing import OpenPeer, SocketPeer, listening

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # what is tested is above them

HOST = b"Host: test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Echo:
    """Answers with everything it got."""

    max_body = 1000

    def __init__(self) -> None:
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200, (), head.path + b"|" + body)

    @property
    def paths(self) -> list[bytes]:
        return [head.path for head in self.heads]


# What follows the Host line of a POST.
MESSAGES: dict[str, tuple[bytes, int]] = {
    # Two lengths
    "length and chunks": (b"Content-Length: 3\r\n" + CHUNKED + END, 400),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + END, 400),
    "two equal lengths": (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "two different lengths": (b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "list of equal lengths": (b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "list of different lengths": (b"Content-Length: 3, 4\r\n\r\nabc", 400),
    "length in trailers": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "chunks in trailers": (CHUNKED + b"0\r\n" + CHUNKED, 400),
    # A length that is none
    "signed length": (b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (b"Content-Length: -1\r\n\r\n", 400),
    "hexadecimal length": (b"Content-Length: 0x3\r\n\r\nabc", 400),
    "fractional length": (b"Content-Length: 3.0\r\n\r\nabc", 400),
    "length in two words": (b"Content-Length: 3 3\r\n\r\nabc", 400),
    "length as in Python": (b"Content-Length: 1_0\r\n\r\nabcdefghij", 400),
    "length in other digits": ("Content-Length: ٣\r\n\r\nabc".encode(), 400),
    "empty length": (b"Content-Length:\r\n\r\n", 400),
    "length of many digits": (b"Content-Length: " + b"0" * 5000 + b"3\r\n\r\nabc", 400),
    "huge length": (b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    # A coding that is not chunked, alone, once, in its own name
    "other coding": (b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "coding that does nothing": (b"Transfer-Encoding: identity\r\n\r\n", 501),
    "coding that does nothing, and length": (
        b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
        400,
    ),
    "empty coding": (b"Transfer-Encoding:\r\n\r\n", 400),
    "two codings": (b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END, 501),
    "two lines of codings": (b"Transfer-Encoding: identity\r\n" + CHUNKED + END, 501),
    "chunked not last": (b"Transfer-Encoding: chunked, gzip\r\n\r\n" + END, 400),
    "chunked not in the last line": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + END,
        400,
    ),
    "chunked twice": (b"Transfer-Encoding: chunked\r\n" + CHUNKED + END, 400),
    "chunked twice in a line": (b"Transfer-Encoding: chunked, chunked\r\n\r\n" + END, 400),
    "chunked and nothing": (b"Transfer-Encoding: chunked,\r\n\r\n" + END, 400),
    "coding with a parameter": (b"Transfer-Encoding: chunked;q=1\r\n\r\n" + END, 501),
    "coding in quotes": (b'Transfer-Encoding: "chunked"\r\n\r\n' + END, 501),
    "coding with a prefix": (b"Transfer-Encoding: xchunked\r\n\r\n" + END, 501),
    "coding behind a vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n\r\n" + END, 400),
    "coding before a zero byte": (b"Transfer-Encoding: chunked\0\r\n\r\n" + END, 400),
    "coding in a folded line": (b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END, 400),
    "space before the colon": (b"Transfer-Encoding : chunked\r\n\r\n" + END, 400),
    "tab before the colon": (b"Content-Length\t: 3\r\n\r\nabc", 400),
    # Chunks
    "chunk size that is none": (CHUNKED + b"xyz\r\n", 400),
    "no chunk size": (CHUNKED + b"\r\n" + END, 400),
    "hexadecimal prefix": (CHUNKED + b"0x1\r\na\r\n" + END, 400),
    "signed chunk size": (CHUNKED + b"+1\r\na\r\n" + END, 400),
    "negative chunk size": (CHUNKED + b"-1\r\n" + END, 400),
    "chunk size as in Python": (CHUNKED + b"1_0\r\n" + b"a" * 16 + b"\r\n" + END, 400),
    "chunk size overflow": (CHUNKED + b"f" * 17 + b"\r\n", 400),
    "space before a chunk size": (CHUNKED + b" 1\r\na\r\n" + END, 400),
    "space after a chunk size": (CHUNKED + b"1 \r\na\r\n" + END, 400),
    "tab after a chunk size": (CHUNKED + b"1\t\r\na\r\n" + END, 400),
    "line feed ends a chunk size": (CHUNKED + b"1\na\r\n" + END, 400),
    "line feed ends an extension": (CHUNKED + b"1;a\na\r\n" + END, 400),
    "carriage return in an extension": (CHUNKED + b"1;a\rb\r\na\r\n" + END, 400),
    "zero byte in an extension": (CHUNKED + b"1;a=\0\r\na\r\n" + END, 400),
    "line end in a quoted extension": (CHUNKED + b'1;a="\r\n"\r\na\r\n' + END, 400),
    "chunk longer than it says": (CHUNKED + b"1\r\nab0\r\n\r\n", 400),
    "chunk shorter than it says": (CHUNKED + b"5\r\nabc\r\n" + END, 400),
    "line feed ends a chunk": (CHUNKED + b"1\r\na\n" + END, 400),
    "carriage return ends a chunk": (CHUNKED + b"1\r\na\r" + END, 400),
    "line feeds end the last chunk": (CHUNKED + b"0\n\n", 400),
    "folded trailer": (CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n", 400),
    # Lines
    "folded line": (b"X-A: b\r\n c\r\n\r\n", 400),
    "line feed ends a line": (b"X-A: b\nX-B: c\r\n\r\n", 400),
    "carriage return in a value": (b"X-A: b\rX-B: c\r\n\r\n", 400),
    "line feed ends the head": (b"X-A: b\r\n\n", 400),
    "zero byte in a value": (b"X-A: b\0c\r\n\r\n", 400),
    "control byte in a value": (b"X-A: b\x01c\r\n\r\n", 400),
    "delete byte in a value": (b"X-A: b\x7fc\r\n\r\n", 400),
    "zero byte in a name": (b"X\0: b\r\n\r\n", 400),
    "space in a name": (b"X Y: b\r\n\r\n", 400),
    "name that is no token": ("é: b\r\n\r\n".encode(), 400),
    "no colon": (b"abc\r\n\r\n", 400),
    "no name": (b": b\r\n\r\n", 400),
    "second host": (b"Host: other\r\n\r\n", 400),
    "unknown expectation": (b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417),
}

# Whole requests.
REQUESTS: dict[str, tuple[bytes, int]] = {
    "unknown method": (b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "line feeds": (b"GET / HTTP/1.1\n\n", 400),
    "line feed ends the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
    "carriage return in the request line": (b"GET /\r HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "space first": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "space last": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "tabs": (b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "folded request line": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    "protocol in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "HTTP/0.9 without its name": (b"GET /\r\n\r\n", 505),
    "HTTP/2.0 in text": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts of HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"Host: other\r\n\r\n", 400),
    "host of two words": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "list of hosts": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with a user": (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
    "host with quotes": (b'GET / HTTP/1.1\r\nHost: "><script>\r\n\r\n', 400),
    "port that is none": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blank in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "tab in the target": (b"GET /a\tb HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "zero byte in the target": (b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "control byte in the target": (b"GET /a\x01b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "byte that should be escaped": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "asterisk": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute target without a host": (b"GET http:///a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute target that is empty": (b"GET http:// HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute target with a user": (b"GET http://u:p@a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute target of another kind": (b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "proxy": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "chunks of HTTP/1.0": (b"POST / HTTP/1.0\r\n" + CHUNKED + END, 400),
}

# What looks odd and is not: each is read as one request, and the next after it.
ODD: dict[str, tuple[bytes, bytes]] = {
    "empty lines first": (b"\r\n\r\nGET /odd HTTP/1.1\r\n" + HOST + b"\r\n", b"/odd|"),
    "tab before a coding": (
        b"POST /odd HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\tchunked\r\n\r\n" + END,
        b"/odd|",
    ),
    "coding in capitals": (
        b"POST /odd HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n" + END,
        b"/odd|a",
    ),
    "extensions": (
        b"POST /odd HTTP/1.1\r\n" + HOST + CHUNKED + b'1;a=b;c="d e"\r\na\r\n' + END,
        b"/odd|a",
    ),
    "zeros before a chunk size": (
        b"POST /odd HTTP/1.1\r\n" + HOST + CHUNKED + b"0001\r\na\r\n" + END,
        b"/odd|a",
    ),
    "another name with an underscore": (
        b"POST /odd HTTP/1.1\r\n" + HOST + b"Transfer_Encoding: chunked\r\n"
        b"Content_Length: 9\r\nContent-Length: 1\r\n\r\na",
        b"/odd|a",
    ),
    "host in trailers": (
        b"POST /odd HTTP/1.1\r\n" + HOST + CHUNKED + b"0\r\nHost: other\r\n\r\n",
        b"/odd|",
    ),
    "body of a GET": (
        b"GET /odd HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\na",
        b"/odd|a",
    ),
    "length that Connection names": (
        b"POST /odd HTTP/1.1\r\n" + HOST + b"Connection: content-length\r\n"
        b"Content-Length: 1\r\n\r\na",
        b"/odd|a",
    ),
    "empty host": (b"GET /odd HTTP/1.1\r\nHost:\r\n\r\n", b"/odd|"),
    "host of IPv6": (b"GET /odd HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"/odd|"),
    "absolute target": (b"GET HTTP://a:1/odd HTTP/1.1\r\n" + HOST + b"\r\n", b"/odd|"),
    "absolute target without a path": (b"GET http://a?b=/c HTTP/1.1\r\n" + HOST + b"\r\n", b"/|"),
}

FIRST = b"GET /first HTTP/1.1\r\n" + HOST + b"\r\n"
AFTER = b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
SHAPES = {
    **{name: (b"POST /bad HTTP/1.1\r\n" + HOST + rest, status)
       for name, (rest, status) in MESSAGES.items()},
    **REQUESTS,
}  # fmt: skip
CUTS = pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])


async def send(peer: SocketPeer, data: bytes, *, bytewise: bool) -> None:
    step = 1 if bytewise and len(data) < 1000 else len(data)
    for at in range(0, len(data), step):
        try:
            await peer.send(data[at : at + step])
        except ConnectionError:
            return


@CUTS
@pytest.mark.parametrize("shape", SHAPES)
async def test_bad_request_is_refused_and_nothing_after_it_is_read(
    shape: str, bytewise: bool
) -> None:
    request, status = SHAPES[shape]
    app = Echo()
    async with listening(app) as opened:
        peer = await opened.connect()
        await peer.send(FIRST)
        assert (await peer.answer()).body == b"/first|"
        await send(peer, request + AFTER, bytewise=bytewise)
        refusal = await peer.answer()
        assert await peer.rest() == b""
    assert refusal.status == status
    assert refusal.header("connection") == "close"
    assert set(refusal.json()) == {"code", "reason", "message", "metadata"}
    assert refusal.json()["code"] == status
    assert b"/after" not in app.paths


@pytest.mark.parametrize("shape", ["length and chunks", "hexadecimal prefix", "no host"])
async def test_bad_request_does_not_overtake_those_before_it(shape: str) -> None:
    request, status = SHAPES[shape]
    async with listening(Echo()) as opened:
        peer = await opened.connect()
        await peer.send(FIRST * 3 + request + AFTER)
        answers = [(await peer.answer()).status for _ in range(4)]
        assert await peer.rest() == b""
    assert answers == [200, 200, 200, status]


@CUTS
@pytest.mark.parametrize("shape", ODD)
async def test_odd_request_is_one_request(shape: str, bytewise: bool) -> None:
    request, body = ODD[shape]
    app = Echo()
    async with listening(app) as opened:
        peer = await opened.connect()
        await send(peer, FIRST + request + LAST, bytewise=bytewise)
        bodies = [(await peer.answer()).body for _ in range(3)]
        assert await peer.rest() == b""
    assert bodies == [b"/first|", body, b"/last|"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /?" + b"a" * 2000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X" * 2000 + b": a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 30 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"3e9\r\n" + b"a" * 1001 + b"\r\n" + END, 413),
    ],
    ids=[
        "path", "query", "value", "name", "lines", "announced body", "body in chunks",
    ],
)  # fmt: skip
async def test_too_much_is_refused_as_it_comes(request_: bytes, status: int) -> None:
    app = Echo()
    async with listening(app, limits=Limits(max_head=1000, max_headers=20)) as opened:
        peer = await opened.connect()
        half = len(request_) * 3 // 4
        for piece in (request_[:half], request_[half:], AFTER):
            await send(peer, piece, bytewise=False)
        refusal = await peer.answer()
        assert await peer.rest() == b""
    assert refusal.status == status
    assert b"/after" not in app.paths


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (CHUNKED + b"1;", b"a"),
        (CHUNKED + b"0", b"0"),
        (CHUNKED + b"0\r\nX: ", b"a"),
        (CHUNKED + b"0\r\n", b"X: a\r\n"),
    ],
    ids=["extension", "chunk size", "trailer", "trailers"],
)
async def test_what_is_no_body_is_refused_when_it_does_not_end(begun: bytes, more: bytes) -> None:
    async with listening(Echo(), limits=Limits(max_head=1000)) as opened:
        peer = await opened.connect()
        await peer.send(b"POST / HTTP/1.1\r\n" + HOST + begun)
        answering = asyncio.ensure_future(peer.answer())
        while not answering.done():
            await send(peer, more * 50, bytewise=False)
            await asyncio.sleep(0)
        assert (await answering).status == 400
        assert await peer.rest() == b""


# What an engine hands over: the same on both.


def service() -> HttpServer:
    server = HttpServer("127.0.0.1:0")

    async def tell(request: Request) -> Reply:
        return Reply(200, (), request.params["name"].encode())

    server.route("GET", "/files/{name}")(tell)
    server.route("GET", "/deep/{name=**}")(tell)
    server.mount(Mount(services=[]))
    return server


@pytest.mark.parametrize(
    "path",
    [
        "/files/%", "/files/%2", "/files/%zz", "/files/%-1", "/files/%u0061", "/files/a%",
        "/files/%ff", "/files/%c0%af", "/files/%c0%ae%c0%ae", "/files/%e0%80%af",
        "/files/%ed%a0%80", "/files/%f4%90%80%80", "/files/%f8%88%80%80%80", "/files/%80",
        "/deep/a/%c0%af", "/deep/%/a", "/%/nowhere",
    ],
)  # fmt: skip
async def test_escape_that_is_none_or_no_utf8_is_refused(open_peer: OpenPeer, path: str) -> None:
    async with open_peer(service()) as peer:
        answer = await peer.request("GET", path)
    assert answer.status == 400
    assert answer.json()["reason"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/files/%2e%2e%2fetc", "../etc"),  # one segment, a name like any other
        ("/files/..%5c..%5cetc", "..\\..\\etc"),
        ("/files/%252e%252e", "%2e%2e"),  # once, and not once more
        ("/files/a%00b", "a\0b"),
        ("/deep/a%2Fb/c", "a%2Fb/c"),
    ],
)
async def test_escapes_are_read_once_and_never_part_segments(
    open_peer: OpenPeer, path: str, name: str
) -> None:
    async with open_peer(service()) as peer:
        answer = await peer.request("GET", path)
    assert (answer.status, answer.body.decode()) == (200, name)


@pytest.mark.parametrize(
    "path",
    ["/deep/..", "/deep/a/../../x", "/deep/%2e%2e/x", "/deep/.%2e/x", "/deep/./x", "/files/%2E%2E"],
)
async def test_dot_segments_reach_no_handler(open_peer: OpenPeer, path: str) -> None:
    async with open_peer(service()) as peer:
        answer = await peer.request("GET", path)
    assert answer.status in (301, 404)
    assert ".." not in answer.header("location")


class Words(Service):
    """Does with a header what its request says."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (ECHO,)

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        way, _, value = request.value.partition(" ")
        if way == "header":
            call.reply_headers.set("x-said", value)
        elif way == "name":
            call.reply_headers.set(f"x-{value}", "1")
        elif way == "trailer":
            call.trailers.set("x-said", value)
        elif way == "error":
            raise Error(409, "SAID", value, {"said": value})
        elif way == "redirect":
            raise Redirect(value, 302)
        return request


@pytest.mark.parametrize("value", ["a\r\nset-cookie: e=1", "a\nb", "a\rb", "a\0b", "\r\n\r\n<p>"])
@pytest.mark.parametrize("way", ["header", "name", "trailer", "error", "redirect"])
async def test_what_a_handler_repeats_makes_no_header_of_its_own(
    open_peer: OpenPeer, way: str, value: str
) -> None:
    server = HttpServer("127.0.0.1:0")
    server.mount(Mount(services=[Words()]))
    body = StringValue(value=f"{way} {value}").SerializeToString()
    headers = [("Content-Type", "application/proto"), ("Accept", "application/json")]
    async with open_peer(server) as peer:
        answer = await peer.request("POST", "/kratos.testing/echo", headers=headers, body=body)
    assert answer.status == (409 if way == "error" else 500)
    names = {name for name, _ in (*answer.headers, *answer.trailers)}
    assert names <= {"date", "content-type", "content-length", "connection", "vary"}
    assert not answer.body.startswith(b"<p>")
    if way == "error":
        assert answer.json()["message"] == value


async def test_what_middleware_repeats_makes_no_header_of_its_own(open_peer: OpenPeer) -> None:
    async def repeat(call: Call, request: Any, next: Handler, /) -> Any:
        call.reply_headers.set("x-said", call.headers.get("x-say") + "\r\nset-cookie: evil=1")
        return await next(call, request)

    server = HttpServer("127.0.0.1:0", middleware=[repeat])
    server.mount(Mount(services=[Words()]))
    async with open_peer(server) as peer:
        headers = [("Content-Type", "application/json"), ("X-Say", "a")]
        answer = await peer.request("POST", "/kratos.testing/echo", headers=headers, body=b'"x"')
    assert answer.status == 500
    assert not answer.header("set-cookie")
