"""Compressed answers and requests, on both engines."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait
from kratos.offload import CURRENT, Offload
from kratos.transport import Mount
from kratos.transport.cause import Cause
from kratos.transport.http import Reply, WireHeaders
from kratos_http import Compression, Decompression, HttpServer, Limits, Request, StreamReply
from kratos_http._codings import choose
from kratos_http._decompress import InflatedWire, inflate
from kratos_http._packing import Packing
from kratos_http._plan import Body
from kratos_http._zstd import zstd
from kratos_http.testing import OpenPeer, eventually

JSON = (b"content-type", b"application/json; charset=utf-8")
TEXT = b'{"name":"kratos"}' * 5000
GZIP = [("Accept-Encoding", "gzip")]


def decompressed(coding: str, data: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(data)
    library: Any = import_module("brotli") if coding == "br" else zstd()
    whole: bytes = library.decompress(data)
    return whole


def compressed(coding: str, data: bytes) -> bytes:
    if coding == "gzip":
        return gzip.compress(data)
    if coding == "deflate":
        return zlib.compress(data)
    library: Any = import_module("brotli") if coding == "br" else zstd()
    whole: bytes = library.compress(data)
    return whole


CODINGS = pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])


def server_of(reply: Reply, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", filters=[Compression(**options)])
    length: int | None = len(reply.body)

    @server.route("GET", "/whole")
    async def whole(_request: Request) -> Reply:
        return reply

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(reply.body), 40_000):
            yield reply.body[start : start + 40_000]

    @server.route("GET", "/known", streamed=True)
    async def known(_request: Request) -> StreamReply:
        return StreamReply(
            pieces=pieces(), status=reply.status, headers=reply.headers, length=length
        )

    @server.route("GET", "/unknown", streamed=True)
    async def unknown(_request: Request) -> StreamReply:
        return StreamReply(pieces=pieces(), status=reply.status, headers=reply.headers)

    server.mount(Mount(services=()))
    return server


WAYS = pytest.mark.parametrize("path", ["/whole", "/known", "/unknown"])


@WAYS
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_answer_is_compressed_as_asked_for(
    open_peer: OpenPeer, path: str, coding: str
) -> None:
    reply = Reply(200, (JSON, (b"etag", b'"a"'), (b"accept-ranges", b"bytes")), TEXT)
    async with open_peer(server_of(reply)) as peer:
        answer = await peer.request("GET", path, headers=[("Accept-Encoding", coding)])
    assert answer.header("content-encoding") == coding
    assert answer.header("vary") == "accept-encoding"
    assert answer.header("etag") == 'W/"a"'
    assert answer.header("accept-ranges") == ""
    assert len(answer.body) < len(TEXT) / 10
    assert decompressed(coding, answer.body) == TEXT


@WAYS
async def test_head_has_the_headers_of_the_compressed_answer(
    open_peer: OpenPeer, path: str
) -> None:
    async with open_peer(server_of(Reply(200, (JSON,), TEXT))) as peer:
        answer = await peer.request("HEAD", path, headers=GZIP)
    assert (answer.header("content-encoding"), answer.body) == ("gzip", b"")


@WAYS
async def test_peer_that_asks_for_nothing_gets_the_answer_as_it_is(
    open_peer: OpenPeer, path: str
) -> None:
    async with open_peer(server_of(Reply(200, (JSON, (b"etag", b'"a"')), TEXT))) as peer:
        answer = await peer.request("GET", path)
    assert answer.body == TEXT
    assert answer.header("content-encoding") == ""
    assert answer.header("etag") == '"a"'
    assert answer.header("vary") == "accept-encoding"


@WAYS
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"content-type", b"image/png")]),
        (200, [(b"content-type", b"text/event-stream")]),
        (200, [(b"content-type", b"application/zip")]),
        (200, [(b"content-type", b"application/grpc+json")]),
        (200, [(b"content-type", b"application/connect+json")]),
        (200, []),
        (200, [JSON, (b"content-encoding", b"br")]),
        (200, [JSON, (b"cache-control", b"public, No-Transform")]),
        (206, [JSON, (b"content-range", b"bytes 0-1/2")]),
    ],
    ids=str,
)
async def test_answer_that_must_not_be_changed_is_not(
    open_peer: OpenPeer, path: str, status: int, headers: WireHeaders
) -> None:
    async with open_peer(server_of(Reply(status, headers, TEXT))) as peer:
        answer = await peer.request("GET", path, headers=GZIP)
    assert answer.body == TEXT
    assert "gzip" not in answer.values("content-encoding")


async def test_what_gains_nothing_is_not_compressed(open_peer: OpenPeer) -> None:
    short = server_of(Reply(200, (JSON,), b"a" * 1023))
    async with open_peer(short) as peer:
        for path in ("/whole", "/known"):
            answer = await peer.request("GET", path, headers=GZIP)
            assert (answer.body, answer.header("vary")) == (b"a" * 1023, "accept-encoding")
    noise = random.Random(1).randbytes(5000)
    async with open_peer(server_of(Reply(200, (JSON,), noise))) as peer:
        assert (await peer.request("GET", "/whole", headers=GZIP)).body == noise


async def test_unchanged_answer_has_the_tag_of_the_compressed_one(open_peer: OpenPeer) -> None:
    async with open_peer(server_of(Reply(304, ((b"etag", b'"a"'),)))) as peer:
        for path in ("/whole", "/unknown"):
            answer = await peer.request("GET", path, headers=GZIP)
            assert (answer.header("etag"), answer.header("vary")) == ('W/"a"', "accept-encoding")


async def test_answer_in_place_of_one_that_cannot_begin_is_what_it_says(
    open_peer: OpenPeer,
) -> None:
    server = HttpServer("127.0.0.1:0", filters=[Compression()])

    @server.route("GET", "/", streamed=True)
    async def bad(_request: Request) -> StreamReply:
        async def pieces() -> AsyncIterator[bytes]:
            yield TEXT

        return StreamReply(pieces=pieces(), headers=[JSON, (b"x-a", b"b\r\nc: d")])

    server.mount(Mount())
    async with open_peer(server) as peer:
        answer = await peer.request("GET", "/", headers=GZIP)
    assert (answer.status, answer.json()["reason"]) == (500, "UNKNOWN")
    assert answer.values("content-encoding") == []


async def test_type_of_ones_own_is_compressed(open_peer: OpenPeer) -> None:
    reply = Reply(200, ((b"content-type", b"model/gltf"),), TEXT)
    async with open_peer(server_of(reply, types=["model/gltf"], codings=["gzip"])) as peer:
        answer = await peer.request("GET", "/whole", headers=[("Accept-Encoding", "br, gzip")])
    assert answer.header("content-encoding") == "gzip"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP;Q=1", "gzip"),
        ("gzip, br", "br"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("br;q=0, *", "zstd"),
        ("*;q=0", ""),
        ("gzip;q=0", ""),
        ("gzip;q=0.5, identity;q=0.8", ""),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=nan", ""),
        ("gzip;q=7", ""),
        ("deflate", ""),
        (",;,=", ""),
        ("a," * 1000 + "gzip", ""),
    ],
)
def test_coding_is_chosen_by_weight_and_then_by_the_server(accept: str, chosen: str) -> None:
    assert choose(accept, ("zstd", "br", "gzip")) == chosen


@given(st.text(alphabet="gzipbr*;q=.01, \t"))
def test_any_accept_encoding_chooses_something_offered(accept: str) -> None:
    assert choose(accept, ("br", "gzip")) in ("", "br", "gzip")


def receiving(**options: Any) -> HttpServer:
    server = HttpServer(
        "127.0.0.1:0", filters=[Decompression(**options)], limits=Limits(max_body=100_000)
    )
    for streamed in (False, True):

        @server.route("POST", f"/{streamed}", streamed=streamed)
        async def handler(request: Request) -> Reply:
            assert "content-encoding" not in request.headers
            return Reply(200, (), b"%d" % zlib.crc32(await request.body()))

    server.mount(Mount(services=()))
    return server


BOTH = pytest.mark.parametrize("path", ["/False", "/True"])


@BOTH
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("X-GZip", gzip.compress(b"a")),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        ("deflate", zlib.compress(TEXT)),
        ("zstd", compressed("zstd", TEXT)),
        ("zstd", compressed("zstd", TEXT[:100]) + compressed("zstd", TEXT[100:])),
        ("br", compressed("br", TEXT)),
        ("identity", TEXT),
        ("gzip", b""),
    ],
    ids=["gzip", "x-gzip", "members", "deflate", "zstd", "frames", "br", "identity", "empty"],
)
async def test_compressed_body_is_read_as_if_it_were_not(
    open_peer: OpenPeer, path: str, coding: str, body: bytes
) -> None:
    plain = b"a" if coding == "X-GZip" else TEXT if body else b""
    headers = [("Content-Encoding", coding)]
    if coding == "identity":
        headers = []
    async with open_peer(receiving()) as peer:
        answer = await peer.request("POST", path, headers=headers, body=body)
    assert answer.body == b"%d" % zlib.crc32(plain)


@BOTH
@CODINGS
@pytest.mark.parametrize("how", ["cut", "half", "other", "followed"])
async def test_malformed_body_is_refused(
    open_peer: OpenPeer, path: str, coding: str, how: str
) -> None:
    whole = compressed(coding, random.Random(1).randbytes(500))
    body = {
        "cut": whole[:-1],
        "half": whole[: len(whole) // 2],
        "other": b"none of them",
        "followed": compressed(coding, b"a") + b"more",
    }[how]
    async with open_peer(receiving()) as peer:
        headers = [("Content-Encoding", coding)]
        answer = await peer.request("POST", path, headers=headers, body=body)
    assert (answer.status, answer.json()["reason"]) == (400, "BAD_REQUEST")


@BOTH
@CODINGS
@pytest.mark.parametrize("size", [100_001, 20_000_000])
async def test_body_that_becomes_too_large_is_refused(
    open_peer: OpenPeer, path: str, coding: str, size: int
) -> None:
    async with open_peer(receiving()) as peer:
        headers = [("Content-Encoding", coding)]
        body = compressed(coding, bytes(size))
        answer = await peer.request("POST", path, headers=headers, body=body)
        assert (answer.status, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")


@BOTH
async def test_own_limit_holds_after_decompression(open_peer: OpenPeer, path: str) -> None:
    headers = [("Content-Encoding", "deflate")]
    async with open_peer(receiving(max_size=10)) as peer:
        fits = await peer.request("POST", path, headers=headers, body=zlib.compress(b"a" * 10))
        answer = await peer.request("POST", path, headers=headers, body=zlib.compress(b"a" * 11))
    assert (fits.status, answer.status) == (200, 413)


@BOTH
@pytest.mark.parametrize("coding", ["lzma", "gzip, gzip", "unknown"])
async def test_other_codings_are_refused(open_peer: OpenPeer, path: str, coding: str) -> None:
    async with open_peer(receiving()) as peer:
        headers = [("Content-Encoding", coding)]
        answer = await peer.request("POST", path, headers=headers, body=b"a")
    assert (answer.status, answer.header("accept-encoding")) == (415, "gzip, deflate, zstd, br")


class Pieces:
    """A wire from which a body comes in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def start(self, status: int, headers: WireHeaders, /) -> None: ...

    async def write(self, data: bytes, /) -> None: ...

    async def finish(self, trailers: WireHeaders = (), /) -> None: ...

    def reset(self, cause: Cause, /) -> None: ...


