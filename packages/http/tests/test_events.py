"""Server-sent events: what is written, and what any cut of it is read as."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos_http._events import COMMENT, EventParser, EventTooLarge, event

KINDS = st.text("abcdefg-", min_size=1, max_size=8)
EVENTS = st.lists(st.tuples(KINDS, st.binary(max_size=40)), max_size=6)


def parse(data: bytes, *, cuts: list[int] | None = None) -> list[tuple[str, bytes]]:
    parser = EventParser(1 << 20)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    return [found for start, end in pairwise(edges) for found in parser.feed(data[start:end])]


def test_event_has_the_form_of_go() -> None:
    assert event("message", b'{"a":1}') == b'event: message\ndata: {"a":1}\n\n'
    assert event("message", b"one\ntwo\n") == (b"event: message\ndata: one\ndata: two\ndata: \n\n")


def test_id_goes_between_type_and_data() -> None:
    assert event("message", b"x", "7") == b"event: message\nid: 7\ndata: x\n\n"


@pytest.mark.parametrize("identifier", ["a\nb", "a\rb", "a\0b"])
def test_id_that_would_end_its_line_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="no id of an event"):
        event("message", b"x", identifier)


@given(EVENTS, st.lists(st.integers(0, 10_000), max_size=5))
def test_events_survive_any_cut_with_comments_between(
    events: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    wire = COMMENT.join(event(kind, data) for kind, data in events)
    tidy = [(kind, data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")) for kind, data in events]
    assert parse(wire, cuts=cuts) == tidy


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 200), max_size=5))
def test_every_kind_of_line_end_is_understood(end: bytes, cuts: list[int]) -> None:
    wire = b"event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n".replace(b"\n", end)
    assert parse(wire, cuts=cuts) == [("a", b"1\n2"), ("message", b"3")]


def test_unknown_fields_byte_order_mark_and_missing_spaces_are_taken_as_the_standard_says() -> None:
    wire = b"\xef\xbb\xbfdata:x\nid: 7\nretry: 5\n: note\nevent:  b \nwhat\n\n"
    assert parse(wire) == [("b", b"x")]


def test_event_that_no_blank_line_ends_is_dropped() -> None:
    assert parse(b"data: 1\n\ndata: 2\n") == [("message", b"1")]


@pytest.mark.parametrize("wire", [b"data: " + b"x" * 200, b"data: x\n" * 40])
def test_event_beyond_the_limit_is_refused(wire: bytes) -> None:
    with pytest.raises(EventTooLarge, match="100 bytes"):
        EventParser(100).feed(wire)
