from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.config._dotted import MISSING, find
from kratos.config._merge import merge

_leaves: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers())
)
_ABSENT = object()
_keys = st.sampled_from(["a", "b", "c"])
trees: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    _keys, st.recursive(_leaves, lambda inner: st.dictionaries(_keys, inner), max_leaves=5)
)


def model(layers: list[dict[str, Any]], path: tuple[str, ...]) -> Any:
    """Return what is at a path, looking from the uppermost layer down: the reference.

    The uppermost layer that has something in the way of the path, or at its end, decides, except
    that mappings at its end join those below down to the first thing that is none.
    """
    keys: dict[str, None] = {}
    seen = False
    for layer in reversed(layers):
        value: Any = layer
        for part in path:
            if not isinstance(value, dict):
                value = MISSING  # it hides what is below
                break
            value = cast("dict[str, Any]", value).get(part, _ABSENT)
            if value is _ABSENT:
                break
        if value is _ABSENT:
            continue
        if not isinstance(value, dict):
            if not seen:
                return cast("object", value)
            break
        keys = dict.fromkeys([*cast("dict[str, Any]", value), *keys])
        seen = True
    return {key: model(layers, (*path, key)) for key in keys} if seen else MISSING


@pytest.mark.slow
@given(st.lists(trees, min_size=1, max_size=3))
@settings(max_examples=1000)
def test_merging_agrees_with_a_look_from_above(layers: list[dict[str, Any]]) -> None:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = merge(merged, layer)
    assert merged == model(layers, ())


@given(trees, trees)
def test_merging_changes_neither_side(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    merge(base, over, append=["a", "a.b"])
    assert (base, over) == before


@given(trees)
def test_nothing_on_top_changes_nothing(tree: dict[str, Any]) -> None:
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree


@given(trees, trees, trees)
def test_a_mapping_is_never_shared_with_what_is_merged_later(
    base: dict[str, Any], over: dict[str, Any], later: dict[str, Any]
) -> None:
    first = merge(base, over)
    before = copy.deepcopy(first)
    merge(first, later)
    assert first == before


@pytest.mark.parametrize("over", [None, "", 0, False, [], "text", 7])
def test_anything_but_a_mapping_replaces_what_was_there(over: object) -> None:
    assert merge({"a": {"b": 1}, "c": 2}, {"a": over}) == {"a": over, "c": 2}
    assert merge({"a": [1, 2]}, {"a": over}) == {"a": over}


def test_mapping_replaces_what_was_none() -> None:
    assert merge({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}


def test_lists_are_joined_where_asked_for() -> None:
    base = {"use": ["x"], "in": {"use": [1]}}
    over = {"use": ["y"], "in": {"use": [2]}}
    assert merge(base, over, append=["in.use"]) == {"use": ["y"], "in": {"use": [1, 2]}}


def test_joined_key_that_was_no_list_is_replaced() -> None:
    assert merge({"use": "x"}, {"use": ["y"]}, append=["use"]) == {"use": ["y"]}


def test_dotted_key_finds_what_is_there_and_nothing_else() -> None:
    tree = {"a": {"b": None}, "c": 1}
    assert find(tree, "a.b") is None
    assert find(tree, "a.x") is MISSING
    assert find(tree, "c.d") is MISSING
