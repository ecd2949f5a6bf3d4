"""Ways to say where Kubernetes is, and what is refused."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from kratos.errors import ConfigError
from kratos.plugins import load
from kratos.registry import ServiceInstance, from_url
from kratos.tls import ClientTls
from kratos.url import parse_url
from kratos_kubernetes import (
    Cluster,
    KubernetesClient,
    KubernetesRegistry,
    KubernetesServices,
    KubernetesSource,
    KubernetesUnavailable,
)

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the machine be none that knows Kubernetes."""
    for name in (*POD, "KUBECONFIG", "POD_NAME", "POD_NAMESPACE", "POD_UID", "HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def account(tmp_path: Path) -> Path:
    folder = tmp_path / "account"
    folder.mkdir()
    trustme.CA().cert_pem.write_to_path(folder / "ca.crt")
    (folder / "token").write_text("hunter2", encoding="utf-8")
    (folder / "namespace").write_text("shop\n", encoding="utf-8")
    return folder


# --- in a pod


def test_pod_knows_its_cluster(account: Path) -> None:
    cluster = Cluster.in_pod(folder=account, environ=POD)

    assert cluster == Cluster(
        server="https://10.0.0.1:443",
        tls=ClientTls(ca=account / "ca.crt"),
        token_file=account / "token",
        namespace="shop",
    )


def test_pod_of_an_ipv6_cluster_knows_it_too(account: Path) -> None:
    (account / "namespace").unlink()

    cluster = Cluster.in_pod(folder=account, environ={**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})

    assert (cluster.server, cluster.namespace) == ("https://[fd00::1]:443", "default")


@pytest.mark.parametrize(
    ("environ", "missing", "message"),
    [
        ({}, "", "no pod of Kubernetes: KUBERNETES_SERVICE_HOST"),
        ({**POD, "KUBERNETES_SERVICE_PORT": "x"}, "", "KUBERNETES_SERVICE_PORT='x' is no port"),
        (POD, "token", "token is missing: set automountServiceAccountToken"),
        (POD, "ca.crt", "ca.crt is missing"),
    ],
)
def test_pod_that_lacks_something_is_told_what(
    account: Path, environ: Mapping[str, str], missing: str, message: str
) -> None:
    if missing:
        (account / missing).unlink()
    with pytest.raises(ConfigError, match=re.escape(message)):
        Cluster.in_pod(folder=account, environ=environ)


# --- kubeconfig


def kubeconfig(path: Path, **changes: Any) -> Path:
    content = {
        "current-context": "dev",
        "contexts": [
            {"name": "dev", "context": {"cluster": "here", "user": "me", "namespace": "shop"}},
            {"name": "other", "context": {"cluster": "there", "user": "me"}},
        ],
        "clusters": [
            {"name": "here", "cluster": {"server": "https://10.0.0.1:6443"}},
            {"name": "there", "cluster": {"server": "http://10.0.0.2:8001"}},
        ],
        "users": [{"name": "me", "user": {"token": "hunter2"}}],
        **changes,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_kubeconfig_names_cluster_user_and_namespace(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config")

    current, other = Cluster.from_kubeconfig(path), Cluster.from_kubeconfig(path, context="other")

    assert current == Cluster(
        server="https://10.0.0.1:6443", tls=ClientTls(), token="hunter2", namespace="shop"
    )
    assert other == Cluster(server="http://10.0.0.2:8001", token="hunter2")
    assert "hunter2" not in repr(current)


def test_kubeconfig_has_certificates_as_files_beside_it_or_within(tmp_path: Path) -> None:
    cluster = {
        "server": "https://h",
        "certificate-authority-data": b64encode(b"ca").decode(),
        "tls-server-name": "kubernetes",
        "insecure-skip-tls-verify": True,
        "proxy-url": "http://proxy:3128",
    }
    user = {
        "client-certificate": "me.pem",
        "client-key-data": b64encode(b"key").decode(),
        "tokenFile": "token",
    }
    path = kubeconfig(
        tmp_path / "config",
        clusters=[{"name": "here", "cluster": cluster}],
        users=[{"name": "me", "user": user}],
    )

    assert Cluster.from_kubeconfig(path) == Cluster(
        server="https://h",
        tls=ClientTls(
            ca=b"ca",
            certificate=tmp_path / "me.pem",
            key=b"key",
            server_name="kubernetes",
            verify=False,
        ),
        token_file=tmp_path / "token",
        namespace="shop",
        proxy="http://proxy:3128",
    )


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"current-context": ""}, "has no current-context"),
    ({"current-context": "prod"}, "has no context 'prod' in contexts"),
    ({"clusters": None}, "has no cluster 'here' in clusters"),
    ({"clusters": "x"}, "has no cluster 'here' in clusters"),
    ({"users": [{"name": "you"}, 7]}, "has no user 'me' in users"),
    ({"users": [{"name": "me", "user": {"exec": {"command": "aws"}}}]}, "from 'exec'"),
    ({"users": [{"name": "me", "user": {"auth-provider": {}}}]}, "from 'auth-provider'"),
    ({"users": [{"name": "me", "user": {"username": "a"}}]}, "no passwords any more"),
    (
        {"users": [{"name": "me", "user": {"client-certificate-data": "%"}}]},
        "client-certificate-data is no base64",
    ),
    ({"clusters": [{"name": "here", "cluster": {"server": "h:1"}}]}, "must look like https:"),
    ({"clusters": [{"name": "here", "cluster": {}}]}, "must look like https:"),
]


