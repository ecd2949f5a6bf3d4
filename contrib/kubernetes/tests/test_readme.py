from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from kratos.errors import ConfigError
from kratos.registry import from_url
from kratos.url import expand_env, parse_url
from kratos_kubernetes import KubernetesSource

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.service("kubernetes")
def test_example_of_the_readme_prints_the_pods(server: Any, space: Any, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    target = {"kind": "Pod", "name": "orders-a"}
    space.slice(
        "s1",
        "orders",
        [{"addresses": ["10.0.0.1"], "targetRef": target}],
        ports=[{"name": "grpc", "port": 9000}],
    )
    config = tmp_path / "config"
    context = {"cluster": "c", "user": "u", "namespace": space.name}
    cluster = {"server": server.url, "certificate-authority": str(server.ca)}
    config.write_text(
        yaml.safe_dump(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": context}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": server.cluster.token}}],
            }
        ),
        encoding="utf-8",
    )

    ran = subprocess.run(
        [sys.executable, "-c", found[1]],
        env={**os.environ, "KUBECONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("(ServiceInstance(id='orders-a', name='orders'"), ran.stdout


def test_urls_of_the_readme_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    page = README.partition("## By URL")[2].partition("\n## ")[0]
    registry, services, source, direct = re.findall(r'"(kubernetes.*?)"', page)
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)

    made = from_url(
        expand_env(direct, environ={"TOKEN": "t&x"}).replace("/etc/kube/ca.pem", str(ca))
    )

    assert str(made) == "kubernetes://10.0.0.1:6443/shop"
    for url, message in (
        (registry, "there is no Kubernetes here"),
        (services, "/etc/kube/config cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_url(url)
    with pytest.raises(ConfigError, match="there is no Kubernetes here"):
        KubernetesSource.from_url(parse_url(source))
