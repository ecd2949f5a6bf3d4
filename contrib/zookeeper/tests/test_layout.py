from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.registry import ServiceInstance
from kratos_zookeeper import layout


def test_nodes_are_where_go_has_them() -> None:
    one = ServiceInstance(id="1", name="orders")
    assert layout.service_path("/microservices", "orders") == "/microservices/orders"
    assert layout.instance_path("/microservices", one) == "/microservices/orders/1"
    assert list(layout.ancestors("/a/b/orders/1")) == ["/a", "/a/b", "/a/b/orders"]


@pytest.mark.parametrize(("path", "node"), [("/a", "/a"), ("/a/b/", "/a/b")])
def test_path_has_no_slash_at_its_end(path: str, node: str) -> None:
    assert layout.absolute(path) == node


@pytest.mark.parametrize("path", ["", "/", "a", "a/b", "/a//b", "/a/../b", "/a\x00"])
def test_path_of_no_node_is_an_error(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        layout.absolute(path)


@pytest.mark.parametrize("text", ["a/b", "", ".", "..", "a\nb", "\ue000", "\ufffd"])
def test_name_that_no_node_can_have_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"service name .* cannot be the name of a node"):
        layout.service_path("/root", text)
    with pytest.raises(ValueError, match=r"id .* cannot be the name of a node"):
        layout.instance_path("/root", ServiceInstance(id=text, name="orders"))


@given(st.text(max_size=8), st.text(max_size=8))
def test_instances_of_different_names_and_ids_have_different_nodes(name: str, key: str) -> None:
    one = ServiceInstance(id=key, name=name)
    try:
        path = layout.instance_path("/root", one)
    except ValueError:
        return
    assert path.split("/") == ["", "root", name, key]


def test_data_of_go_is_read() -> None:
    data = b'{"id":"1","name":"orders","version":"","metadata":null,"endpoints":null,"new":1}'
    assert layout.decode(data, name="orders") == ServiceInstance(id="1", name="orders")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must be JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"id":"1","name":"other"}', "of 'orders', not of 'other'"),
        (b'{"name":"orders"}', "must have an id"),
    ],
)
def test_data_of_no_instance_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layout.decode(data, name="orders")