@pytest.mark.parametrize(("changes", "message"), UNUSABLE)
def test_kubeconfig_that_cannot_be_used_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Cluster.from_kubeconfig(kubeconfig(tmp_path / "config", **changes))


@pytest.mark.parametrize("text", [b"a: [", b"- 1", b"", b"\xff"])
def test_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        Cluster.from_kubeconfig(path)


def test_file_with_a_slip_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("users:\n- name: me\n  user: {token: hunter2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is no kubeconfig: .* in line 3") as refused:
        Cluster.from_kubeconfig(path)
    assert "hunter2" not in f"{refused.value}{refused.value.__cause__}"


def test_kubeconfig_is_found_as_kubectl_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no Kubernetes here: this is no pod"):
        Cluster.found()
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config")
    assert Cluster.found().namespace == "shop"
    named = kubeconfig(tmp_path / "named", **{"current-context": "other"})
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(("", str(named), "/nowhere")))
    assert Cluster.found().server == "http://10.0.0.2:8001"


# --- arguments


@pytest.mark.parametrize(
    "server",
    ["", "10.0.0.1:6443", "https://", "ftp://h", "https://a:b@h", "https://h:x", "https://h?a"],
)
def test_server_that_is_no_url_is_refused_without_its_password(server: str) -> None:
    with pytest.raises(ConfigError, match="must look like https://host:port") as refused:
        Cluster(server=server)
    assert "a:b" not in str(refused.value)


def test_two_tokens_are_refused() -> None:
    with pytest.raises(ConfigError, match="not both"):
        Cluster(server="https://h", token="a", token_file="b")


@pytest.mark.parametrize("name", ["timeout", "silence", "watch_timeout"])
def test_times_that_are_none_are_refused(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=name):
        KubernetesClient(Cluster(server="http://h"), **options)


def test_services_of_all_namespaces_would_be_one() -> None:
    with pytest.raises(ConfigError, match=r"ask for orders\.shop"):
        KubernetesServices(KubernetesClient(Cluster(server="http://h")), namespace="*")


async def test_names_that_no_service_can_have_are_refused() -> None:
    client = KubernetesClient(Cluster(server="http://h"))
    for discovery in (KubernetesRegistry(client), KubernetesServices(client)):
        with pytest.raises(ValueError, match="cannot be a label"):
            await discovery.watch("orders/x")
    for name in ("orders.", "orders.a/../../b"):
        with pytest.raises(ValueError, match=r"namespace .* cannot be a label"):
            await KubernetesServices(client).watch(name)


