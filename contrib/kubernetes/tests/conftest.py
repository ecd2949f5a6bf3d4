"""An API server for the tests, on an etcd of its own; tests play scheduler and kubelet."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
import trustme

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

from kratos.testing.program import Program, free_port, free_ports  # noqa: E402  after the rewriting
from kratos.tls import ClientTls  # noqa: E402
from kratos_kubernetes import Cluster, KubernetesClient  # noqa: E402

PROGRAM = "KRATOS_TEST_KUBERNETES"
ETCD = "KRATOS_TEST_KUBERNETES_ETCD"
TOKEN = "hunter2"
OTHER = "hunter3"  # of a user without any rights

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("kube-apiserver")) and (store := shutil.which("etcd")):
    os.environ.setdefault(PROGRAM, found)
    os.environ.setdefault(ETCD, store)


class Etcd(Program):
    """Where an API server keeps its objects."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        client, peer = free_ports(2)
        self.address = f"http://127.0.0.1:{client}"
        self._peer = f"http://127.0.0.1:{peer}"

    def command(self) -> Sequence[str]:
        options = {
            "--data-dir": str(self.folder / "data"),
            "--log-level": "error",
            "--listen-client-urls": self.address,
            "--advertise-client-urls": self.address,
            "--listen-peer-urls": self._peer,
            "--initial-advertise-peer-urls": self._peer,
            "--initial-cluster": f"default={self._peer}",
        }
        return [os.environ[ETCD], *_words(options), "--unsafe-no-fsync"]

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.address}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False

    def compact(self) -> None:
        """Forget everything but what is there now."""
        status = json.loads(self._control("endpoint", "status", "--write-out=json"))
        self._control("compaction", str(status[0]["Status"]["header"]["revision"]))

    def _control(self, *words: str) -> str:
        done = subprocess.run(
            [Path(os.environ[ETCD]).with_name("etcdctl"), f"--endpoints={self.address}", *words],
            env={"ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class Server(Program):
    """A kube-apiserver that a test may kill, freeze and start again, always at one address."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.etcd = Etcd(folder / "etcd")
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca = folder / "ca.pem"
        self._options = options  # they win
        self.certify()
        tokens = f"{TOKEN},admin,admin,system:masters\n{OTHER},nobody,nobody\n"
        (folder / "tokens").write_text(tokens, encoding="utf-8")

    def certify(self) -> None:
        """Make an authority, and let it sign the server's certificate, and that of its master."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        server = authority.issue_cert("127.0.0.1")
        server.private_key_pem.write_to_path(self.folder / "key.pem")
        for number, pem in enumerate(server.cert_chain_pems):
            pem.write_to_path(self.folder / "cert.pem", append=number > 0)
        client = authority.issue_cert(
            "admin", common_name="admin", organization_name="system:masters"
        )
        client.private_key_and_cert_chain_pem.write_to_path(self.folder / "client.pem")

    @property
    def cluster(self) -> Cluster:
        """How its master reaches it."""
        return Cluster(server=self.url, tls=ClientTls(ca=self.ca), token=TOKEN)

    @property
    def admin(self) -> Admin:
        return Admin(self.url, self.ca)

    def start(self) -> None:
        self.etcd.start()
        super().start()

    def command(self) -> Sequence[str]:
        key = str(self.folder / "key.pem")
        options = {
            "--etcd-servers": self.etcd.address,
            "--bind-address": "127.0.0.1",
            "--secure-port": str(self.port),
            "--tls-cert-file": str(self.folder / "cert.pem"),
            "--tls-private-key-file": key,
            "--client-ca-file": str(self.ca),
            "--service-cluster-ip-range": "10.0.0.0/24",
            "--authorization-mode": "AlwaysAllow",
            "--token-auth-file": str(self.folder / "tokens"),
            "--service-account-issuer": "https://kubernetes.default.svc",
            "--service-account-key-file": key,
            "--service-account-signing-key-file": key,
            "--disable-admission-plugins": "ServiceAccount",
            "--enable-priority-and-fairness": "false",
            "--endpoint-reconciler-type": "none",
            **dict(option.split("=", 1) for option in self._options),
        }
        return [os.environ[PROGRAM], *_words(options)]

    def stop(self) -> None:
        """End it, and what keeps its objects."""
        self.kill()
        self.etcd.kill()

    def answers(self) -> bool:
        try:
            self.admin.call("GET", "/readyz")
        except (OSError, AssertionError):
            return False
        return True


class Admin:
    """Who makes and changes objects, from outside and undisturbed."""

    def __init__(self, url: str, ca: Path) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=str(ca))

    def call(self, verb: str, path: str, body: Any = None, *, kind: str = "json") -> Any:
        """Ask, and return the answer; an error fails the test with what the server said."""
        request = Request(
            f"{self._url}{path}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {TOKEN}", "content-type": f"application/{kind}"},
        )
        try:
            with urlopen(request, timeout=10, context=self._context) as answer:
                text = answer.read()
        except HTTPError as error:
            with error:
                said = error.read()
            raise AssertionError(f"{verb} {path}: {error.code} {said!r}") from None
        return json.loads(text) if text.startswith(b"{") else text

    def patch(self, path: str, changes: Any) -> Any:
        return self.call("PATCH", path, changes, kind="merge-patch+json")

    def namespace(self) -> Space:
        name = f"test-{uuid4().hex}"
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return Space(self, name)


