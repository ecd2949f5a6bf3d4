"""Configuration on a real API server, behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from kratos.config import KeyValue
from kratos.config.config import read
from kratos.testing.proxy import FaultProxy
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos_kubernetes import Cluster, KubernetesClient, KubernetesSource

pytestmark = pytest.mark.service("kubernetes")


class Documents(SourceContract):
    patience = 60.0  # seconds, on a busy machine
    __test__ = False
    kind: ClassVar[str]
    limit: ClassVar[float] = 2.0

    def written(self, value: bytes) -> str:
        raise NotImplementedError

    @pytest.fixture
    async def backend(self, server: Any, space: Any) -> AsyncIterator[SourceBackend]:
        options: dict[str, Any] = {"namespace": space.name, "secrets": self.kind == "secrets"}

        async def put(name: str, value: bytes) -> None:
            space.put("orders", {name: self.written(value)}, kind=self.kind)

        async def remove(name: str) -> None:
            space.put("orders", {name: None}, kind=self.kind)

        async with FaultProxy("127.0.0.1", server.port) as proxy:
            token = server.cluster.token
            line = Cluster(server=f"https://{proxy.address}", tls=server.cluster.tls, token=token)
            async with (
                KubernetesClient(line, timeout=1.0) as disturbed,
                KubernetesClient(server.cluster) as direct,
            ):
                yield SourceBackend(
                    source=KubernetesSource(disturbed, "orders", **options),
                    make=lambda: KubernetesSource(direct, "orders", **options),
                    put=put,
                    remove=remove,
                    faults=proxy,
                    secret=token,
                )


@pytest.mark.slow
class TestConfigMaps(Documents):
    __test__ = True
    kind = "configmaps"

    def written(self, value: bytes) -> str:
        return value.decode()


@pytest.mark.slow
class TestSecrets(Documents):
    __test__ = True
    kind = "secrets"

    def written(self, value: bytes) -> str:
        return b64encode(value).decode()


async def test_keys_are_those_of_go_and_values_without_an_ending_are_single(
    client: KubernetesClient, space: Any
) -> None:
    space.put("orders", {"app.yaml": "a: 1", "app.prod.json": "{}", "LOG_LEVEL": "debug"})

    entries = await read(KubernetesSource(client, "orders", namespace=space.name))

    place = f"{space.name}/orders"
    assert list(entries) == [
        KeyValue(key="LOG_LEVEL", value=b"debug"),
        KeyValue(key=f"{place}/app.prod.json", value=b"{}", format="json"),
        KeyValue(key=f"{place}/app.yaml", value=b"a: 1", format="yaml"),
    ]


async def test_all_of_a_namespace_are_read_but_the_one_that_every_namespace_has(
    client: KubernetesClient, space: Any
) -> None:
    for name in ("b", "a", "kube-root-ca.crt"):
        space.put(name, {f"{name}.yaml" if len(name) == 1 else "ca.crt": name})

    entries = await read(KubernetesSource(client, namespace=space.name))

    assert [entry.value for entry in entries] == [b"a", b"b"]


async def test_selectors_choose(client: KubernetesClient, space: Any) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "back")):
        space.put(name, {"key": name})
        path = f"{space.path}/configmaps/{name}"
        space.admin.patch(path, {"metadata": {"labels": {"tier": tier}}})
    where: dict[str, Any] = {"namespace": space.name, "labels": "tier in (back)"}

    all_ = await read(KubernetesSource(client, **where))
    one = await read(KubernetesSource(client, **where, fields="metadata.name!=b"))
    named = await read(KubernetesSource(client, "a", **where))

    assert [entry.value for entry in all_] == [b"b", b"c"]
    assert [entry.value for entry in one] == [b"c"]
    assert list(named) == []


async def test_all_namespaces_are_read_where_the_labels_fit(
    client: KubernetesClient, server: Any, space: Any
) -> None:
    spaces = sorted((space, server.admin.namespace()), key=lambda one: one.name)
    for each in spaces:
        each.put("orders", {"a.json": "{}"})
        path = f"{each.path}/configmaps/orders"
        each.admin.patch(path, {"metadata": {"labels": {"test": space.name}}})

    found = await read(KubernetesSource(client, namespace="*", labels=f"test={space.name}"))

    assert [entry.key for entry in found] == [f"{each.name}/orders/a.json" for each in spaces]


async def test_pages_of_the_server_are_one_list(
    client: KubernetesClient, space: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kratos_kubernetes.client._PAGE", 2)
    names = [f"m{i}" for i in range(5)]
    for name in names:
        space.put(name, {name: "1"})
    watcher = await KubernetesSource(client, namespace=space.name).watch()

    state = await watcher.read()
    space.put("m5", {"m5": "1"})
    async with asyncio.timeout(10):
        changed = await watcher.changed(state.token)
    await watcher.aclose()

    assert [entry.key for entry in state.value] == names
    assert changed is not None
    assert [entry.key for entry in changed.value] == [*names, "m5"]


async def test_binary_data_is_left_alone_as_in_go(client: KubernetesClient, space: Any) -> None:
    space.put("orders", {"a": "1"})
    path = f"{space.path}/configmaps/orders"
    space.admin.patch(path, {"binaryData": {"b": b64encode(b"\xff").decode()}})

    entries = await read(KubernetesSource(client, "orders", namespace=space.name))

    assert list(entries) == [KeyValue(key="a", value=b"1")]


async def test_values_of_secrets_show_nowhere(client: KubernetesClient, space: Any) -> None:
    secret = b64encode(b"hunter4").decode()
    space.put("orders", {"password": secret}, kind="secrets")
    source = KubernetesSource(client, "orders", namespace=space.name, secrets=True)

    (entry,) = await read(source)

    assert entry.value == b"hunter4"
    for shown in (repr(entry), str(source), repr(client), repr(client.namespace)):
        assert "hunter" not in shown
        assert secret not in shown
