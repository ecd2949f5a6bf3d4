"""Clients and compression: what they send, what they ask for, what they read."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from threading import get_ident
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.selector import Node
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import CallOptions, Mount
from kratos_http import Compression, Decompression, HttpClient, HttpConnector, HttpServer
from kratos_http._decompress import inflate, inflated
from kratos_http._decompressors import INFLATERS, Inflater
from kratos_http._zstd import zstd
from kratos_http.testing import running

# By name: brotli comes without types, and where the other is depends on the interpreter.
brotli: Any = import_module("brotli")
zstandard: Any = zstd()

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Node]]

LONG = "kratos " * 2000
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=3),
    "zstd": zstandard.compress,
}
CODINGS = tuple(PACK)


class Answer:
    """Answers alike each time, and notes what it was asked."""

    def __init__(self, body: bytes, *headers: bytes) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        lines = b"".join(b"%b\r\n" % header for header in headers)
        self._data = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(length or 0)))
            writer.write(self._data)

    def asked(self, name: str) -> str:
        """Return the last request's header."""
        for line in self.heads[-1].decode().split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key == name:
                return value
        return ""


@pytest.mark.parametrize("coding", CODINGS)
async def test_compressed_reply_is_read(serve: Serve, coding: str) -> None:
    answer = Answer(PACK[coding](f'"{LONG}"'.encode()), b"Content-Encoding: %b" % coding.encode())
    connector = HttpConnector(accept_encodings=[coding])
    async with Client((await serve(answer)).address, transport=connector) as caller:
        assert (await caller.unary(ECHO, text("x"))).value == LONG
        reply = await HttpClient(caller).request("GET", "/x")
    assert answer.asked("accept-encoding") == coding
    assert reply.headers.get("content-encoding") == ""
    assert reply.headers.get("content-length") == ""
    assert reply.body == f'"{LONG}"'.encode()


async def test_gzip_is_asked_for_by_default_and_nothing_if_told_so(serve: Serve) -> None:
    answer = Answer(b'"x"')
    address = (await serve(answer)).address
    async with Client(address) as caller:
        await caller.unary(ECHO, text("x"))
        assert answer.asked("accept-encoding") == "gzip"
        options = CallOptions(headers={"accept-encoding": "identity"})
        await caller.unary(ECHO, text("x"), options)
        assert answer.asked("accept-encoding") == "identity"
    async with Client(address, transport=HttpConnector(accept_encodings=())) as caller:
        await caller.unary(ECHO, text("x"))
    assert answer.asked("accept-encoding") == ""


@pytest.mark.parametrize("coding", CODINGS)
async def test_bomb_is_not_made(serve: Serve, coding: str) -> None:
    bomb = PACK[coding](b"\0" * 20_000_000)
    answer = Answer(bomb, b"Content-Encoding: %b" % coding.encode())
    connector = HttpConnector(max_reply=100_000)
    async with Client((await serve(answer)).address, transport=connector) as caller:
        with pytest.raises(Error, match="100000 bytes") as failure:
            await caller.unary(ECHO, text("x"))
    assert (failure.value.code, failure.value.reason) == (500, "REPLY_TOO_LARGE")


@pytest.mark.parametrize("coding", [*CODINGS, "compress", "gzip, gzip"])
async def test_reply_in_no_such_coding_is_an_error(serve: Serve, coding: str) -> None:
    answer = Answer(b"nonsense", b"Content-Encoding: %b" % coding.encode())
    async with Client((await serve(answer)).address) as caller:
        with pytest.raises(Error, match="the reply") as failure:
            await caller.unary(ECHO, text("x"))
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")


