from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kratos.config import Source
from kratos.errors import ConfigError
from kratos.plugins import load
from kratos.registry import from_url
from kratos.url import parse_url
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdSource


@pytest.mark.parametrize(
    ("endpoints", "options", "message"),
    [
        ([], {}, "must be a list"),
        ("127.0.0.1:2379", {}, "must be a list"),
        (["http://127.0.0.1:2379"], {}, "without a scheme"),
        ([" "], {}, "has no host"),
        (["h:99999"], {}, "from 0 to 65535"),
        (["::1"], {}, "an IPv6 address must be written"),
        (["h"], {"username": "root"}, "give both, or neither"),
        (["h"], {"password": "hunter2"}, "give both, or neither"),
        (["h"], {"timeout": 0}, "timeout is a number above 0 and finite, not 0"),
        (["h"], {"timeout": float("nan")}, "timeout is a number above 0 and finite, not nan"),
    ],
)
def test_client_refuses_what_it_cannot_use(
    endpoints: Sequence[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        EtcdClient(endpoints, **options)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("ttl", [0, -1, float("inf"), float("nan"), 1e10])
def test_registry_refuses_a_ttl_that_is_none(ttl: float) -> None:
    with pytest.raises(ConfigError, match="ttl="):
        EtcdRegistry(EtcdClient(["h"]), ttl=ttl)


def test_source_needs_a_path() -> None:
    with pytest.raises(ConfigError, match="path is empty"):
        EtcdSource(EtcdClient(["h"]), "")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("etcd://h", "etcd://h:2379/microservices"),
        ("etcd://h/", "etcd://h:2379/microservices"),
        ("etcd://a,b:1/shop/?ttl=5s&timeout=1s", "etcd://a:2379,b:1/shop"),
        ("etcd://root:hunter2@[::1]", "etcd://[::1]:2379/microservices"),
        ("etcds://h", "etcds://h:2379/microservices"),
    ],
)
def test_url_makes_a_registry_whose_name_has_no_secrets(url: str, text: str) -> None:
    assert str(from_url(url)) == text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("etcd:///microservices", "at least one host"),
        ("etcd://h?ca=/ca.pem", "write etcds:// for TLS"),
        ("etcds://h?ca=/nowhere/ca.pem", r"/nowhere/ca\.pem cannot be read"),
        ("etcd://root@h", "give both, or neither"),
        ("etcd://h?tttl=1s", "did you mean ttl"),
        ("etcd://h?ttl=0s", "ttl="),
    ],
)
def test_url_of_a_registry_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_url(url)


def test_url_makes_a_source() -> None:
    make = load("kratos.config", "etcd")

    source: Source = make(parse_url("etcd://root:hunter2@h/config/?prefix=true"))

    assert str(source) == "etcd://h:2379/config/"


@pytest.mark.parametrize(
    ("url", "message"),
    [("etcd://h", "path is empty"), ("etcd://h/a?ttl=1s", "unknown option 'ttl'")],
)
def test_url_of_a_source_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("kratos.config", "etcd")(parse_url(url))
