"""An API server of Kubernetes for a bench, with pods that nobody runs."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import trustme

from benchmarks.measure import free_port

__all__ = ["make_pods", "serving"]

PROGRAM: Final = "KRATOS_TEST_KUBERNETES"
_ETCD: Final = "KRATOS_TEST_KUBERNETES_ETCD"
_TOKEN: Final = "bench"
_PODS: Final = "/api/v1/namespaces/default/pods"
_READY: Final = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "podIPs": [{"ip": "10.0.0.1"}],
    "conditions": [{"type": "Ready", "status": "True"}],
}


@contextmanager
def serving() -> Generator[str]:
    """Run an API server on an etcd of its own, and yield the URL of a registry on it."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        own = authority.issue_cert("127.0.0.1")
        own.private_key_pem.write_to_path(folder / "key.pem")
        for number, pem in enumerate(own.cert_chain_pems):
            pem.write_to_path(folder / "cert.pem", append=number > 0)
        (folder / "tokens").write_text(f"{_TOKEN},admin,admin,system:masters\n", encoding="ascii")
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        port = free_port()
        stack.enter_context(_running(_ETCD, folder, _etcd(folder, store, peer)))
        stack.enter_context(_running(PROGRAM, folder, _server(folder, store, port)))
        url = f"kubernetes://127.0.0.1:{port}/default?token={_TOKEN}&ca={folder / 'ca.pem'}"
        _await(url)
        yield url


def make_pods(url: str, names: Iterable[str]) -> None:
    """Make pods that run, as far as the API server can tell."""

    def make(name: str) -> None:
        spec = {"nodeName": "node", "containers": [{"name": "main", "image": "none"}]}
        _ask(url, "POST", _PODS, {"metadata": {"name": name}, "spec": spec})
        _ask(url, "PATCH", f"{_PODS}/{name}/status", {"status": _READY})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, names))


def _etcd(folder: Path, store: str, peer: str) -> Mapping[str, str]:
    return {
        "--data-dir": str(folder / "data"),
        "--log-level": "error",
        "--listen-client-urls": store,
        "--advertise-client-urls": store,
        "--listen-peer-urls": peer,
        "--initial-advertise-peer-urls": peer,
        "--initial-cluster": f"default={peer}",
    }


def _server(folder: Path, store: str, port: int) -> Mapping[str, str]:
    key = str(folder / "key.pem")
    return {
        "--etcd-servers": store,
        "--bind-address": "127.0.0.1",
        "--secure-port": str(port),
        "--tls-cert-file": str(folder / "cert.pem"),
        "--tls-private-key-file": key,
        "--service-cluster-ip-range": "10.0.0.0/24",
        "--authorization-mode": "AlwaysAllow",
        "--token-auth-file": str(folder / "tokens"),
        "--service-account-issuer": "https://kubernetes.default.svc",
        "--service-account-key-file": key,
        "--service-account-signing-key-file": key,
        "--disable-admission-plugins": "ServiceAccount",
        "--enable-priority-and-fairness": "false",
        "--endpoint-reconciler-type": "none",
    }


@contextmanager
def _running(program: str, folder: Path, options: Mapping[str, str]) -> Generator[None]:
    words = [f"{name}={value}" for name, value in options.items()]
    with (
        (folder / program).open("wb") as log,
        subprocess.Popen([os.environ[program], *words], stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def _await(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            _ask(url, "GET", "/readyz")
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _ask(url: str, verb: str, path: str, body: object = None) -> None:
    host, ca = url.partition("//")[2].partition("/")[0], url.rpartition("ca=")[2].partition("&")[0]
    kind = "application/merge-patch+json" if verb == "PATCH" else "application/json"
    request = Request(
        f"https://{host}{path}",
        method=verb,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {_TOKEN}", "content-type": kind},
    )
    with urlopen(request, timeout=10, context=ssl.create_default_context(cafile=ca)) as answer:
        answer.read()
