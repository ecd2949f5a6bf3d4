"""The contract of sources of configuration, on a real etcd behind a line that can be disturbed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kratos.config import KeyValue
from kratos.config.config import read
from kratos.testing.proxy import FaultProxy
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos_etcd import EtcdClient, EtcdSource
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import PUT, Rpc

DELETE = Rpc("/etcdserverpb.KV/DeleteRange", pb.RangeRequest, pb.PutResponse)

pytestmark = pytest.mark.service("etcd")


async def put(client: EtcdClient, key: str, value: bytes = b"{}") -> None:
    await client.ask(PUT, pb.PutRequest(key=key.encode(), value=value))


@pytest.mark.slow
class TestEtcdSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, address: str, client: EtcdClient, folder: str
    ) -> AsyncIterator[SourceBackend]:
        host, _, port = address.rpartition(":")

        async def remove(name: str) -> None:
            await client.ask(DELETE, pb.RangeRequest(key=f"{folder}/{name}".encode()))

        async with (
            FaultProxy(host, int(port)) as proxy,
            EtcdClient([proxy.address], username="nobody", password="hunter3") as disturbed,
        ):
            yield SourceBackend(
                source=EtcdSource(disturbed, f"{folder}/", prefix=True),
                make=lambda: EtcdSource(client, f"{folder}/", prefix=True),
                put=lambda name, value: put(client, f"{folder}/{name}", value),
                remove=remove,
                faults=proxy,
                secret="hunter3",
            )


async def test_key_alone_is_read_without_those_that_begin_with_it(
    client: EtcdClient, folder: str
) -> None:
    await put(client, f"{folder}.yaml", b"a: 1")
    await put(client, f"{folder}.yaml2")

    entries = await read(EtcdSource(client, f"{folder}.yaml"))

    assert list(entries) == [KeyValue(key=f"{folder}.yaml", value=b"a: 1", format="yaml")]


async def test_key_without_an_ending_is_a_value_under_its_last_part(
    client: EtcdClient, folder: str
) -> None:
    await put(client, f"{folder}/port", b"8000")

    (alone,) = await read(EtcdSource(client, f"{folder}/port"))
    (below,) = await read(EtcdSource(client, f"{folder}/", prefix=True))

    assert alone == below == KeyValue(key="port", value=b"8000", format="")


async def test_key_that_is_not_there_says_nothing(client: EtcdClient, folder: str) -> None:
    assert list(await read(EtcdSource(client, folder))) == []
