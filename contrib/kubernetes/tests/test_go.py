"""One registry for both languages: peers in Go use the registry of Go Kratos itself."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from kratos.registry import ServiceInstance, same_instances
from kratos.testing.registry_contract import RegistryContract
from kratos_kubernetes import KubernetesClient, KubernetesRegistry

pytestmark = [pytest.mark.go, pytest.mark.service("kubernetes"), pytest.mark.slow]

PATIENCE = 30.0
PORTS = [{"containerPort": 9000}, {"containerPort": 8000, "name": "web"}]


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    __test__ = False
    patience: ClassVar[float] = PATIENCE
    limit: ClassVar[float] = 2.0


class Peer:
    """A process in Go that is registered, and tells whom it finds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self.process = process
        self._lines = process.stdout
        self._input = process.stdin

    async def until(self, *expected: ServiceInstance) -> None:
        """Return when it has found exactly these."""
        found: list[ServiceInstance] = []
        async with asyncio.timeout(PATIENCE):
            while not same_instances(found, expected):
                line = await self._lines.readline()
                assert line, f"the peer ended; it told last: {found}"
                found = [ServiceInstance.from_mapping(one) for one in json.loads(line) or ()]

    async def leave(self) -> None:
        self._input.close()
        assert await self.process.wait() == 0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("go") / "peer"
    subprocess.run(
        ["go", "build", "-o", str(made), "."],
        cwd=Path(__file__).with_name("go"),
        env={**os.environ, "GOTOOLCHAIN": "local"},
        check=True,
    )
    return made


@pytest.fixture
def kubeconfig(server: Any, tmp_path: Path) -> Path:
    """A file for client-go, which ours reads as well."""
    cluster = {"server": server.url, "certificate-authority": str(server.ca)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": server.cluster.token}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@asynccontextmanager
async def peer(
    program: Path, kubeconfig: Path, space: Any, one: ServiceInstance
) -> AsyncGenerator[Peer]:
    process = await asyncio.create_subprocess_exec(
        program,
        kubeconfig,
        space.name,
        one.name,
        one.id,
        *one.endpoints,
        env={**os.environ, "HOSTNAME": one.id},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def instance(pod: str, host: str, **more: Any) -> ServiceInstance:
    endpoints = (f"grpc://{host}:9000", f"http://{host}:8000")
    return ServiceInstance(id=pod, name="orders", endpoints=endpoints, **more)


async def test_fleet_of_both_languages_finds_all_and_sees_who_leaves(
    client: KubernetesClient, space: Any, program: Path, kubeconfig: Path
) -> None:
    tools = Tools()
    go = [instance(f"go{i}", f"10.0.0.{i}", version="v1", metadata={"by": "go"}) for i in (1, 2)]
    ours = [instance(f"py{i}", f"10.0.1.{i}", metadata={"a": "<&>"}) for i in (1, 2)]
    for one in (*go, *ours):
        host = one.endpoints[0].partition("//")[2].partition(":")[0]
        space.pod(one.id, ports=PORTS, host=host)
    registry_of: Callable[[str], KubernetesRegistry] = lambda pod: KubernetesRegistry(  # noqa: E731
        client, namespace=space.name, pod=pod, pod_namespace=space.name
    )
    registries = [registry_of(one.id) for one in ours]
    registrations = [
        await registry.register(one) for registry, one in zip(registries, ours, strict=True)
    ]
    async with (
        peer(program, kubeconfig, space, go[0]) as leaving,
        peer(program, kubeconfig, space, go[1]) as killed,
        tools.watching(registries[0], "orders") as seen,
        tools.watching(registries[1], "orders") as seen_too,
    ):
        for theirs in (leaving, killed):
            await theirs.until(*go, *ours)
        for sightings in (seen, seen_too):
            await sightings.until(*go, *ours)

        await leaving.leave()
        await killed.until(go[1], *ours)
        await seen.until(go[1], *ours)

        await registrations[0].withdraw()
        await killed.until(go[1], ours[1])
        await seen_too.until(go[1], ours[1])

        space.delete(ours[1].id)
        await killed.until(go[1])
        killed.process.kill()
        space.status(go[1].id, ready=False)  # which the kubelet finds out
        for sightings in (seen, seen_too):
            await sightings.until()


async def test_go_sees_what_labels_and_ports_can_tell(
    client: KubernetesClient, space: Any, program: Path, kubeconfig: Path
) -> None:
    space.pod("py", ports=PORTS, host="10.0.1.1")
    space.pod("go", ports=PORTS, host="10.0.0.1")
    one = replace(
        instance("py", "10.0.1.1", version="1.0+5"),
        endpoints=("grpc://10.0.1.1:9000", "http://10.0.1.1:7000"),
    )
    registry = KubernetesRegistry(client, namespace=space.name, pod="py", pod_namespace=space.name)
    await registry.register(one)
    go = instance("go", "10.0.0.1", version="v1", metadata={"by": "go"})

    async with peer(program, kubeconfig, space, go) as theirs:
        ports = ("grpc://10.0.1.1:9000", "web://10.0.1.1:8000")
        await theirs.until(go, replace(one, version="1.0_5", endpoints=ports))
        async with Tools().watching(registry, "orders") as seen:
            await seen.until(go, one)


async def test_pod_is_taken_over_in_either_direction(
    client: KubernetesClient, space: Any, program: Path, kubeconfig: Path
) -> None:
    space.pod("same", ports=PORTS)
    registry = KubernetesRegistry(
        client, namespace=space.name, pod="same", pod_namespace=space.name
    )
    ours = instance("ours", "10.0.0.1", metadata={"by": "python"})
    theirs = replace(ours, id="same", version="v1", metadata={"by": "go"})
    await registry.register(ours)
    async with Tools().watching(registry, "orders") as seen:
        await seen.until(ours)
        async with peer(program, kubeconfig, space, theirs) as other:
            await seen.until(theirs)
            await registry.register(ours)
            await seen.until(ours)
            await other.until(ours)
