"""Metadata: keys without case, copies that share nothing, and the two places in the context."""

from __future__ import annotations

import asyncio

import pytest

from kratos.metadata import (
    Metadata,
    append_to_client_context,
    client_context,
    client_metadata,
    merge_to_client_context,
    server_context,
    server_metadata,
)


def test_sources_are_added_up_without_case() -> None:
    metadata = Metadata({"Hello": ["kratos"]}, {"hello": ["go-kratos"], "Env": ["dev"]})
    assert dict(metadata.items()) == {"hello": ["kratos", "go-kratos"], "env": ["dev"]}


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="list of texts"):
        Metadata({"key": "value"})


@pytest.mark.parametrize(("key", "value"), [("kratos", "kratos"), ("KRATOS", "kratos"), ("x", "")])
def test_get_returns_the_first_value_or_empty(key: str, value: str) -> None:
    assert Metadata({"kratos": ["kratos", "second"]}).get(key) == value


def test_get_of_an_empty_list_returns_the_default() -> None:
    assert Metadata({"kratos": []}).get("kratos", "none") == "none"


def test_values_are_a_list_of_their_own() -> None:
    metadata = Metadata({"a": ["1"]})
    metadata.values("A").append("2")
    assert metadata.values("a") == ["1"]
    assert metadata.values("b") == []


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("Env", "dev", {"hello": ["kratos"], "env": ["dev"]}),
        ("HELLO", "go", {"hello": ["go"]}),
        ("", "dev", {"hello": ["kratos"]}),
        ("env", "", {"hello": ["kratos"]}),
    ],
)
def test_set_replaces_and_ignores_what_is_empty(
    key: str, value: str, result: dict[str, list[str]]
) -> None:
    metadata = Metadata({"hello": ["kratos"]})
    metadata.set(key, value)
    assert dict(metadata.items()) == result


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("Hello", "again", {"hello": ["kratos", "again"]}),
        ("env", "", {"hello": ["kratos"], "env": [""]}),
        ("", "dev", {"hello": ["kratos"]}),
    ],
)
def test_add_appends_and_keeps_empty_values(
    key: str, value: str, result: dict[str, list[str]]
) -> None:
    metadata = Metadata({"hello": ["kratos"]})
    metadata.add(key, value)
    assert dict(metadata.items()) == result


@pytest.mark.parametrize("values", [["1", "2"], []])
def test_copy_is_equal_and_independent(values: list[str]) -> None:
    metadata = Metadata({"a": values})
    copy = metadata.copy()
    assert copy == metadata
    copy.add("a", "3")
    assert metadata.values("a") == values


def test_metadata_is_a_container_of_its_keys() -> None:
    metadata = Metadata({"A": ["1"], "b": []})
    assert len(metadata) == 2
    assert list(metadata) == ["a", "b"]
    assert "B" in metadata
    assert 1 not in metadata


def test_values_stay_out_of_the_text_form() -> None:
    assert repr(Metadata({"x-md-token": ["secret"]})) == "Metadata(x-md-token)"


def test_server_and_client_metadata_are_two_places() -> None:
    server, client = Metadata({"s": ["1"]}), Metadata({"c": ["1"]})
    with server_context(server), client_context(client):
        assert server_metadata() is server
        assert client_metadata() is client
    assert server_metadata() is None
    assert client_metadata() is None


def test_append_starts_from_nothing() -> None:
    with append_to_client_context("Hello", "kratos", "env", "dev"):
        assert client_metadata() == Metadata({"hello": ["kratos"], "env": ["dev"]})


def test_append_replaces_keys_in_a_copy() -> None:
    base = Metadata({"hello": ["kratos"], "kept": ["1", "2"]})
    with client_context(base), append_to_client_context("hello", "again"):
        assert client_metadata() == Metadata({"hello": ["again"], "kept": ["1", "2"]})
        assert base.get("hello") == "kratos"


def test_append_without_the_last_value_is_refused() -> None:
    with pytest.raises(ValueError, match="'c' has no value"):
        append_to_client_context("a", "b", "c")


def test_merge_replaces_whole_lists_in_a_copy() -> None:
    base = Metadata({"a": ["1", "2"], "b": ["3"]})
    addition = Metadata({"A": ["9"]})
    with client_context(base), merge_to_client_context(addition):
        assert client_metadata() == Metadata({"a": ["9"], "b": ["3"]})
        addition.add("a", "10")
        assert client_metadata() == Metadata({"a": ["9"], "b": ["3"]})
    assert base.values("a") == ["1", "2"]


def test_scope_is_left_when_the_block_fails() -> None:
    with pytest.raises(KeyError), append_to_client_context("a", "1"):
        raise KeyError
    assert client_metadata() is None


async def test_change_in_a_child_task_stays_there() -> None:
    async def child() -> None:
        append_to_client_context("a", "child")

    with append_to_client_context("a", "parent"):
        await asyncio.create_task(child())
        assert client_metadata() == Metadata({"a": ["parent"]})
