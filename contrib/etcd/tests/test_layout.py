from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance
from kratos_etcd.layout import end_of_prefix, instance_key, service_prefix


def test_key_is_the_one_of_go() -> None:
    instance = ServiceInstance(id="5f1b", name="orders")

    assert instance_key("/microservices", instance) == b"/microservices/orders/5f1b"


@given(namespace=st.text(), name=st.text(min_size=1), one=st.text(min_size=1))
def test_key_of_every_instance_is_below_its_service(namespace: str, name: str, one: str) -> None:
    key = instance_key(namespace, ServiceInstance(id=one, name=name))
    prefix = service_prefix(namespace, name)

    assert prefix < key < end_of_prefix(prefix)


@given(prefix=st.binary(min_size=1), key=st.binary())
def test_end_of_a_prefix_is_behind_its_keys_and_before_all_others(
    prefix: bytes, key: bytes
) -> None:
    end = end_of_prefix(prefix)

    is_inside = key >= prefix and (end == b"\0" or key < end)

    assert is_inside == key.startswith(prefix)
