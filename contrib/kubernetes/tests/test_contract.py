"""The contract of registries, on a real API server behind a line that can be disturbed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import pytest

from kratos.registry import Registration, ServiceInstance, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.watch import Watcher
from kratos_kubernetes import Cluster, KubernetesClient, KubernetesRegistry

pytestmark = [pytest.mark.service("kubernetes"), pytest.mark.slow]


class PodEach:
    """A registry for each instance, in a pod of its own, as in a cluster."""

    def __init__(self, client: KubernetesClient, space: Any) -> None:
        self._client = client
        self._space = space
        self._found = KubernetesRegistry(client, namespace=space.name)

    async def register(self, instance: ServiceInstance, /) -> Registration:
        pod = f"{instance.name}.{instance.id}"
        try:
            self._space.admin.call("GET", f"{self._space.path}/pods/{pod}")
        except AssertionError:
            self._space.pod(pod)
        registry = KubernetesRegistry(self._client, pod=pod, pod_namespace=self._space.name)
        return await registry.register(instance)

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        return await self._found.watch(name)

    async def aclose(self) -> None:
        await self._client.aclose()


class TestKubernetesRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine
    limit: ClassVar[float] = 2.0

    @pytest.fixture
    async def backend(self, server: Any, space: Any) -> AsyncIterator[Backend]:
        def registry(cluster: Cluster) -> PodEach:
            return PodEach(KubernetesClient(cluster), space)

        async with FaultProxy("127.0.0.1", server.port) as proxy:
            cluster = Cluster(
                server=f"https://{proxy.address}",
                tls=server.cluster.tls,
                token=server.cluster.token,
            )
            disturbed, peer = registry(cluster), registry(server.cluster)
            await get_service(peer, "nobody")
            yield Backend(
                registry=disturbed,
                peer=peer,
                make=lambda: registry(server.cluster),
                faults=proxy,
            )
            await disturbed.aclose()
            await peer.aclose()
