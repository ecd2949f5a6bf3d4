"""Who may do what, and what those are told who may not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from kratos.config.config import read
from kratos.registry import ServiceInstance, get_service
from kratos.tls import ClientTls
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, text_reply
from kratos_http.testing import running
from kratos_kubernetes import (
    Cluster,
    KubernetesClient,
    KubernetesRegistry,
    KubernetesServices,
    KubernetesSource,
    KubernetesUnavailable,
)

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
NOBODY = "hunter3"

Connect = Callable[..., KubernetesClient]
service = pytest.mark.service("kubernetes")


@pytest.fixture(scope="module")
def strict(server_class: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An API server with roles."""
    server = server_class(tmp_path_factory.mktemp("strict"), "--authorization-mode=RBAC")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def registry_of(client: KubernetesClient, space: Any) -> KubernetesRegistry:
    return KubernetesRegistry(client, namespace=space.name, pod="one", pod_namespace=space.name)


@service
@pytest.mark.slow
async def test_user_without_a_role_is_told_what_is_not_permitted(
    strict: Any, connected: Connect
) -> None:
    space = strict.admin.namespace()
    space.pod("one")
    client = connected(replace(strict.cluster, token=NOBODY))

    with pytest.raises(KubernetesUnavailable, match='cannot get resource "pods"') as refusal:
        await registry_of(client, space).register(ONE)
    assert refusal.value.code == 403
    assert 'User "nobody"' in str(refusal.value)
    assert str(refusal.value).endswith("; grant it by a Role")
    with pytest.raises(KubernetesUnavailable, match='cannot list resource "pods"'):
        await get_service(registry_of(client, space), "orders")
    with pytest.raises(KubernetesUnavailable, match='cannot list resource "endpointslices"'):
        await get_service(KubernetesServices(client, namespace=space.name), "orders")
    with pytest.raises(KubernetesUnavailable, match='cannot list resource "secrets"'):
        await read(KubernetesSource(client, namespace=space.name, secrets=True))


@service
@pytest.mark.slow
async def test_roles_of_the_readme_are_what_is_needed(strict: Any, connected: Connect) -> None:
    space = strict.admin.namespace()
    space.pod("one")
    found = re.search(r"```yaml\n(apiVersion.*?)```", README, re.DOTALL)
    assert found is not None
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    for manifest in yaml.safe_load_all(found[1]):
        if manifest["kind"] == "RoleBinding":
            manifest["subjects"] = [{"kind": "User", "name": "nobody"}]
        strict.admin.call("POST", f"{rbac}/{manifest['kind'].lower()}s", manifest)
    space.put("orders", {"a": "1"})
    space.put("orders", {"a": "MQ=="}, kind="secrets")
    client = connected(replace(strict.cluster, token=NOBODY))
    registry = registry_of(client, space)

    registration = await registry.register(ONE)
    await registration.renew()
    watcher = await registry.watch("orders")
    state = await watcher.read()
    assert list(state.value) == [ONE]
    await registration.withdraw()
    async with asyncio.timeout(10):
        changed = await watcher.changed(state.token)
    assert changed is not None
    assert list(changed.value) == []
    await watcher.aclose()
    services = KubernetesServices(client, namespace=space.name)
    assert list(await get_service(services, "orders")) == []
    for secrets in (False, True):
        source = KubernetesSource(client, "orders", namespace=space.name, secrets=secrets)
        (entry,) = await read(source)
        assert entry.value == b"1"


@service
@pytest.mark.slow
async def test_client_certificate_is_shown(strict: Any, connected: Connect) -> None:
    space = strict.admin.namespace()
    tls = ClientTls(ca=strict.ca, certificate=strict.folder / "client.pem")

    known = connected(replace(strict.cluster, token=None, tls=tls))
    unknown = connected(replace(strict.cluster, token=None))

    assert list(await get_service(registry_of(known, space), "orders")) == []
    with pytest.raises(KubernetesUnavailable, match="system:anonymous"):
        await get_service(registry_of(unknown, space), "orders")


@service
async def test_wrong_token_is_told_of_without_it(
    server: Any, space: Any, connected: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("hunter4", encoding="utf-8")
    wrong = connected(replace(server.cluster, token="hunter4"))
    from_file = connected(replace(server.cluster, token=None, token_file=file))
    none = connected(replace(server.cluster, token=None))

    for client, words in (
        (wrong, "does not take the token: wrong, expired"),
        (from_file, f"does not take the token in {file}"),
        (none, "does not take callers without a token"),
    ):
        with pytest.raises(KubernetesUnavailable, match=re.escape(words)) as failure:
            await get_service(registry_of(client, space), "orders")
        assert failure.value.code == 401
        assert "hunter4" not in str(failure.value)


@service
async def test_token_is_the_one_that_is_in_the_file_now(
    server: Any, space: Any, connected: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    client = connected(replace(server.cluster, token=None, token_file=file))
    registry = registry_of(client, space)

    with pytest.raises(KubernetesUnavailable, match="token file"):
        await get_service(registry, "orders")
    file.write_text("expired", encoding="utf-8")
    with pytest.raises(KubernetesUnavailable, match="does not take"):
        await get_service(registry, "orders")
    file.write_text(server.cluster.token, encoding="utf-8")
    assert list(await get_service(registry, "orders")) == []


@service
async def test_server_of_another_authority_is_not_believed(
    server: Any, connected: Connect, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    client = connected(replace(server.cluster, tls=ClientTls(ca=ca)))

    with pytest.raises(KubernetesUnavailable, match="is the ca that of this cluster"):
        await client.get("/version")


@service
async def test_plain_text_to_a_server_with_tls_is_told_of(server: Any, connected: Connect) -> None:
    client = connected(Cluster(server=server.url.replace("https", "http")))

    with pytest.raises(KubernetesUnavailable, match="HTTP request to an HTTPS server"):
        await client.get("/version")


async def test_server_that_is_away_is_named(connected: Connect, unused_tcp_port: int) -> None:
    client = connected(Cluster(server=f"http://127.0.0.1:{unused_tcp_port}"))

    with pytest.raises(KubernetesUnavailable, match=f"{unused_tcp_port} cannot be reached"):
        await client.get("/version")


@pytest.fixture
async def other() -> AsyncIterator[str]:
    """A server that is no Kubernetes."""

    async def page(request: Request) -> Reply:
        return text_reply(f"welcome to {request.method}")

    http = HttpServer("127.0.0.1:0")
    http.route("GET", "/api/v1/pods")(page)
    http.mount(Mount(services=[]))
    async with running(http):
        (url,) = await http.bind()
        yield url


async def test_what_is_no_kubernetes_is_told_of(other: str, connected: Connect) -> None:
    client = connected(Cluster(server=other))
    with pytest.raises(KubernetesUnavailable, match="does not answer as Kubernetes does"):
        await client.get("/api/v1/pods")
    with pytest.raises(KubernetesUnavailable, match="refuses GET /api/v1/nothing: 404"):
        await client.get("/api/v1/nothing")


async def test_closed_client_says_so(connected: Connect) -> None:
    client = connected(Cluster(server="http://127.0.0.1:1"))
    await client.aclose()
    await client.aclose()

    with pytest.raises(KubernetesUnavailable, match="the client is closed"):
        await client.get("/version")
