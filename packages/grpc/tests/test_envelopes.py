"""Messages within a body, and their codings."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos_grpc._codings import CODINGS, Coding, compressed, decompressed, listed_in
from kratos_grpc._envelopes import Envelopes, envelope, whole

GZIP, DEFLATE = CODINGS[b"gzip"], CODINGS[b"deflate"]
MOST = 1 << 20

messages = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8)


def pieces_of(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    return [*pieces, body]


@given(messages, st.lists(st.integers(0, 9), max_size=40))
def test_messages_are_the_same_however_the_body_is_cut(
    sent: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    body = b"".join(envelope(data, flags) for flags, data in sent)
    envelopes = Envelopes(MOST)
    found: list[tuple[int, bytes]] = []
    for piece in pieces_of(body, sizes):
        envelopes.feed(piece)
        while (message := envelopes.take()) is not None:
            found.append(message)
    assert found == sent
    assert not envelopes.begun


@given(st.binary(max_size=40), st.integers(1, 44))
def test_body_that_ends_within_a_message_is_noticed(data: bytes, cut: int) -> None:
    body = envelope(data)
    cut = min(cut, len(body) - 1)
    with pytest.raises(Error) as failure:
        whole(body[:cut], MOST)
    assert (failure.value.code, failure.value.reason) == (400, "CODEC")


def test_body_without_messages_has_none() -> None:
    assert whole(b"", MOST) == []


def test_message_that_is_too_large_is_refused_by_its_size_alone() -> None:
    envelopes = Envelopes(100)
    envelopes.feed(envelope(bytes(100)))
    assert envelopes.take() == (0, bytes(100))
    envelopes.feed(envelope(bytes(101))[:5])
    with pytest.raises(Error, match=r"101 bytes exceeds 100 bytes.*max_receive") as failure:
        envelopes.take()
    assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize("coding", [GZIP, DEFLATE])
@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
async def test_message_comes_back_from_its_coding(coding: Coding, size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert await decompressed(await compressed(data, coding), coding, size) == data


def test_codings_are_those_of_other_implementations() -> None:
    assert gzip.decompress(GZIP.compress(b"hello")) == b"hello"
    assert zlib.decompress(DEFLATE.compress(b"hello")) == b"hello"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_bomb_is_refused_when_the_limit_is_passed(coding: str) -> None:
    bomb = CODINGS[coding.encode()].compress(bytes(MOST + 1))
    assert len(bomb) < MOST // 500
    with pytest.raises(Error, match="the request, decompressed,") as failure:
        await decompressed(bomb, CODINGS[coding.encode()], MOST)
    assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"hello", "incorrect header"),
        (GZIP.compress(b"hello")[:-1], "ends early"),
        (GZIP.compress(b"hello") + b"x", "something follows"),
        (b"", "ends early"),
    ],
)
async def test_malformed_message_is_told_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(Error, match=problem) as failure:
        await decompressed(data, GZIP, MOST)
    assert (failure.value.code, failure.value.reason) == (400, "CODEC")


def test_accepted_codings_are_read_as_clients_write_them() -> None:
    assert listed_in(b"identity, gzip,DEFLATE") == {b"identity", b"gzip", b"deflate"}
