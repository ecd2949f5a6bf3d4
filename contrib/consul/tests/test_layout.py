from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance
from kratos_consul import GrpcCheck, HttpCheck, ServiceCheck, TcpCheck
from kratos_consul.layout import decode_entry, is_same_service, registration

ONE = ServiceInstance(
    id="5f1b",
    name="orders",
    version="v1",
    metadata={"zone": "a"},
    endpoints=("http://10.0.0.1:8000", "grpc://[::1]:9000?isSecure=false"),
)
TIMES: dict[str, Any] = {"ttl": 20.0, "deregister_after": 600.0}


def entry_of(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what the health API says of what was registered."""
    service = {
        "ID": body["ID"],
        "Service": body["Name"],
        "Tags": body["Tags"],
        "Meta": body["Meta"] or None,
        "Address": body.get("Address", ""),
        "Port": body.get("Port", 0),
        "TaggedAddresses": {
            **body["TaggedAddresses"],
            "lan_ipv4": {"Address": "10.0.0.1", "Port": 8000},
        },
        **more,
    }
    return {"Node": {"Node": "n", "Address": "10.9.9.9"}, "Service": service}


def test_registration_is_the_one_of_go() -> None:
    expected = {
        "ID": "5f1b",
        "Name": "orders",
        "Meta": {"zone": "a"},
        "Tags": ["version=v1", "blue"],
        "TaggedAddresses": {
            "http": {"Address": "http://10.0.0.1:8000", "Port": 8000},
            "grpc": {"Address": "grpc://[::1]:9000?isSecure=false", "Port": 9000},
        },
        "Address": "10.0.0.1",
        "Port": 8000,
        "Checks": [
            {
                "TCP": "10.0.0.1:8000",
                "Interval": "10s",
                "Timeout": "5s",
                "DeregisterCriticalServiceAfter": "600s",
            },
            {
                "TCP": "[::1]:9000",
                "Interval": "10s",
                "Timeout": "5s",
                "DeregisterCriticalServiceAfter": "600s",
            },
            {"Args": ["true"], "Interval": "1s"},
            {"CheckID": "service:5f1b", "TTL": "20s", "DeregisterCriticalServiceAfter": "600s"},
        ],
    }

    script = {"Args": ["true"], "Interval": "1s"}
    checks: list[ServiceCheck | Mapping[str, object]] = [TcpCheck(), script]
    assert registration(ONE, tags=["blue"], checks=checks, **TIMES) == expected


def test_instance_without_endpoints_and_heartbeat_is_registered_all_the_same() -> None:
    one = replace(ONE, endpoints=())

    body = registration(one, checks=[TcpCheck()], ttl=None, deregister_after=600.0)

    assert body["Checks"] == []
    assert "Address" not in body


@given(
    version=st.text(),
    metadata=st.dictionaries(st.text("abcZ09_-", min_size=1), st.text(max_size=100)),
    hosts=st.lists(st.sampled_from(["10.0.0.1", "[::1]", "orders.example"]), max_size=4),
    schemes=st.lists(st.sampled_from(["http", "https", "grpc", "grpcs"]), min_size=4, max_size=4),
)
def test_instance_comes_back_as_it_was(
    version: str, metadata: dict[str, str], hosts: list[str], schemes: list[str]
) -> None:
    endpoints = tuple(
        f"{scheme}://{host}:{port}"
        for port, (scheme, host) in enumerate(zip(schemes, hosts, strict=False), start=8000)
    )
    one = replace(ONE, version=version, metadata=metadata, endpoints=endpoints)
    body = registration(one, checks=[TcpCheck()], **TIMES)

    found = decode_entry(entry_of(body))

    assert found == one
    assert found.endpoints[:1] == one.endpoints[:1]
    assert is_same_service(entry_of(body)["Service"], body)


def test_endpoints_of_one_scheme_are_all_kept() -> None:
    one = replace(ONE, endpoints=("http://a:1", "http://b:2", "http://c:3"))

    tagged: Any = registration(one, **TIMES)["TaggedAddresses"]

    assert list(tagged) == ["http", "http-2", "http-3"]


def test_entry_of_go_has_the_last_of_its_versions_and_what_others_add_is_passed_over() -> None:
    body: Any = registration(ONE, **TIMES)
    found = decode_entry(entry_of(body, Tags=["version=v1", "blue", "version=v2"]))

    assert found == replace(ONE, version="v2")


@pytest.mark.parametrize(
    ("address", "endpoint"), [("10.0.0.7", "http://10.0.0.7:80"), ("", "http://10.9.9.9:80")]
)
def test_service_of_others_is_one_of_http(address: str, endpoint: str) -> None:
    service = {"ID": "web", "Service": "web", "Tags": None, "Address": address, "Port": 80}
    entry = {"Node": {"Address": "10.9.9.9"}, "Service": service}

    assert decode_entry(entry) == ServiceInstance(id="web", name="web", endpoints=(endpoint,))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"Tags": {}}, "Tags must be of list, not dict"),
        ({"Port": "80"}, "Port must be of int, not str"),
        ({"TaggedAddresses": {"http": {"Address": 7}}}, "Address must be of str, not int"),
    ],
)
def test_entry_that_cannot_be_read_says_why(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_entry(entry_of(registration(ONE, **TIMES), **more))


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (replace(ONE, endpoints=("10.0.0.1:8000",)), "write scheme://host:port"),
        (replace(ONE, endpoints=("http://",)), "write scheme://host:port"),
        (replace(ONE, endpoints=("http://h:99999",)), "cannot be registered: Port out of range"),
        (replace(ONE, metadata={"größe": "1"}), "metadata key 'größe'"),
        (replace(ONE, metadata={"a": "ö" * 257}), "has 514 bytes: Consul takes 512"),
        (replace(ONE, metadata={str(n): "" for n in range(65)}), "65 pairs of metadata"),
    ],
)
def test_instance_that_consul_cannot_hold_is_refused(one: ServiceInstance, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registration(one, **TIMES)


@pytest.mark.parametrize("check", [HttpCheck(), GrpcCheck()])
def test_check_without_an_endpoint_is_refused(check: Any) -> None:
    with pytest.raises(ValueError, match="fits no endpoint of orders-5f1b"):
        registration(replace(ONE, endpoints=("udp://h:1",)), checks=[check], **TIMES)


@pytest.mark.parametrize(
    "change",
    [{"Tags": ["version=v9"]}, {"Meta": {}}, {"Service": "other"}, {"TaggedAddresses": {}}],
)
def test_service_that_differs_is_another(change: dict[str, Any]) -> None:
    body = registration(ONE, **TIMES)

    assert not is_same_service({**entry_of(body)["Service"], **change}, body)
