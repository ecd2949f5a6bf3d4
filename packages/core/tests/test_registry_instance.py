"""Golden bytes come from Go Kratos v3: registry/registry.go through encoding/json."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance, same_instances

texts = st.text(st.characters(exclude_categories=["Cs"]))
instances = st.builds(
    ServiceInstance,
    id=texts,
    name=texts,
    version=texts,
    metadata=st.dictionaries(texts, texts),
    endpoints=st.lists(texts).map(tuple),
)


def test_json_has_all_members_in_the_order_of_go() -> None:
    instance = ServiceInstance(
        id="1",
        name="n",
        version="v1.0.0",
        metadata={"zone": "b", "app": "kratos"},
        endpoints=("http://127.0.0.1:80?isSecure=false", "grpc://127.0.0.1:90"),
    )

    assert instance.to_json() == (
        b'{"id":"1","name":"n","version":"v1.0.0","metadata":{"app":"kratos","zone":"b"},'
        b'"endpoints":["http://127.0.0.1:80?isSecure=false","grpc://127.0.0.1:90"]}'
    )


def test_empty_members_are_written_too() -> None:
    assert ServiceInstance(id="1", name="n").to_json() == (
        b'{"id":"1","name":"n","version":"","metadata":{},"endpoints":[]}'
    )


def test_json_escapes_what_go_escapes_and_keeps_unicode() -> None:
    instance = ServiceInstance(id="<a&b>", name="größe\u2028\u2029")

    assert instance.to_json().startswith(
        '{"id":"\\u003ca\\u0026b\\u003e","name":"größe\\u2028\\u2029"'.encode()
    )


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"1","name":"n","version":"","metadata":null,"endpoints":null}',
        b'{"id":"1","name":"n"}',
        b'{"endpoints":[],"metadata":{},"name":"n","id":"1","version":null,"extra":[1]}',
        '{"id":"1","name":"n"}',
    ],
    ids=["nulls", "missing", "reordered", "text"],
)
def test_null_missing_and_unknown_members_are_accepted(data: bytes | str) -> None:
    assert ServiceInstance.from_json(data) == ServiceInstance(id="1", name="n")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "must be JSON"),
        (b'{"id":"1"', "must be JSON"),
        (b"\xff\xfe\x00", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"[]", "a JSON object, not a list"),
        (b"null", "a JSON object, not null"),
        (b'{"id":1}', "'id' of a service instance must be text, not a number"),
        (b'{"name":true}', "'name' of a service instance must be text, not a boolean"),
        (b'{"metadata":[]}', "'metadata' must be an object, not a list"),
        (b'{"metadata":{"weight":10}}', "'weight' of a service instance must be text"),
        (b'{"endpoints":"http://a"}', "'endpoints' must be a list, not text"),
        (b'{"endpoints":[null]}', "'endpoints' must hold texts, not null"),
        (b'{"endpoints":[{}]}', "'endpoints' must hold texts, not an object"),
    ],
)
def test_malformed_json_is_refused_with_the_reason(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ServiceInstance.from_json(data)


@given(instances)
def test_json_round_trip_loses_nothing(instance: ServiceInstance) -> None:
    again = ServiceInstance.from_json(instance.to_json())

    assert again == instance
    assert again.endpoints == instance.endpoints
    assert json.loads(instance.to_json())["metadata"] == instance.metadata


@given(st.binary())
def test_any_bytes_give_an_instance_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert ServiceInstance.from_json(data).endpoints is not None


def test_text_is_name_and_id() -> None:
    assert str(ServiceInstance(id="id1", name="svc")) == "svc-id1"


def test_order_of_endpoints_does_not_matter_for_equality() -> None:
    one = ServiceInstance(id="1", name="n", endpoints=("a", "b"))
    other = ServiceInstance(id="1", name="n", endpoints=("b", "a"))

    assert one == other
    assert hash(one) == hash(other)
    assert one.endpoints == ("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "2"},
        {"name": "m"},
        {"version": "v2"},
        {"metadata": {"a": "c"}},
        {"endpoints": ("a",)},
        {"endpoints": ("a", "b", "b")},
    ],
    ids=str,
)
def test_every_field_counts_for_equality(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "id": "1",
        "name": "n",
        "version": "v",
        "metadata": {"a": "b"},
        "endpoints": ("a", "b"),
    }

    assert ServiceInstance(**fields) != ServiceInstance(**{**fields, **change})
    assert ServiceInstance(**fields) == ServiceInstance(**fields)


def test_instance_is_not_equal_to_other_things() -> None:
    assert ServiceInstance(id="1", name="n") != "n-1"


def test_instance_keeps_its_own_copy_of_metadata_and_endpoints() -> None:
    metadata, endpoints = {"a": "b"}, ["http://a:1"]
    instance = ServiceInstance(id="1", name="n", metadata=metadata, endpoints=endpoints)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    metadata["a"] = "c"
    endpoints.append("http://b:1")

    assert instance.metadata == {"a": "b"}
    assert instance.endpoints == ("http://a:1",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": ""}, "needs an id and a name"),
        ({"name": ""}, "needs an id and a name"),
        ({"version": "\ud800"}, "is not Unicode"),
        ({"metadata": {"weight": 10}}, "'weight' of a service instance must be text"),
    ],
    ids=["no id", "no name", "surrogate", "number"],
)
def test_what_no_registry_can_publish_is_refused(change: dict[str, Any], complaint: str) -> None:
    fields: dict[str, Any] = {"id": "1", "name": "n", **change}
    instance = ServiceInstance(**fields)

    with pytest.raises(ValueError, match=complaint):
        instance.check()


def test_lists_are_the_same_in_any_order() -> None:
    a, b = ServiceInstance(id="1", name="n"), ServiceInstance(id="2", name="n")

    assert same_instances([a, b], [b, a])
    assert same_instances((a, b), [a, b])
    assert same_instances([], ())
    assert not same_instances([a], [b])
    assert not same_instances([a, a], [a, b])
    assert not same_instances([a], [a, a])
