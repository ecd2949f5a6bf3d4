"""Answers compressed as clients ask for."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos_gateway.api.compression_pb2 import Compression
from kratos_gateway.exchange import Answer
from kratos_gateway.middleware.codings import chosen
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

GZIP = Compression(codings=["gzip"])
TEXT = (b"content-type", b"text/plain")
LONG = b"a long text, " * 5000


async def answered(
    answer: Answer, *, accept: str = "gzip", method: str = "GET", options: Compression = GZIP
) -> Answer:
    headers = [("Accept-Encoding", accept)] if accept else []
    request = request_to(method=method, headers=headers)
    return await behind(Backend(answer), "compression", options)(request)


async def test_whole_answer_is_compressed() -> None:
    sent = [TEXT, (b"content-length", b"65000"), (b"etag", b'"1"'), (b"accept-ranges", b"bytes")]
    sent += [(b"content-md5", b"x"), (b"content-digest", b"x"), (b"repr-digest", b"x")]
    answer = await answered(Answer(200, sent, LONG))
    assert isinstance(answer.body, bytes)
    assert gzip.decompress(answer.body) == LONG
    assert answer.headers == [
        TEXT,
        (b"etag", b'W/"1"'),
        (b"vary", b"accept-encoding"),
        (b"content-encoding", b"gzip"),
    ]


async def test_pieces_without_an_announced_end_can_be_read_one_by_one() -> None:
    body = Pieces(b"one", b"two", trailers=[(b"a", b"1")])
    answer = await answered(Answer(200, [TEXT], body))
    assert not isinstance(answer.body, bytes)
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(await answer.body.read()) == b"one"
    assert unpacker.decompress(await answer.body.read()) == b"two"
    assert unpacker.decompress(await answer.body.read()) == b""
    assert unpacker.eof
    assert await answer.body.read() == b""
    assert answer.body.trailers == [(b"a", b"1")]
    answer.body.close()
    assert body.closed


async def test_pieces_of_an_announced_length_are_compressed_together() -> None:
    length = (b"content-length", b"%d" % len(LONG))
    pieces = [LONG[at : at + 100] for at in range(0, len(LONG), 100)]
    answer = await answered(Answer(200, [TEXT, length], Pieces(*pieces)))
    assert not isinstance(answer.body, bytes)
    got = b""
    while piece := await answer.body.read():
        got += piece
    assert gzip.decompress(got) == LONG
    assert len(got) < 1000
    assert not answer.header(b"content-length")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, [(b"content-type", b"image/png")], LONG),
        Answer(200, [(b"content-type", b"application/grpc")], LONG),
        Answer(200, [(b"content-type", b"text/event-stream")], LONG),
        Answer(200, [TEXT, (b"content-encoding", b"br")], LONG),
        Answer(200, [TEXT, (b"cache-control", b"no-transform")], LONG),
        Answer(206, [TEXT, (b"content-range", b"bytes 0-1/2")], LONG),
        Answer(204, [TEXT]),
    ],
)
async def test_what_gains_nothing_or_forbids_it_stays_as_it_is(answer: Answer) -> None:
    assert await answered(answer) == answer


@pytest.mark.parametrize(
    ("body", "accept", "length"),
    [(b"short", "gzip", b""), (LONG, "", b""), (LONG, "deflate", b""), (LONG, "gzip;q=0", b"")],
)
async def test_answer_that_would_be_another_for_others_says_so(
    body: bytes, accept: str, length: bytes
) -> None:
    answer = await answered(Answer(200, [TEXT], body), accept=accept)
    assert answer == Answer(200, [TEXT, (b"vary", b"accept-encoding")], body)


async def test_head_and_304_are_told_as_for_the_whole() -> None:
    head = Answer(200, [TEXT, (b"content-length", b"5000")])
    assert await answered(head, method="HEAD") == head
    answer = await answered(Answer(304, [(b"etag", b'"1"'), (b"vary", b"Accept-Encoding")]))
    assert answer.headers == [(b"etag", b'W/"1"'), (b"vary", b"Accept-Encoding")]


async def test_minimum_and_types_are_options() -> None:
    options = Compression(minimum=0, codings=["gzip"], types=["application/x-own"])
    answer = Answer(200, [(b"content-type", b"application/x-own")], b"a" * 100)
    assert (await answered(answer, options=options)).header(b"content-encoding") == b"gzip"


def test_coding_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="lzma"):
        behind(Backend(), "compression", Compression(codings=["lzma"]))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("GZIP ; q=1.0", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("identity", ""),
        ("br;q=a, gzip;q=0.000", ""),
        ("", ""),
    ],
)
def test_client_chooses_and_else_the_first_that_is_offered(accepted: str, coding: str) -> None:
    assert chosen(accepted.encode(), ("br", "gzip")) == coding


@given(st.binary(max_size=200))
def test_any_header_can_be_read(accepted: bytes) -> None:
    assert chosen(accepted, ("br", "gzip")) in ("br", "gzip", "")
