"""Header blocks are decoded as the hpack library decodes them, in whatever order they come."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos_http2.decompression import HpackDecoder
from kratos_http2.errors import ErrorCode, Http2Error

Pairs = list[tuple[bytes, bytes]]

WIDE = 1 << 20
PLAIN = (b"x-one", b"1")


def decoder(*, table: int = 4096, max_fields: int = WIDE) -> HpackDecoder:
    return HpackDecoder(table=table, max_fields=max_fields)


def by_library(library: Decoder, block: bytes) -> Pairs:
    return [(name, value) for name, value in library.decode(block, raw=True)]


names = st.sampled_from([b":path", b"grpc-timeout", b"x-request-id", b"cookie", b"te", b"x"])
values = st.one_of(
    st.sampled_from([b"trailers", b"/", b"", b"1999876u"]),
    st.binary(max_size=24),
    st.just(b"v" * 300),
)
lists = st.lists(st.tuples(names, values), max_size=8)


@given(st.lists(st.tuples(lists, st.booleans()), max_size=12), st.sampled_from([0, 64, 300, 4096]))
@settings(max_examples=80, deadline=None)
def test_blocks_of_an_encoder_are_read_as_the_library_reads_them(
    blocks: list[tuple[Pairs, bool]], size: int
) -> None:
    encoder, library, ours = Encoder(), Decoder(), decoder()
    library.max_header_list_size = WIDE
    encoder.header_table_size = size
    for fields, huffman in blocks:
        block = encoder.encode(fields, huffman=huffman)
        assert ours.decode(block) == by_library(library, block) == fields


@given(st.lists(st.binary(max_size=40), max_size=6))
@settings(max_examples=200, deadline=None)
def test_what_nobody_encodes_is_read_or_refused_as_the_library_does(blocks: list[bytes]) -> None:
    library, ours = Decoder(), decoder()
    library.max_header_list_size = WIDE
    for block in blocks:
        try:
            expected = by_library(library, block)
        except (HPACKError, IndexError, ValueError):
            with pytest.raises(Http2Error) as caught:
                ours.decode(block)
            assert caught.value.code is ErrorCode.COMPRESSION_ERROR
            return  # neither table is known any more
        assert ours.decode(block) == expected


def test_block_that_adds_a_field_changes_the_table_although_another_fell_out() -> None:
    reader = decoder()
    first = Encoder().encode([(b"x-one", b"a" * 4000)])
    assert reader.decode(first)
    assert reader.changed
    # Of equal size, and one entry as before: by size and count nothing has happened.
    second = b"\x40\x05x-two\x7f\xa1\x1e" + b"b" * 4000
    assert reader.decode(second) == [(b"x-two", b"b" * 4000)]
    assert reader.changed
    assert reader.decode(b"\xbe") == [(b"x-two", b"b" * 4000)]
    assert not reader.changed


@pytest.mark.parametrize(
    "block",
    [
        b"\x82\x86\x84",  # indexed fields
        b"\x0f\x2e\x01a",  # a literal with an indexed name, not added
        b"\x00\x01a\x01b",  # one with a name of its own
        b"\x10\x01a\x01b",  # one that is never to be added
    ],
)
def test_block_without_additions_leaves_the_table_alone(block: bytes) -> None:
    reader = decoder()
    assert reader.decode(block)
    assert not reader.changed


def test_field_that_is_larger_than_the_table_empties_it() -> None:
    reader = decoder()
    reader.decode(b"\x40\x05x-one\x011")
    assert reader.decode(b"\xbe") == [PLAIN]
    reader.decode(b"\x40\x05x-two\x7f\x81\x7f" + b"v" * 16_384)
    with pytest.raises(Http2Error, match="a field that there is not"):
        reader.decode(b"\xbe")


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x80", "index 0"),
        (b"\xbe", "a field that there is not"),
        (b"\xff\x80", "cut off"),
        (b"\xff" + b"\xff" * 9 + b"\x7f", "too large"),
        (b"\x00\x05x", "cut off"),
        (b"\x40", "cut off"),
        (b"\x00\x01a\x81\xff", "cut off"),  # padding of eight bits
        (b"\x00\x01a\x84\xff\xff\xff\xff", "a code that there is not"),
        (b"\x82\x20", "after a field"),
        (b"\x3f\xe2\x1f", "4097 bytes is not allowed"),
    ],
)
def test_block_that_cannot_be_decoded_says_why(block: bytes, why: str) -> None:
    with pytest.raises(Http2Error, match=why) as caught:
        decoder().decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_block_of_far_too_many_fields_is_refused() -> None:
    with pytest.raises(Http2Error) as caught:
        decoder(max_fields=100).decode(b"\x82" * 101)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert caught.value.limit == "max_header_list"
    assert len(decoder(max_fields=100).decode(b"\x82" * 100)) == 100


def test_peer_may_take_a_smaller_table_and_a_larger_one_that_was_announced() -> None:
    reader = decoder(table=8192)
    assert reader.decode(b"\x20\x3f\xe1\x3f\x40\x05x-one\x011") == [PLAIN]  # 0, then 8192
    assert reader.decode(b"\xbe") == [PLAIN]
    reader.decode(b"\x20")
    with pytest.raises(Http2Error):
        reader.decode(b"\xbe")


def test_peer_has_to_shrink_its_table_once_it_knows_that_ours_is_smaller() -> None:
    reader = decoder(table=64)
    assert reader.decode(b"\x40\x05x-one\x011") == [PLAIN]
    assert reader.decode(b"\xbe") == [PLAIN]  # it has not heard of our settings yet
    reader.acknowledged()
    with pytest.raises(Http2Error, match="begin with a smaller size") as caught:
        reader.decode(b"\xbe")
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    assert reader.decode(b"\x3f\x21\xbe") == [PLAIN]  # to 64
    with pytest.raises(Http2Error, match="65 bytes is not allowed"):
        reader.decode(b"\x3f\x22")


def test_peer_that_never_used_more_than_the_default_need_not_shrink_to_it() -> None:
    reader = decoder()
    reader.acknowledged()
    assert reader.decode(b"\x40\x05x-one\x011") == [PLAIN]
