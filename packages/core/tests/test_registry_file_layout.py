from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance
from kratos.registry._file_layout import Entry, decode, encode, entry_path, escape

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
ONE = ServiceInstance(id="1", name="orders", version="v1", metadata={"a": "b"}, endpoints=("x",))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("shop.orders-v1_2", "shop.orders-v1_2"),
        ("a/b", "a%2fb"),
        ("a\\b", "a%5cb"),
        ("..", "%2e."),
        (".", "%2e"),
        (".hidden", "%2ehidden"),
        ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
        ("Orders", "%4frders"),
        ("100%", "100%25"),
        ("~", "%7e"),
        ("ü", "%c3%bc"),
        ("a\x00b", "a%00b"),
        ("a b:c*", "a%20b%3ac%2a"),
    ],
)
def test_names_are_escaped(name: str, expected: str) -> None:
    assert escape(name) == expected


@given(names)
def test_escaped_name_is_one_plain_visible_component(name: str) -> None:
    escaped = escape(name)

    assert PurePosixPath(escaped).name == escaped
    assert not escaped.startswith(".")
    assert escaped.isascii()
    assert escaped == escaped.lower()
    assert len(escaped) <= 200


@given(names, names)
def test_different_names_have_different_files_even_without_case(one: str, other: str) -> None:
    assert (escape(one).casefold() == escape(other).casefold()) == (one == other)


@given(st.integers(0, 30))
def test_long_names_that_begin_alike_stay_different(tail: int) -> None:
    name = "x" * 300

    assert len(escape(name + "y" * tail)) == len(escape("ü" * 100)) == 120 + 1 + 64
    assert tail == 0 or escape(name) != escape(name + "y" * tail)


def test_file_is_named_after_service_and_id() -> None:
    instance = ServiceInstance(id="a/b", name="../x")

    assert entry_path(Path("/registry"), instance) == Path("/registry/%2e.%2fx/a%2fb.json")


def test_file_holds_the_json_of_go_with_ttl_and_owner() -> None:
    data = encode(Entry(instance=ONE, owner="me", ttl=15.0))

    assert data == ONE.to_json()[:-1] + b',"ttl":15.0,"owner":"me"}'
    assert ServiceInstance.from_json(data) == ONE


@given(st.text(), st.none() | st.floats(0.001, 1e6))
def test_content_survives_the_round_trip(owner: str, ttl: float | None) -> None:
    entry = Entry(instance=ONE, owner=owner.encode(errors="ignore").decode(), ttl=ttl)

    assert decode(encode(entry)) == entry


def test_plain_json_is_an_entry_without_end() -> None:
    assert decode(ONE.to_json()) == Entry(instance=ONE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ttl": 0}, "'ttl' must be a positive number"),
        ({"ttl": -1.5}, "'ttl' must be a positive number"),
        ({"ttl": True}, "'ttl' must be a positive number"),
        ({"ttl": "15s"}, "'ttl' must be a positive number"),
        ({"ttl": float("nan")}, "'ttl' must be a positive number"),
        ({"ttl": float("inf")}, "'ttl' must be a positive number"),
        ({"id": ""}, "needs an id and a name"),
        ({"name": None}, "needs an id and a name"),
        ({"metadata": 3}, "'metadata' must be an object"),
    ],
    ids=str,
)
def test_wrong_content_is_refused_with_the_reason(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode(json.dumps({"id": "1", "name": "n", **change}).encode())


@pytest.mark.parametrize("data", [b"", b'{"id":"1","na', b"\x00\xff", b"[]"])
def test_partial_and_foreign_content_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="must be"):
        decode(data)


def test_owner_of_another_type_is_nobody() -> None:
    assert decode(b'{"id":"1","name":"n","owner":7}').owner == ""
