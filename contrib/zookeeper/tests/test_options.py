from __future__ import annotations

from typing import Any

import pytest

from kratos import registry
from kratos.errors import ConfigError
from kratos.plugins import load
from kratos.url import parse_url
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout is a number above 0 and finite, not 0"),
        ({"session_timeout": float("inf")}, "session_timeout is a number above 0 and finite"),
        ({"hosts": []}, "must be a list of host:port"),
        ({"hosts": ["a:1/chroot"]}, "port must be a number from 0 to 65535"),
        ({"hosts": ["a:1,b:1"]}, "list each by itself"),
        ({"hosts": ["a:99999"]}, "port must be a number from 0 to 65535"),
        ({"user": "orders"}, "user and password go together"),
        ({"password": "secret"}, "user and password go together"),
        ({"user": "a:b", "password": "c"}, "a user has no colon"),
    ],
)
@pytest.mark.parametrize("made", [ZooKeeperRegistry, ZooKeeperSource])
def test_option_out_of_range_is_an_error(made: Any, options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"hosts": ["a:1"]} | options
    given["root" if made is ZooKeeperRegistry else "path"] = "/a"
    with pytest.raises(ConfigError, match=message):
        made(**given)


def test_hosts_that_are_one_text_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"hosts='a:1' must be a list"):
        ZooKeeperRegistry("a:1")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("zookeeper://a", "zookeeper://a:2181/microservices"),
        ("zookeeper://a/", "zookeeper://a:2181/microservices"),
        ("zookeeper://a:1,[::1]:2/x/y/", "zookeeper://a:1,[::1]:2/x/y"),
        ("zookeeper://orders:secret@a/x?timeout=1s", "zookeeper://a:2181/x"),
        ("zookeepers://a", "zookeepers://a:2181/microservices"),
    ],
)
def test_url_makes_a_registry(url: str, name: str) -> None:
    made = registry.from_url(url)
    assert isinstance(made, ZooKeeperRegistry)
    assert str(made) == name


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("zookeeper://a?ttl=1s", "unknown option 'ttl'"),
        ("zookeeper://", "write zookeeper://host:port, with at least one host"),
        ("zookeeper://orders@a", "user and password go together"),
        ("zookeeper://a/x//y", "path '/x//y'"),
        ("zookeeper://a?ca=/ca.pem", "write zookeepers:// for TLS"),
        ("zookeepers://a?ca=/nowhere/ca.pem", r"/nowhere/ca\.pem cannot be read"),
    ],
)
def test_wrong_url_is_an_error(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        registry.from_url(url)


def test_url_makes_a_source() -> None:
    made = load("kratos.config", "zookeeper")(parse_url("zookeeper://u:secret@a/config/orders"))
    assert str(made) == "zookeeper://a:2181/config/orders"
    assert "secret" not in repr(made)


def test_source_without_a_path_is_an_error() -> None:
    with pytest.raises(ConfigError, match="must be that of a node"):
        ZooKeeperSource.from_url("zookeeper://a")