@CODINGS
async def test_bomb_is_inflated_in_pieces_of_bounded_size(coding: str) -> None:
    size = 10_000_000
    wire = InflatedWire(Pieces([compressed(coding, bytes(size))]), coding, None)
    total = 0
    while piece := await wire.read():
        assert len(piece) <= 64 * 1024
        total += len(piece)
    assert total == size


@CODINGS
async def test_others_have_their_turn_while_a_bomb_is_read(coding: str) -> None:
    wire = InflatedWire(Pieces([compressed(coding, bytes(8 * 1024 * 1024))]), coding, None)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    waiting = asyncio.ensure_future(others())
    while await wire.read():
        pass
    await cancel_and_wait(waiting)
    assert turns > 4


async def test_window_that_takes_much_memory_is_refused() -> None:
    library = zstd()
    options = {library.CompressionParameter.window_log: 27}
    compressor = library.ZstdCompressor(options=options)
    body = compressor.compress(random.Random(1).randbytes(9_000_000)) + compressor.flush()
    with pytest.raises(Error) as refusal:
        inflate(body, "zstd", 10_000_000)
    assert refusal.value.code == 400


@CODINGS
@given(
    members=st.lists(st.binary(max_size=300), max_size=4),
    cut=st.integers(1, 50),
    repeated=st.sampled_from([1, 10, 1000]),
)
async def test_body_cut_anywhere_is_inflated_alike(
    coding: str, members: list[bytes], cut: int, repeated: int
) -> None:
    if coding in ("deflate", "br"):
        members = members[:1]
    plain = b"".join(each * repeated for each in members)
    data = b"".join(compressed(coding, each * repeated) for each in members)
    assert inflate(data, coding, len(plain)) == plain
    wire = InflatedWire(
        Pieces([data[at : at + cut] for at in range(0, len(data), cut)]), coding, len(plain)
    )
    read = b""
    while piece := await wire.read():
        read += piece
    assert read == plain
    if plain:
        with pytest.raises(Error) as refusal:
            inflate(data, coding, len(plain) - 1)
        assert refusal.value.code == 413


