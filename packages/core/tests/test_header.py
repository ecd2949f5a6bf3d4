"""Headers of calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.transport import Header

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True).filter(
    lambda name: not name.endswith("-bin")
)
VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


def test_names_have_no_case() -> None:
    header = Header.of([("X-Md-Color", "red")])
    assert header.get("x-md-color") == header.get("X-MD-COLOR") == "red"
    assert "X-md-Color" in header
    assert header.keys() == ["x-md-color"]


def test_values_repeat_in_order() -> None:
    header = Header.of([("a", "1"), ("b", "2"), ("A", "3")])
    assert header.values("a") == ["1", "3"]
    assert list(header.items()) == [("a", "1"), ("a", "3"), ("b", "2")]


def test_set_replaces_and_remove_forgets() -> None:
    header = Header.of([("a", "1"), ("a", "2")])
    header.set("A", "3")
    assert header.values("a") == ["3"]
    header.remove("A")
    assert header.values("a") == []
    assert header.get("a", "none") == "none"


def test_binary_values_are_base64_on_the_wire() -> None:
    header = Header()
    header.add_bytes("trace-bin", b"\x00\xff\xfe")
    assert header.get("trace-bin") == "AP/+"
    assert header.get_bytes("Trace-Bin") == b"\x00\xff\xfe"
    assert header.get_bytes("other-bin") is None


@given(st.binary())
def test_binary_values_survive(value: bytes) -> None:
    header = Header()
    header.add_bytes("x-bin", value)
    assert Header(header.raw()).get_bytes("x-bin") == value


def test_binary_value_with_padding_is_read() -> None:
    assert Header([(b"x-bin", b"AA==")]).get_bytes("x-bin") == b"\x00"


def test_broken_binary_value_is_named() -> None:
    with pytest.raises(ValueError, match="'x-bin' is no base64"):
        Header([(b"x-bin", b"?")]).get_bytes("x-bin")


def test_bytes_under_a_text_name_are_refused() -> None:
    with pytest.raises(ValueError, match="-bin"):
        Header().add_bytes("x", b"")
    with pytest.raises(ValueError, match="-bin"):
        Header().get_bytes("x")


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\0b"])
def test_line_break_in_a_value_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        Header().add("x", value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "a\n"])
def test_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no header name"):
        Header().set(name, "x")


def test_frozen_header_refuses_changes() -> None:
    header = Header.of([("a", "1")])
    header.freeze()
    with pytest.raises(RuntimeError, match="already sent"):
        header.add("a", "2")
    with pytest.raises(RuntimeError, match="already sent"):
        header.set("a", "2")
    with pytest.raises(RuntimeError, match="already sent"):
        header.remove("a")
    assert header.values("a") == ["1"]


def test_copy_of_a_frozen_header_may_change() -> None:
    header = Header.of([("a", "1")])
    header.freeze()
    copy = header.copy()
    copy.add("a", "2")
    assert (header.values("a"), copy.values("a")) == (["1"], ["1", "2"])


def test_text_of_a_header_holds_no_values() -> None:
    assert "secret" not in repr(Header.of([("authorization", "secret")]))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_header_survives_the_wire(pairs: list[tuple[str, str]]) -> None:
    header = Header.of(pairs)
    assert Header(header.raw()) == header


@given(st.binary())
def test_any_bytes_can_be_read_and_passed_on(value: bytes) -> None:
    header = Header([(b"x", value)])
    header.get("x")
    assert header.raw() == [(b"x", value)]


@pytest.mark.parametrize("value", ["a\ud800b", "\udfff"], ids=["high", "low"])
def test_text_that_no_wire_can_carry_is_refused_when_it_is_written(value: str) -> None:
    with pytest.raises(ValueError, match=r"'x' holds .* lone surrogate"):
        Header().set("x", value)


@pytest.mark.parametrize("value", [5, b"bytes", None])
def test_value_that_is_no_text_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match=r"value of header 'x' is (int|bytes|NoneType), not str"):
        Header().add("x", value)


PAIRS = st.lists(st.tuples(st.sampled_from(["x-md-a", "x-md-b", "x-other", "x"]), VALUES))


@given(pairs=PAIRS, again=st.booleans())
def test_pairs_by_prefix_are_the_same_from_wire_form_and_from_text(
    pairs: list[tuple[str, str]],
    again: bool,
) -> None:
    wire = [(name.encode(), value.encode()) for name, value in pairs]
    expected = [pair for pair in Header.of(pairs).items() if pair[0].startswith("x-md-")]
    assert Header.of(pairs).starting_with(("x-md-",)) == expected
    assert Header(wire if again else iter(wire)).starting_with(("x-md-",)) == expected


def test_received_pairs_are_headers_with_their_bytes_as_base64() -> None:
    header = Header.received((("x-a", "1"), ("x-raw-bin", b"\x00\xff"), ("x-a", "2")))
    assert header.values("x-a") == ["1", "2"]
    assert header.get_bytes("x-raw-bin") == b"\x00\xff"
    assert header == Header.of([("x-a", "1"), ("x-a", "2"), ("x-raw-bin", "AP8")])


def test_received_pairs_are_searched_by_prefix_decoded_or_not() -> None:
    header = Header.received((("user-agent", "go"), ("x-md-a", "1"), ("x-md-b-bin", b"\x01")))
    assert header.starting_with(("x-other-",)) == []
    assert header.starting_with(("x-md-",)) == [("x-md-a", "1"), ("x-md-b-bin", "AQ")]
    assert header.starting_with(("user-",)) == [("user-agent", "go")]


@pytest.mark.parametrize("made", ["raw", "received", "written"])
def test_names_are_looked_for_without_decoding_what_is_not_there(made: str) -> None:
    header = {
        "raw": Header([(b"x-md-a", b"1"), (b"broken", b"\xff")]),
        "received": Header.received([("x-md-a", "1"), ("broken", b"\xff")]),
        "written": Header.of([("x-md-a", "1"), ("broken", "2")]),
    }[made]
    assert header.mentions(("x-md-",))
    assert header.mentions(("other", "x-md-a"))
    assert not header.mentions(("x-mda", "md"))
    assert header.starting_with(("x-md-",)) == [("x-md-a", "1")]
