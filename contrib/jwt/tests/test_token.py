"""The strict reader of tokens, held to what it says with arbitrary input."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kratos_jwt import Refused
from kratos_jwt.token import decode_json, decode_segment, parse_header, split

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary())
def test_every_value_has_one_text(data: bytes) -> None:
    assert decode_segment(urlsafe_b64encode(data).rstrip(b"=").decode()) == data


@given(st.text(ALPHABET, min_size=1, max_size=12))
@example("AB")
@example("A")
@example("AQ")
@example("AAB")
@example("AAE")
def test_any_other_text_is_refused(text: str) -> None:
    try:
        data = decode_segment(text)
    except Refused:
        padded = text + "=" * (-len(text) % 4)
        assert len(text) % 4 == 1 or urlsafe_b64encode(urlsafe_b64decode(padded)).decode() != padded
    else:
        assert urlsafe_b64encode(data).rstrip(b"=").decode() == text


@pytest.mark.parametrize("text", ["AA==", "AA=", "A=", "=", "A/AA", "A+AA", "AA A", "AA\n", "ÄAAA"])
def test_other_alphabets_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        decode_segment(text)


@given(st.dictionaries(st.text(), json_values))
def test_objects_are_read_as_they_were_written(fields: dict[str, Any]) -> None:
    assert decode_json(json.dumps(fields).encode()) == fields


@given(st.binary())
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":1}\0')
@example(b"[" * 100_000)
@example(b'{"a":' * 31 + b"{}" + b"}" * 31)
def test_anything_is_read_or_refused(data: bytes) -> None:
    try:
        found = decode_json(data)
    except Refused:
        return
    assert found == json.loads(data)


@given(st.text())
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        parts = split(text)
    except Refused:
        return
    assert ".".join(parts) == text


@given(st.text() | st.text(ALPHABET))
def test_any_header_is_read_or_refused(text: str) -> None:
    try:
        parse_header(text)
    except Refused:
        return
    assert urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize(("depth", "refused"), [(32, False), (33, True)])
def test_depth_is_counted_outside_of_texts(depth: int, *, refused: bool) -> None:
    inner = depth - 1
    data = b'{"[[[[{{{{\\"[[[[":' + b"[" * inner + b'"[[[[[[[["' + b"]" * inner + b"}"
    if refused:
        with pytest.raises(Refused, match="no JSON"):
            decode_json(data)
    else:
        assert decode_json(data)
