"""The contract of sources of configuration, on a real Nacos behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kratos.config import KeyValue
from kratos.config.config import read
from kratos.testing.proxy import FaultProxy
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos_nacos import NacosClient, NacosSource, NacosUnavailable
from kratos_nacos.link import Link
from kratos_nacos.wire import MISSING

pytestmark = pytest.mark.service("nacos")

DOCUMENTS = [f"{name}.json" for name in ("a", "app", "b", "c", "large", "plain", "unicode")]


class Store:
    """Writes documents, as the console of Nacos does."""

    def __init__(self, link: Link, group: str) -> None:
        self._link = link
        self._group = group

    async def put(self, id_: str, value: bytes, **more: str) -> None:
        content = value.decode()
        body = {**self._place(id_), "content": content, "additionMap": more}
        await self._link.ask("ConfigPublishRequest", body)
        await self._until(id_, content)

    async def remove(self, id_: str) -> None:
        await self._link.ask("ConfigRemoveRequest", self._place(id_))
        await self._until(id_, None)

    async def _until(self, id_: str, content: str | None) -> None:
        """Return when it is read as it was written: Nacos takes a moment."""
        async with asyncio.timeout(10):
            while await self._get(id_) != content:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.01)

    async def _get(self, id_: str) -> object:
        try:
            document = await self._link.ask("ConfigQueryRequest", self._place(id_))
        except NacosUnavailable as error:
            if error.code == MISSING:
                return None
            raise
        return document["content"]

    def _place(self, id_: str) -> dict[str, str]:
        return {"dataId": id_, "group": self._group, "tenant": ""}


@pytest.fixture
async def store(client: NacosClient, group: str) -> Store:
    return Store(await client.connect("config"), group)


@pytest.mark.slow
class TestNacosSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self,
        client: NacosClient,
        disturbed: NacosClient,
        store: Store,
        group: str,
        proxy: FaultProxy,
    ) -> SourceBackend:
        return SourceBackend(
            source=NacosSource(disturbed, DOCUMENTS, group=group),
            make=lambda: NacosSource(client, DOCUMENTS, group=group),
            put=store.put,
            remove=store.remove,
            faults=proxy,
        )


async def test_document_is_read_in_the_format_of_its_ending(
    client: NacosClient, store: Store, group: str
) -> None:
    await store.put("app.prod.yaml", b"a: 1")

    entries = await read(NacosSource(client, "app.prod.yaml", group=group))

    assert list(entries) == [KeyValue(key="app.prod.yaml", value=b"a: 1", format="yaml")]


async def test_document_without_an_ending_is_one_value(
    client: NacosClient, store: Store, group: str
) -> None:
    await store.put("port", b"8000")

    entries = await read(NacosSource(client, "port", group=group))

    assert list(entries) == [KeyValue(key="port", value=b"8000", format="")]


async def test_documents_are_in_the_order_in_which_they_were_named(
    client: NacosClient, store: Store, group: str
) -> None:
    for id_ in ("b.json", "a.json"):
        await store.put(id_, b"{}")

    entries = await read(NacosSource(client, ["b.json", "c.json", "a.json"], group=group))

    assert [entry.key for entry in entries] == ["b.json", "a.json"]


async def test_encrypted_document_is_not_taken_for_its_content(
    client: NacosClient, store: Store, group: str
) -> None:
    await store.put("cipher-app.json", b"x", encryptedDataKey="secret")

    with pytest.raises(NacosUnavailable, match=r"cipher-app\.json: it is encrypted"):
        await read(NacosSource(client, "cipher-app.json", group=group))


async def test_namespaces_are_kept_apart(
    address: str, connected: Callable[..., NacosClient], store: Store, group: str
) -> None:
    await store.put("app.json", b"{}")

    other = NacosSource(connected(address, namespace="other"), "app.json", group=group)
    public = NacosSource(connected(address, namespace="public"), "app.json", group=group)

    assert list(await read(other)) == []
    assert len(await read(public)) == 1
