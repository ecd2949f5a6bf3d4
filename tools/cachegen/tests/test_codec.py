"""How values are written, and that only what was written is read."""

from __future__ import annotations

import datetime as dt
import enum
import gzip
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pydantic
import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos_cachegen.runtime import codec
from kratos_cachegen.runtime.envelope import Kept, pack, unpack


class Color(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    name: str
    day: dt.date


@dataclass(frozen=True)
class Node:
    name: str
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Everything:
    number: int
    price: Decimal
    when: dt.datetime
    color: Color
    id: uuid.UUID
    data: bytes
    model: Model
    message: StringValue
    node: Node
    pair: tuple[int, str] = (0, "")
    names: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    maybe: float | None = None


EVERYTHING = Everything(
    1,
    Decimal("1.10"),
    dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC),
    Color.RED,
    uuid.UUID(int=7),
    b"\x00\xff",
    Model(name="m", day=dt.date(2026, 1, 2)),
    StringValue(value="größe"),
    Node("a", (Node("b"), Node("c", (Node("d"),)))),
    (3, "three"),
    {7: ["seven"]},
)


@pytest.mark.parametrize("encode", ["json", "json|gzip"])
def test_value_of_every_type_comes_back_as_it_was(encode: str) -> None:
    made = codec(Everything, encode)
    assert made.decode(made.encode(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (int, -7, b"-7"),
        (float, 1.5, b"1.5"),
        (bool, True, b"true"),
        (str, "grün", "grün".encode()),
        (bytes, b"\x00", b"\x00"),
    ],
)
def test_basic_type_is_its_text(kind: type[Any], value: Any, written: bytes) -> None:
    made = codec(kind, "raw")
    assert made.encode(value) == written
    assert made.decode(written) == value


@pytest.mark.parametrize("encode", ["pb", "pb|gzip", "msgpack", "json"])
def test_message_comes_back(encode: str) -> None:
    made = codec(Int64Value, encode)
    assert made.decode(made.encode(Int64Value(value=1 << 60))) == Int64Value(value=1 << 60)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers()), max_size=3),
        max_size=3,
    )
)
def test_json_of_anything_comes_back(value: list[dict[str, int | None]]) -> None:
    made = codec(list[dict[str, int | None]], "json")
    assert made.decode(made.encode(value)) == value


@pytest.mark.parametrize(
    ("kind", "encode", "data"),
    [
        (Node, "json", b'{"name":1}'),
        (Node, "json", b"{}"),
        (Node, "json", b"[" * 100_000),
        (Node, "json", b"\xff"),
        (list[int], "json", b"[true]"),
        (dict[int, str], "json", b'{"x":""}'),
        (tuple[int, str], "json", b"[1]"),
        (Decimal, "json", b'"many"'),
        (bytes, "json", b'"%"'),
        (Color, "json", b'"blue"'),
        (Model, "json", b'{"name":"x"}'),
        (StringValue, "json", b"7"),
        (StringValue, "pb", b"\x0a\xff"),
        (bool, "raw", b"1"),
        (int, "raw", b""),
        (str, "raw", b"\xff"),
        (int, "raw|gzip", b"7"),
        (int, "raw|gzip", gzip.compress(b"7", mtime=0)[:-1]),
    ],
)
def test_what_does_not_fit_is_refused(kind: Any, encode: str, data: bytes) -> None:
    made: Any = codec(kind, encode)
    with pytest.raises(ValueError):  # noqa: PT011  each says something else
        made.decode(data)


@pytest.mark.parametrize(
    ("kind", "encode", "message"),
    [
        (int, "xml", "is one of json, pb, msgpack and raw"),
        (int, "gzip", "is one of json"),
        (int, "raw|json", "is one of json"),
        (Node, "raw", "is for texts, bytes and numbers"),
        (Node, "pb", "is for protobuf messages"),
        (object, "json", "has no form for"),
        (dict[tuple[int, int], str], "json", "texts and numbers as keys"),
        (list[int | str], "json", "cannot tell the types"),
    ],
)
def test_form_that_a_type_does_not_have_is_refused(kind: Any, encode: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        codec(kind, encode)


def test_field_that_was_added_has_its_default_and_a_removed_one_is_passed_over() -> None:
    assert codec(Node, "json").decode(b'{"name":"a","gone":1}') == Node("a")


@given(
    st.one_of(st.none(), st.binary(), st.just(b"\x00kc1")),
    st.one_of(st.none(), st.floats(1, 1e12)),
)
def test_envelope_comes_back_whatever_is_in_it(body: bytes | None, fresh: float | None) -> None:
    assert unpack(pack(Kept(body, fresh))) == Kept(body, fresh)


@given(st.binary().filter(lambda data: not data.startswith(b"\x00kc1")))
def test_value_alone_is_kept_as_it_is(body: bytes) -> None:
    assert pack(Kept(body)) == body