@pytest.mark.parametrize("token", ["", "hunter2\r\nX: y", "hunter2\nhunter3", "hunter\u00e4"])
async def test_token_that_is_none_is_refused_without_being_told(token: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be the text of one") as refused:
        Cluster(server="http://h", token=token)
    assert "hunter" not in str(refused.value)

    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    client = KubernetesClient(Cluster(server="http://h", token_file=file))
    with pytest.raises(KubernetesUnavailable, match="must hold one token") as unavailable:
        await client.get("/version")
    assert "hunter" not in str(unavailable.value)


@pytest.mark.parametrize("name", ["orders.*", "orders.shop/secrets/x", "orders...", "orders.a?b"])
async def test_name_of_a_service_leads_to_no_other_path(name: str) -> None:
    services = KubernetesServices(KubernetesClient(Cluster(server="http://h")))
    with pytest.raises(ValueError, match="namespace"):
        await services.watch(name)


@pytest.mark.parametrize("namespace", ["a/../b", "..", "a?b", "A"])
def test_namespace_that_is_none_is_refused(namespace: str) -> None:
    client = KubernetesClient(Cluster(server="http://h"))
    for made in (KubernetesRegistry, KubernetesServices, KubernetesSource):
        with pytest.raises(ConfigError, match="cannot be a namespace"):
            made(client, namespace=namespace)


async def test_pod_whose_name_leads_elsewhere_is_refused() -> None:
    registry = KubernetesRegistry(KubernetesClient(Cluster(server="http://h")), pod="../nodes/a")
    with pytest.raises(ConfigError, match="cannot be the name of a pod"):
        await registry.register(ServiceInstance(id="1", name="orders"))


async def test_program_that_does_not_know_its_pod_is_told_so() -> None:
    registry = KubernetesRegistry(KubernetesClient(Cluster(server="http://h")))
    with pytest.raises(ConfigError, match="which pod is this"):
        await registry.register(ServiceInstance(id="1", name="orders"))


# --- URLs


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("kubernetes://h", "kubernetes://h:443/default"),
        ("kubernetes://h:6443/shop/?token=hunter2&timeout=1s", "kubernetes://h:6443/shop"),
        ("kubernetes://[::1]/*?ready=false&pod=a&pod_namespace=b", "kubernetes://[::1]:443/*"),
        ("kubernetes://h?tls=false", "kubernetes://h:80/default"),
        ("kubernetes-services://h/shop", "kubernetes://h:443/shop (services)"),
    ],
)
def test_url_makes_a_registry_whose_name_has_no_secrets(url: str, text: str) -> None:
    assert str(from_url(url)) == text


def test_url_without_a_host_is_the_cluster_that_is_found(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubeconfig(tmp_path / "config")
    assert str(from_url(f"kubernetes://?kubeconfig={path}")) == "kubernetes://10.0.0.1:6443/shop"
    other = from_url(f"kubernetes:///a?kubeconfig={path}&context=other")
    assert str(other) == "kubernetes://10.0.0.2:8001/a"
    for name, value in POD.items():
        monkeypatch.setenv(name, value)
    pod = from_url(f"kubernetes://?service_account={account}")
    assert str(pod) == "kubernetes://10.0.0.1:443/shop"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kubernetes:///shop", "there is no Kubernetes here"),
        ("kubernetes:///shop?tokn=a", "unknown option 'tokn'"),
        ("kubernetes:///a/b", "at most 1 parts"),
        ("kubernetes-services:///shop?ready=true", "unknown option 'ready'"),
        ("kubernetes://a,b", "write kubernetes://host:port"),
        ("kubernetes://user@h", "a token as option token"),
        ("kubernetes://h/a/b", "at most 1 parts"),
        ("kubernetes://h?tokn=a", "did you mean token"),
        ("kubernetes://h?kubeconfig=a", "unknown option 'kubeconfig'"),
        ("kubernetes://h?token=a&token_file=b", "not both"),
        ("kubernetes://h?tls=false&ca=/ca.pem", "certificates need TLS"),
        ("kubernetes://h?ca=/nowhere/ca.pem", r"/nowhere/ca\.pem cannot be read"),
        ("kubernetes://?service_account=/a&context=b", "not both"),
        ("kubernetes://?service_account=/a", "this is no pod"),
        ("kubernetes://h?timeout=0s", "timeout"),
        ("kubernetes-services://h?ready=true", "unknown option 'ready'"),
        ("kubernetes-services://h/*", r"ask for orders\.shop"),
    ],
)
def test_url_of_a_registry_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_url(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("kubernetes://h/shop/orders", "kubernetes://h:443/shop/configmaps/orders"),
        ("kubernetes://h/shop?secrets=true&labels=a%3Db", "kubernetes://h:443/shop/secrets"),
        ("kubernetes://h", "kubernetes://h:443/default/configmaps"),
    ],
)
def test_url_makes_a_source(url: str, text: str) -> None:
    assert str(load("kratos.config", "kubernetes")(parse_url(url))) == text


def test_url_of_a_source_that_cannot_be_used_is_refused() -> None:
    make = load("kratos.config", "kubernetes")
    for url, message in (
        ("kubernetes://h/a/b/c", "at most 2 parts"),
        ("kubernetes://h?pod=a", "unknown option 'pod'"),
    ):
        with pytest.raises(ConfigError, match=message):
            make(parse_url(url))