@pytest.mark.parametrize(
    "make",
    [
        lambda: Compression(minimum=-1),
        lambda: Compression(codings=["lzma"]),
        lambda: Decompression(max_size=0),
    ],
    ids=["minimum", "coding", "size"],
)
def test_wrong_options_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()


@asynccontextmanager
async def without_threads() -> AsyncGenerator[None]:
    """Leave no thread to compress in."""
    done = threading.Event()
    async with Offload(threads=1, queue=0) as pool:
        token = CURRENT.set(pool)
        blocked = asyncio.ensure_future(pool.run(done.wait))
        try:
            await eventually(lambda: pool.running)
            yield
        finally:
            CURRENT.reset(token)
            done.set()
            await blocked


async def test_long_answer_is_sent_as_it_is_while_no_thread_is_free(open_peer: OpenPeer) -> None:
    async with without_threads(), open_peer(server_of(Reply(200, (JSON,), TEXT))) as peer:
        answer = await peer.request("GET", "/whole", headers=GZIP)
        assert (answer.status, answer.body) == (200, TEXT)
        assert answer.header("content-encoding") == ""
        assert answer.header("vary") == "accept-encoding"


@pytest.mark.parametrize("path", ["/known", "/unknown"])
async def test_long_pieces_are_compressed_while_no_thread_is_free(
    open_peer: OpenPeer, path: str
) -> None:
    async with without_threads(), open_peer(server_of(Reply(200, (JSON,), TEXT))) as peer:
        answer = await peer.request("GET", path, headers=GZIP)
        assert answer.header("content-encoding") == "gzip"
        assert gzip.decompress(answer.body) == TEXT


async def test_long_request_is_sent_as_it_is_while_no_thread_is_free() -> None:
    body = Body("application/json", TEXT)
    async with without_threads():
        assert await Packing("gzip").pack(body) is body
