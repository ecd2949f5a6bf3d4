"""Headers of calls as gRPC metadata."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.transport import Header
from kratos_grpc._metadata import arrived, received, to_metadata, to_wire

names = st.from_regex(re.compile(r"x-[a-z0-9_.-]{0,8}[a-z0-9]"), fullmatch=True).filter(
    lambda name: not name.endswith("-bin")
)
values = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(st.lists(st.tuples(names, values)))
def test_texts_come_back_with_all_their_values_in_order(pairs: list[tuple[str, str]]) -> None:
    header = Header.of(pairs)
    assert received(to_metadata(header)) == header


@given(st.lists(st.binary(), min_size=1))
def test_bytes_travel_raw_under_binary_names(items: list[bytes]) -> None:
    header = Header()
    for each in items:
        header.add_bytes("x-raw-bin", each)
    metadata = to_metadata(header)
    assert [value for _, value in metadata] == items
    assert received(metadata).get_bytes("x-raw-bin") == items[0]
    assert received(metadata) == header


@pytest.mark.parametrize("name", ["x!y", "x~y", "x|y"])
def test_name_that_grpc_refuses_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name)):
        to_metadata(Header.of([(name, "1")]))


@pytest.mark.parametrize("value", ["grün", "tab\there", "\x7f"])
def test_value_that_grpc_refuses_names_its_header_and_the_way_out(value: str) -> None:
    with pytest.raises(ValueError, match="x-color-bin"):
        to_metadata(Header.of([("x-color", value)]))


def test_text_under_a_binary_name_is_refused() -> None:
    with pytest.raises(ValueError, match="add_bytes"):
        to_metadata(Header.of([("x-raw-bin", "*")]))


@pytest.mark.parametrize("name", ["content-type", "te", "grpc-timeout", "grpc-status", "host"])
def test_names_of_the_protocol_are_left_out(name: str) -> None:
    assert to_metadata(Header.of([(name, "1"), ("x-a", "2")])) == (("x-a", "2"),)


def test_nothing_received_is_an_empty_header() -> None:
    assert received(None) == received(()) == Header()


@given(st.lists(st.binary(max_size=20), min_size=1))
def test_bytes_travel_over_http_as_base64(items: list[bytes]) -> None:
    header = Header()
    for each in items:
        header.add_bytes("x-raw-bin", each)
    sent = to_wire(header)
    assert not any(b"=" in value for _, value in sent)
    assert Header(arrived(sent, frozenset())) == header


def test_binary_values_that_were_joined_or_padded_are_taken_apart() -> None:
    sent = [(b"x-raw-bin", b"AQI=, AwQ"), (b"x-a", b"1, 2")]
    assert arrived(sent, frozenset()) == [
        (b"x-raw-bin", b"AQI"),
        (b"x-raw-bin", b"AwQ"),
        (b"x-a", b"1, 2"),
    ]


def test_names_of_the_protocol_are_no_metadata() -> None:
    own = frozenset({b"te", b"grpc-timeout"})
    assert arrived([(b"te", b"trailers"), (b"x-a", b"1")], own) == [(b"x-a", b"1")]


def test_binary_value_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(Error, match="x-raw-bin") as failure:
        arrived([(b"x-raw-bin", b"***")], frozenset())
    assert (failure.value.code, failure.value.reason) == (400, "CODEC")
