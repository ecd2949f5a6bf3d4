"""Whatever is logged is one line, and with orjson and without it the same bytes."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, date, datetime, time
from enum import Enum, IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.log import Filter, Level, LineLogger
from kratos.log._json import dump_by_json, dumper
from kratos.log.line import Format

pytest.importorskip("orjson")


class Colour(Enum):
    RED = "red"


class Rank(IntEnum):
    FIRST = 1


class Text(str):
    __slots__ = ()


class Place(NamedTuple):
    street: str
    number: int


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(st.characters(), min_size=1),  # with halves of surrogate pairs
    st.binary(max_size=8),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.uuids(),
    st.sampled_from([*Level, Colour.RED, Rank.FIRST, Text("x"), ValueError("no"), object]),
)
VALUES = st.recursive(
    SCALARS,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.tuples(parts),
        st.frozensets(st.integers(), max_size=3),
        st.dictionaries(st.text(max_size=3), parts, max_size=3),
        st.dictionaries(st.text(max_size=3), parts, max_size=3).map(OrderedDict),
        st.builds(Place, st.text(max_size=3), st.integers()),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_bytes_are_the_same_with_orjson_and_without(record: dict[str, object]) -> None:
    assert dumper()(record) == dump_by_json(record)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_is_written_as_orjson_does_and_read_as_it_was(number: float) -> None:
    line = dump_by_json({"n": number, "text": "1e-05", "e-": "e+"})
    assert line == dumper()({"n": number, "text": "1e-05", "e-": "e+"})
    assert json.loads(line)["n"] == number


@pytest.mark.parametrize("key", [1, True, None, 1e-5, 1e16, Rank.FIRST, Colour.RED, UUID(int=1)])
def test_keys_that_are_no_texts_are_written_alike(key: object) -> None:
    record = {"m": {key: 1}}
    assert dumper()(record) == dump_by_json(record)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"),
        (date(2026, 1, 31), "2026-01-31"),
        (time(12, 30), "12:30:00"),
        (Colour.RED, "red"),
        (Place("Elm", 3), ["Elm", 3]),
    ],
)
def test_types_of_the_standard_library_have_their_usual_form(value: object, shown: object) -> None:
    for dump in (dumper(), dump_by_json):
        assert json.loads(dump({"v": value}))["v"] == shown


class Lines:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, line: bytes, /) -> None:
        self.written.append(line)


@given(
    st.sampled_from(["json", "text", "color"]),
    st.sampled_from(Level),
    st.text(st.characters()),
    st.dictionaries(st.text(st.characters(), max_size=5), VALUES, max_size=4),
)
def test_whatever_is_logged_is_one_line(
    format: Format,  # noqa: A002
    level: Level,
    message: str,
    fields: dict[str, object],
) -> None:
    lines = Lines()
    logger = Filter(LineLogger(lines, level=Level.DEBUG, format=format), secrets=True, values=["x"])
    logger.log(level, message, fields)
    (line,) = lines.written
    assert line.count(b"\n") == 1
    text = line.decode()
    assert text.endswith("\n")
    if format == "text":
        assert text[:-1].isprintable()
