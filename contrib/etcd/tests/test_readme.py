from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from kratos.registry import ServiceInstance, from_url
from kratos.url import expand_env, parse_url
from kratos_etcd import EtcdSource
from kratos_etcd.layout import instance_key

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.service("etcd")
def test_example_of_the_readme_prints_what_it_says(address: str) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    service = f"orders-{uuid4()}"  # the server may be shared
    program = found[1].replace("127.0.0.1:2379", address).replace('"orders"', f'"{service}"')

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"(ServiceInstance(id='1', name='{service}'"), ran.stdout
    assert ran.stdout.count("ServiceInstance") == 1


def test_urls_of_the_readme_are_taken(tmp_path: Path) -> None:
    registry, source = re.findall(r'"(etcds?://.*?)"', README)
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)

    made = EtcdSource.from_url(parse_url(source.replace("/etc/etcd/ca.pem", str(ca))))
    url = expand_env(registry, environ={"ETCD_PASSWORD": "p@ss"})

    assert str(made) == "etcds://etcd-1:2379/config/orders.yaml"
    assert str(from_url(parse_url(url))) == "etcd://etcd-1:2379,etcd-2:2379/microservices"


def test_layout_of_the_readme_is_the_one_on_etcd() -> None:
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))

    assert f"`{one.to_json().decode()}`" in README
    assert instance_key("<namespace>", one).decode() == "<namespace>/orders/1"
