"""The contract of sources of configuration, on a real Redis behind a line that can be disturbed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kratos.config import KeyValue, from_url
from kratos.config.config import read
from kratos.testing.proxy import FaultProxy
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos.url import parse_url
from kratos_redis import RedisSource

pytestmark = pytest.mark.service("redis")


@pytest.mark.slow
class TestRedisSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, url: str, client: Any, prefix: str) -> AsyncIterator[SourceBackend]:
        (address,) = parse_url(url).addresses(6379)
        host, _, port = address.rpartition(":")
        here = RedisSource(client, f"{prefix}config")

        async def remove(name: str) -> None:
            assert await here.remove(name)

        async with FaultProxy(host, int(port)) as proxy:
            yield SourceBackend(
                source=from_url(f"redis://{proxy.address}/0?path={prefix}config&timeout=1s"),
                make=lambda: RedisSource(client, f"{prefix}config"),
                put=here.put,
                remove=remove,
                faults=proxy,
            )


async def test_name_without_an_ending_is_a_value_under_it(client: Any, prefix: str) -> None:
    source = RedisSource(client, prefix)
    await source.put("port", b"8000")

    assert list(await read(source)) == [KeyValue(key="port", value=b"8000", format="")]
