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
from kratos_nacos import NacosSource
from kratos_nacos.layout import entries_of

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow  # an interpreter of its own
@pytest.mark.service("nacos")
def test_example_of_the_readme_prints_what_it_says(address: str) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    service = f"orders-{uuid4()}"  # the server may be shared
    program = found[1].replace("127.0.0.1:8848", address).replace('"orders"', f'"{service}"')

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"(ServiceInstance(id='1', name='{service}'"), ran.stdout
    assert ran.stdout.count("ServiceInstance") == 1


def test_urls_of_the_readme_are_taken(tmp_path: Path) -> None:
    registry, source = re.findall(r'"(nacoss?://.*?)"', README)
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)

    made = NacosSource.from_url(parse_url(source.replace("/etc/nacos/ca.pem", str(ca))))
    url = expand_env(registry, environ={"NACOS_PASSWORD": "p@ss"})

    assert str(made) == "nacoss://nacos-1:8848/staging shop orders.yaml"
    assert str(from_url(parse_url(url))) == "nacos://nacos-1:8848,nacos-2:8848/staging shop"


def test_keys_of_the_readme_are_those_on_nacos() -> None:
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000/path",))
    entries = entries_of(one, cluster="DEFAULT", weight=100.0, since=1)

    table = README.partition("| key | value |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) == list(
        entries["orders.grpc"][0]["metadata"]
    )