@pytest.mark.parametrize("coding", CODINGS)
def test_truncated_body_is_an_error(coding: str) -> None:
    noise = random.Random(1).randbytes(20_000)
    packed = PACK[coding](noise)
    for cut in (1, 5, len(packed) // 2):
        with pytest.raises(Error):
            inflate(packed[:-cut], coding, 1_000_000)


@given(data=st.binary(max_size=5000), coding=st.sampled_from(CODINGS), times=st.integers(1, 50))
def test_what_was_compressed_comes_back_within_the_limit(
    data: bytes, coding: str, times: int
) -> None:
    body = data * times
    assert inflate(PACK[coding](body), coding, len(body)) == body
    if body:
        with pytest.raises(Error, match="exceeds"):
            inflate(PACK[coding](body), coding, len(body) - 1)


@given(data=st.binary(max_size=300), coding=st.sampled_from(CODINGS))
def test_nonsense_is_an_error_and_nothing_else(data: bytes, coding: str) -> None:
    try:
        inflate(data, coding, 1000)
    except Error as error:
        assert error.reason in ("BAD_REQUEST", "BODY_TOO_LARGE")  # noqa: PT017


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_follow_one_another(coding: str) -> None:
    assert inflate(PACK[coding](b"a") + PACK[coding](b"b"), coding, 10) == b"ab"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_that_make_nothing_are_refused_when_they_are_many(coding: str) -> None:
    """Each costs a new decompressor: four MiB of them would take minutes."""
    member = PACK[coding](b"")
    assert inflate(member * 200, coding, 10) == b""
    with pytest.raises(Error, match="too many members"):
        inflate(member * 20_000, coding, 10)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_large_members_may_be_as_many_as_they_like(coding: str) -> None:
    rng = random.Random(1)
    parts = [rng.randbytes(2000) for _ in range(1000)]
    assert inflate(b"".join(map(PACK[coding], parts)), coding, 2_000_000) == b"".join(parts)


def test_what_follows_a_member_is_not_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    new = INFLATERS["gzip"]

    def noting() -> Inflater:
        made: Any = new()
        step = made.step

        def noted(data: bytes, most: int, /) -> Any:
            given.append(len(data))
            return step(data, most)

        made.step = noted
        return cast("Inflater", made)

    monkeypatch.setitem(INFLATERS, "gzip", noting)
    data = PACK["gzip"](b"") * 100 + PACK["gzip"](random.Random(1).randbytes(1_000_000))
    assert len(inflate(data, "gzip", 1_000_000)) == 1_000_000
    assert max(given) <= 64 * 1024


@pytest.mark.parametrize(
    ("coding", "size", "here"),
    [
        ("gzip", 3, True),
        ("deflate", 3, True),
        ("gzip", 20_000, False),
        ("br", 3, False),
        ("zstd", 3, False),
    ],
)
async def test_what_may_become_megabytes_is_made_in_a_thread(
    coding: str, size: int, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    new = INFLATERS[coding]

    def noting() -> Inflater:
        made.append(get_ident())
        return new()

    monkeypatch.setitem(INFLATERS, coding, noting)
    data = random.Random(1).randbytes(size)
    assert await inflated(PACK[coding](data), coding, size, short=1000) == data
    assert (made == [get_ident()]) is here


def test_zstandard_whose_size_is_not_told_is_read() -> None:
    compressor = zstandard.ZstdCompressor()
    packed = compressor.compress(b"x" * 100_000) + compressor.flush()
    assert inflate(packed, "zstd", 100_000) == b"x" * 100_000


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_long_request_is_compressed(serve: Serve, coding: str) -> None:
    answer = Answer(b'"x"')
    connector = HttpConnector(compression=coding)
    async with Client((await serve(answer)).address, transport=connector) as caller:
        for size in (3000, 300_000):
            await caller.unary(ECHO, text("x" * size))
            assert answer.asked("content-encoding") == coding
            assert answer.asked("content-type") == "application/protojson"
            assert len(answer.bodies[-1]) < 500
            assert inflate(answer.bodies[-1], coding, 400_000) == b'"%b"' % (b"x" * size)


async def test_what_gains_nothing_is_sent_as_it_is(serve: Serve) -> None:
    answer = Answer(b'"x"')
    connector = HttpConnector(compression="gzip")
    noise = random.Random(1).randbytes(5000)
    async with Client((await serve(answer)).address, transport=connector) as caller:
        client = HttpClient(caller)
        await caller.unary(ECHO, text("short"))
        assert answer.asked("content-encoding") == ""
        await client.request("POST", "/x", body=b"x" * 5000, content_type="image/png")
        assert answer.asked("content-encoding") == ""
        await client.request("POST", "/x", body=noise, content_type="text/plain")
        assert (answer.asked("content-encoding"), answer.bodies[-1]) == ("", noise)
        options = CallOptions(headers={"content-encoding": "own"})
        kind = "text/plain"
        await client.request("POST", "/x", body=b"x" * 5000, content_type=kind, options=options)
        assert answer.asked("content-encoding") == "own"


async def test_both_ends_compress() -> None:
    server = HttpServer("127.0.0.1:0", filters=[Compression(), Decompression()])
    server.mount(Mount(services=[EchoService()]))
    connector = HttpConnector(compression="gzip", accept_encodings=("zstd", "br", "gzip"))
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport=connector) as caller:
            assert (await caller.unary(ECHO, text(LONG))).value == LONG
            async with caller.server_stream(WATCH, text(LONG)) as replies:
                assert len([reply async for reply in replies]) == 2000


async def test_compressed_error_is_read(serve: Serve) -> None:
    body = gzip.compress(b'{"code":404,"reason":"R","message":"m"}')

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 404 No\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    async with Client((await serve(script)).address) as caller:
        with pytest.raises(Error) as failure:
            await HttpClient(caller).request("GET", "/x")
        assert (failure.value.code, failure.value.reason) == (404, "R")
        with pytest.raises(Error) as failure:
            async with caller.server_stream(WATCH, text("x")):
                pass
        assert (failure.value.code, failure.value.reason) == (404, "R")


async def test_compressed_events_are_refused(serve: Serve) -> None:
    answer = Answer(b"?", b"Content-Type: text/event-stream", b"Content-Encoding: gzip")
    async with Client((await serve(answer)).address) as caller:
        with pytest.raises(Error, match="compressed"):
            async with caller.server_stream(WATCH, text("x")):
                pass
    assert answer.asked("accept-encoding") == ""


@pytest.mark.parametrize(
    ("options", "word"),
    [({"compression": "rar"}, "rar"), ({"accept_encodings": ["rar"]}, "rar")],
)
def test_unknown_coding_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        HttpConnector(**options)
