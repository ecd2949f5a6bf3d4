from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kratos.config import Source
from kratos.errors import ConfigError
from kratos.plugins import load
from kratos.registry import from_url
from kratos.url import parse_url
from kratos_consul import ConsulClient, ConsulRegistry, ConsulSource, HttpCheck


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("http://127.0.0.1:8500", {}, "without a scheme"),
        ("", {}, "lacks a host"),
        (":8500", {}, "lacks a host"),
        ("h:0", {}, "lacks a host or a port"),
        ("h:99999", {}, "from 0 to 65535"),
        ("::1", {}, "an IPv6 address must be written"),
        ("a b:1", {}, "has blanks"),
        ("h", {"token": ""}, "token must hold the text"),
        ("h", {"token": "a\nb"}, "token must hold the text"),
        ("h", {"token_file": "/nowhere/token"}, "token_file '/nowhere/token' cannot be read"),
        ("h", {"token_file": "/dev/null"}, "token_file '/dev/null' must hold the text"),
        ("h", {"token": "hunter2", "token_file": "/dev/null"}, "token or token_file, not both"),
        ("h", {"timeout": 0}, "timeout is a number above 0 and finite, not 0"),
        ("h", {"timeout": float("nan")}, "timeout is a number above 0 and finite, not nan"),
    ],
)
def test_client_refuses_what_it_cannot_use(
    address: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ConsulClient(address, **options)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("h", "consul://h:8500"),
        ("h:1", "consul://h:1"),
        ("[::1]", "consul://[::1]:8500"),
        ("unix:/run/consul.sock", "consul://unix:/run/consul.sock"),
    ],
)
def test_client_is_named_by_its_address(address: str, text: str) -> None:
    assert str(ConsulClient(address, token="hunter2")) == text
    assert "hunter2" not in repr(ConsulClient(address, token="hunter2"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"health_check_interval": 0}, "health_check_interval is a number"),
        ({"deregister_critical_service_after": float("inf")}, "deregister_critical_service_after"),
        ({"tags": "blue"}, "tags='blue' must be a list"),
        ({"tags": ["version=v1"]}, "none begins 'version='"),
        ({"health_check": False, "service_checks": [HttpCheck()]}, "leave one out"),
        ({"datacenter": ""}, "datacenter is SINGLE, MULTI"),
        ({"wait": 0}, "wait=0"),
        ({"wait": 601}, "wait=601"),
        ({"resolver": 7}, "resolver is a function"),
    ],
)
def test_registry_refuses_what_it_cannot_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ConsulRegistry(ConsulClient(), **options)


def source_of(client: Any) -> ConsulSource:
    return ConsulSource(client, "config")


@pytest.mark.parametrize("make", [ConsulRegistry, source_of])
def test_what_is_no_client_is_refused(make: Callable[[Any], object]) -> None:
    with pytest.raises(ConfigError, match=r"a ConsulClient or a consul\.Consul, not str"):
        make("consul://h")


def test_client_of_asyncio_is_refused() -> None:
    class Http:
        async def get(self) -> None: ...
        async def put(self) -> None: ...

    class Client:
        http = Http()

    with pytest.raises(ConfigError, match="give a ConsulClient in place of"):
        ConsulRegistry(Client())


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("", {}, "path is empty"),
        ("/", {}, "path is empty"),
        ("/config", {}, "do not begin with a slash"),
        ("config", {"wait": -1}, "wait=-1"),
    ],
)
def test_source_refuses_what_it_cannot_use(
    path: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ConsulSource(ConsulClient(), path, **options)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("consul://h", "consul://h:8500"),
        ("consul://h/", "consul://h:8500"),
        ("consul://[::1]:1?token=hunter2&heartbeat=false&tag=a&tag=b", "consul://[::1]:1"),
        ("consul://h?datacenter=MULTI&wait=10s&http_check=/up&grpc_check=true", "consul://h:8500"),
        ("consuls://h", "consuls://h:8501"),
    ],
)
def test_url_makes_a_registry_whose_name_has_no_secrets(url: str, text: str) -> None:
    assert str(from_url(url)) == text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("consul:///", "the one agent of this machine"),
        ("consul://a,b", "the one agent of this machine"),
        ("consul://root:hunter2@h", "write \\?token="),
        ("consul://h/microservices", "a registry on Consul has no path"),
        ("consul://h?ca=/ca.pem", "write consuls:// for TLS"),
        ("consuls://h?ca=/nowhere/ca.pem", r"/nowhere/ca\.pem cannot be read"),
        ("consul://h?health_check_intervall=1s", "did you mean health_check_interval"),
        ("consul://h?http_check=up", "must start with a slash"),
    ],
)
def test_url_of_a_registry_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        from_url(url)
    assert "hunter2" not in str(refused.value)


def test_url_makes_a_source() -> None:
    make = load("kratos.config", "consul")

    source: Source = make(parse_url("consul://h/config/orders?token=hunter2&datacenter=far"))

    assert str(source) == "consul://h:8500/config/orders"


@pytest.mark.parametrize(
    ("url", "message"),
    [("consul://h", "path is empty"), ("consul://h/a?tag=a", "unknown option 'tag'")],
)
def test_url_of_a_source_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("kratos.config", "consul")(parse_url(url))