class Space:
    """One namespace, with its pods."""

    def __init__(self, admin: Admin, name: str) -> None:
        self.admin = admin
        self.name = name
        self.path = f"/api/v1/namespaces/{name}"
        self._slices = f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"

    def pod(
        self,
        name: str,
        *,
        ports: Sequence[Mapping[str, Any]] = (),
        host: str = "10.0.0.1",
        ready: bool = True,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Make a pod that runs, unless it is there, and return its path."""
        pod = {
            "metadata": {
                "name": name,
                "labels": dict(labels or {}),
                "annotations": dict(annotations or {}),
            },
            "spec": {
                "nodeName": "node",
                "containers": [{"name": "main", "image": "none", "ports": list(ports)}],
            },
        }
        self.admin.call("POST", f"{self.path}/pods", pod)
        self.status(name, host=host, ready=ready)
        return f"{self.path}/pods/{name}"

    def status(
        self, name: str, *, host: str = "10.0.0.1", ready: bool = True, phase: str = "Running"
    ) -> None:
        """Say what a kubelet would."""
        conditions = [{"type": "Ready", "status": str(ready)}]
        status = {"phase": phase, "podIP": host, "podIPs": [{"ip": host}], "conditions": conditions}
        self.admin.patch(f"{self.path}/pods/{name}/status", {"status": status})

    def delete(self, name: str, *, grace: int = 0) -> None:
        path = f"{self.path}/pods/{name}?gracePeriodSeconds={grace}"
        self.admin.call("DELETE", path)

    def put(self, name: str, data: Mapping[str, Any], *, kind: str = "configmaps") -> None:
        """Make a ConfigMap or a Secret, or change it; keys with ``None`` are taken away."""
        path = f"{self.path}/{kind}"
        try:
            self.admin.patch(f"{path}/{name}", {"data": dict(data)})
        except AssertionError:
            held = {key: value for key, value in data.items() if value is not None}
            self.admin.call("POST", path, {"metadata": {"name": name}, "data": held})

    def slice(
        self, name: str, service: str, endpoints: Sequence[Mapping[str, Any]], **more: Any
    ) -> None:
        """Make a slice of the endpoints of a service, or replace it."""
        body = {
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": list(endpoints),
            **more,
        }
        try:
            self.admin.call("POST", self._slices, body)
        except AssertionError:
            self.admin.call("PUT", f"{self._slices}/{name}", body)

    def delete_slice(self, name: str) -> None:
        self.admin.call("DELETE", f"{self._slices}/{name}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server that all tests share."""
    server = Server(tmp_path_factory.mktemp("kubernetes"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running API server that nobody else uses."""
    server = Server(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server_class() -> type[Server]:
    """For a test that needs an API server with options of its own."""
    return Server


@pytest.fixture
def space(server: Server) -> Space:
    """A namespace of the test's own."""
    return server.admin.namespace()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[KubernetesClient]:
    async with KubernetesClient(server.cluster) as opened:
        yield opened


@pytest.fixture
async def connected() -> AsyncIterator[Callable[..., KubernetesClient]]:
    """Make clients that are closed at the end."""
    made: list[KubernetesClient] = []

    def connect(cluster: Cluster, **options: Any) -> KubernetesClient:
        made.append(KubernetesClient(cluster, **options))
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


def _words(options: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]
