"""The contract of sources of configuration, on a real Consul behind a disturbed line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from kratos.config import KeyValue, Source
from kratos.config.config import read
from kratos.testing.proxy import FaultProxy
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos.url import parse_url
from kratos_consul import ConsulClient, ConsulSource

pytestmark = pytest.mark.service("consul")

SECRET = "hunter3"

Api = Callable[..., Any]


def backend_of(source: Source, make: Callable[[], Source], api: Api, path: str) -> SourceBackend:
    async def put(name: str, value: bytes) -> None:
        api("PUT", f"/kv/{path}/{name}", value)

    async def remove(name: str) -> None:
        api("DELETE", f"/kv/{path}/{name}")

    return SourceBackend(source=source, make=make, put=put, remove=remove, secret=SECRET)


@pytest.mark.slow
class TestConsulSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, address: str, api: Api, proxy: FaultProxy, unique: str
    ) -> SourceBackend:
        def source(at: str) -> ConsulSource:
            return ConsulSource.from_url(parse_url(f"consul://{at}/{unique}?token={SECRET}"))

        backend = backend_of(source(proxy.address), lambda: source(address), api, unique)
        backend.faults = proxy
        return backend


@pytest.mark.slow
class TestSourceOfPythonConsul(SourceContract):
    """The same through a client of python-consul, which blocks, in threads."""

    patience = 60.0  # seconds, on a busy machine
    limit = 2.0

    @pytest.fixture
    async def backend(
        self, address: str, api: Api, proxy: FaultProxy, unique: str
    ) -> SourceBackend:
        consul: Any = import_module("consul")

        def source(at: str) -> ConsulSource:
            host, _, port = at.rpartition(":")
            return ConsulSource(consul.Consul(host=host, port=int(port), token=SECRET), unique)

        backend = backend_of(source(proxy.address), lambda: source(address), api, unique)
        backend.faults = proxy
        return backend


async def test_key_alone_is_read_without_those_that_begin_with_it(
    client: ConsulClient, api: Api, unique: str
) -> None:
    api("PUT", f"/kv/{unique}/app.yaml", b"a: 1")
    api("PUT", f"/kv/{unique}/app.yaml2", b"a: 2")

    entries = await read(ConsulSource(client, f"{unique}/app.yaml"))

    assert list(entries) == [KeyValue(key=f"{unique}/app.yaml", value=b"a: 1", format="yaml")]


async def test_folder_is_read_without_neighbours_that_begin_alike(
    client: ConsulClient, api: Api, unique: str
) -> None:
    api("PUT", f"/kv/{unique}/app/", b"")
    api("PUT", f"/kv/{unique}/app/a.bird.json", b"{}")
    api("PUT", f"/kv/{unique}/app/sub/b.yaml", b"b: 1")
    api("PUT", f"/kv/{unique}/app2/c.json", b"{}")

    entries = await read(ConsulSource(client, f"{unique}/app/"))

    assert list(entries) == [
        KeyValue(key="a.bird.json", value=b"{}", format="json"),
        KeyValue(key="sub/b.yaml", value=b"b: 1", format="yaml"),
    ]


async def test_key_without_an_ending_is_a_value_under_its_last_part(
    client: ConsulClient, api: Api, unique: str
) -> None:
    api("PUT", f"/kv/{unique}/port", b"8000")

    (alone,) = await read(ConsulSource(client, f"{unique}/port"))
    (below,) = await read(ConsulSource(client, unique))

    assert alone == below == KeyValue(key="port", value=b"8000", format="")


async def test_key_that_is_not_there_says_nothing(client: ConsulClient, unique: str) -> None:
    assert list(await read(ConsulSource(client, unique))) == []


async def test_names_and_values_of_all_kinds_arrive(
    client: ConsulClient, api: Api, unique: str
) -> None:
    api("PUT", f"/kv/{unique}/größe 50%.json", bytes(range(256)))
    api("PUT", f"/kv/{unique}/empty.json", b"")

    entries = await read(ConsulSource(client, unique))

    assert {entry.key: entry.value for entry in entries} == {
        "größe 50%.json": bytes(range(256)),
        "empty.json": b"",
    }
