from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kratos.config import Source
from kratos.errors import ConfigError
from kratos.plugins import load
from kratos.registry import from_url
from kratos.url import parse_url
from kratos_nacos import NacosClient, NacosRegistry, NacosSource


@pytest.mark.parametrize(
    ("endpoints", "options", "message"),
    [
        ([], {}, "must be a list"),
        ("127.0.0.1:8848", {}, "must be a list"),
        (["http://127.0.0.1:8848"], {}, "without a scheme"),
        ([" "], {}, "has no host"),
        (["h:99999"], {}, "from 0 to 65535"),
        (["::1"], {}, "an IPv6 address must be written"),
        (["h:65000"], {}, "makes 66000 of h:65000: no port"),
        (["h"], {"username": "root"}, "give both, or neither"),
        (["h"], {"password": "hunter2"}, "give both, or neither"),
        (["h"], {"timeout": 0}, "timeout is a number above 0 and finite, not 0"),
        (["h"], {"timeout": float("nan")}, "timeout is a number above 0 and finite, not nan"),
    ],
)
async def test_client_refuses_what_it_cannot_use(
    endpoints: Sequence[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        NacosClient(endpoints, **options)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": ""}, "group=''"),
        ({"group": "a@@b"}, "group='a@@b'"),
        ({"cluster": ""}, "cluster=''"),
        ({"default_kind": ""}, "default_kind=''"),
        ({"schemes": "grpc"}, "schemes='grpc' must be a list"),
        ({"schemes": []}, "schemes=.* must be a list"),
        ({"weight": 0}, "weight is a number above 0"),
    ],
)
async def test_registry_refuses_what_it_cannot_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NacosRegistry(NacosClient(["h"]), **options)


@pytest.mark.parametrize(
    ("ids", "group", "message"),
    [
        ("", "g", "data_ids=''"),
        ([], "g", "data_ids="),
        (["a", "a"], "g", "each once"),
        ("a", "", "group is empty"),
    ],
)
async def test_source_refuses_what_it_cannot_use(
    ids: str | Sequence[str], group: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        NacosSource(NacosClient(["h"]), ids, group=group)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nacos://h", "nacos://h:8848 DEFAULT_GROUP"),
        ("nacos://h/", "nacos://h:8848 DEFAULT_GROUP"),
        ("nacos://h/public", "nacos://h:8848 DEFAULT_GROUP"),
        (
            "nacos://a,b:1/shop/?group=g&cluster=c&weight=7&scheme=http&grpc_offset=1",
            "nacos://a:8848,b:1/shop g",
        ),
        ("nacos://root:hunter2@[::1]", "nacos://[::1]:8848 DEFAULT_GROUP"),
        ("nacoss://h", "nacoss://h:8848 DEFAULT_GROUP"),
    ],
)
async def test_url_describes_a_registry_without_secrets(url: str, text: str) -> None:
    registry = from_url(url)

    assert isinstance(registry, NacosRegistry)
    assert str(registry) == text
    await registry.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nacos://h?grup=1", "did you mean group"),
        ("nacos:///public", "at least one host"),
        ("nacos://h?ca=/etc/ca.pem", "write nacoss:// for TLS"),
        ("nacos://h?timeout=soon", "must be a duration"),
        ("nacoss://h?ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
    ],
)
async def test_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_url(url)


async def test_url_describes_a_source() -> None:
    made: Source = load("kratos.config", "nacos")(
        parse_url("nacos://u:hunter2@h/shop?data_id=a.yaml&data_id=b.yaml&group=g")
    )

    assert str(made) == "nacos://h:8848/shop g a.yaml,b.yaml"


async def test_url_of_a_source_needs_a_document() -> None:
    with pytest.raises(ConfigError, match="must be ids of documents"):
        NacosSource.from_url(parse_url("nacos://h"))
