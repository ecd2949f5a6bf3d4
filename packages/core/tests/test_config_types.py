from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.config import KeyValue, Snapshot
from kratos.errors import ConfigError

TREE = {
    "server": {"http": {"addr": ":8000", "port": "8000", "on": "true", "rate": 0.5}},
    "hosts": ["a", {"name": "b"}],
    "nothing": None,
}

_leaves: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text()


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(min_size=1), inner)


trees: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(min_size=1), st.recursive(_leaves, _nested, max_leaves=10)
)


def snapshot() -> Snapshot:
    return Snapshot(TREE, revision=3)


def test_dotted_key_walks_the_tree() -> None:
    assert snapshot().get("server.http.addr", str) == ":8000"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, bool, True),
        (1, bool, True),
        (0, bool, False),
        *((text, bool, True) for text in ("1", "t", "T", "true", "TRUE", "True")),
        *((text, bool, False) for text in ("0", "f", "F", "false", "FALSE", "False")),
        (7, int, 7),
        (7.0, int, 7),
        ("-7", int, -7),
        (7, float, 7.0),
        ("7.5", float, 7.5),
        ("1e3", float, 1000.0),
        ("text", str, "text"),
        (True, str, "true"),
        (12, str, "12"),
        (1.5, str, "1.5"),
    ],
)
def test_values_are_read_as_the_kind_asked_for(
    value: object, kind: type[Any], expected: object
) -> None:
    found = Snapshot({"k": value}).get("k", kind)
    assert (type(found), found) == (kind, expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2, bool),
        ("yes", bool),
        (1.0, bool),
        (True, int),
        (7.5, int),
        ("7.5", int),
        ("1_000", int),
        (" 7", int),
        ("\u0667", int),
        ("9" * 5000, int),
        (float("inf"), int),
        (True, float),
        ("nan", float),
        ("1_0.0", float),
        (10**400, float),
        ([1], str),
        ({"a": 1}, str),
    ],
)
def test_value_of_another_kind_is_refused_by_name(value: object, kind: type[Any]) -> None:
    with pytest.raises(ConfigError, match=r"'a\.k' must be a "):
        Snapshot({"a": {"k": value}}).get("a.k", kind)


def test_refusal_does_not_tell_the_value() -> None:
    with pytest.raises(ConfigError) as caught:
        Snapshot({"k": "s3cret"}).get("k", int)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["missing", "server.missing", "hosts.0", "nothing", ""])
def test_missing_or_null_value_needs_a_default(key: str) -> None:
    assert snapshot().get(key, int, default=5) == 5
    with pytest.raises(ConfigError, match=f"no value for '{key}'"):
        snapshot().get(key, int)


def test_default_is_not_used_for_an_empty_value() -> None:
    assert Snapshot({"k": ""}).get("k", str, default="other") == ""


@pytest.mark.parametrize(
    ("value", "seconds"), [("1m30s", 90.0), ("250ms", 0.25), (2, 2.0), ("2.5", 2.5), ("5", 5.0)]
)
def test_durations_are_text_or_seconds(value: object, seconds: float) -> None:
    assert Snapshot({"k": value}).duration("k") == seconds


@pytest.mark.parametrize("value", ["soon", [], True])
def test_duration_of_another_kind_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match="'k' must be a"):
        Snapshot({"k": value}).duration("k")


def test_duration_falls_back_to_its_default() -> None:
    assert snapshot().duration("timeout", default=1.5) == 1.5


def test_section_is_a_snapshot_of_its_own() -> None:
    http = snapshot().section("server.http")
    assert (http.get("port", int), http.revision) == (8000, 3)


@pytest.mark.parametrize("key", ["missing", "nothing"])
def test_section_without_values_is_empty(key: str) -> None:
    assert snapshot().section(key) == Snapshot()


def test_section_of_a_leaf_is_refused() -> None:
    with pytest.raises(ConfigError, match="'hosts' must be a mapping"):
        snapshot().section("hosts")


def test_raw_values_are_reached_by_item() -> None:
    found = snapshot()
    assert found["nothing"] is None
    assert "server.http" in found
    assert "server.grpc" not in found
    with pytest.raises(KeyError):
        found["server.grpc"]


def test_nothing_inside_can_be_changed() -> None:
    tree: dict[str, object] = {"list": [1, {"k": 2}], "map": {}}
    found = Snapshot(tree)
    tree["map"] = "changed"
    assert isinstance(found["map"], MappingProxyType)
    assert isinstance(found["list"], tuple)


@pytest.mark.parametrize(
    ("left", "right"), [(1, True), (1, 1.0), ("1", 1), ([1], [1, 2]), ({"a": 1}, {"a": True})]
)
def test_a_change_of_type_is_a_change(left: object, right: object) -> None:
    assert Snapshot({"k": left}) != Snapshot({"k": right})


@settings(max_examples=30)  # making trees takes long
@given(trees)
def test_equal_trees_make_equal_snapshots(tree: dict[str, Any]) -> None:
    assert Snapshot(tree) == Snapshot(Snapshot(tree).tree, revision=9)


def test_keys_of_any_type_become_text() -> None:
    numbered: Any = {"codes": {404: "gone"}}
    assert Snapshot(numbered).get("codes.404", str) == "gone"


def test_neither_snapshots_nor_documents_show_values() -> None:
    shown = repr(Snapshot({"password": "s3cret"})) + repr(KeyValue(key="k", value=b"s3cret"))
    assert "s3cret" not in shown
