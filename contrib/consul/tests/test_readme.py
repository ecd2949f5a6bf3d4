from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from kratos.registry import ServiceInstance, from_url
from kratos.url import expand_env, parse_url
from kratos_consul import ConsulClient, ConsulRegistry, ConsulSource, GrpcCheck, HttpCheck
from kratos_consul.layout import registration

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.service("consul")
def test_example_of_the_readme_prints_what_it_says(address: str, unique: str) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    # The server may be shared.
    program = found[1].replace("127.0.0.1:8500", address).replace('"orders"', f'"{unique}"')

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"(ServiceInstance(id='1', name='{unique}'"), ran.stdout
    assert ran.stdout.count("ServiceInstance") == 1


def test_urls_of_the_readme_are_taken(tmp_path: Path) -> None:
    registry, source = re.findall(r'"(consuls?://.*?)"', README)
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)

    made = ConsulSource.from_url(parse_url(source.replace("/etc/consul/ca.pem", str(ca))))
    url = expand_env(registry, environ={"CONSUL_HTTP_TOKEN": "t&ken"})

    assert str(made) == "consuls://localhost:8501/config/orders"
    assert str(from_url(parse_url(url))) == "consul://127.0.0.1:8500"


def test_checks_of_the_readme_are_taken() -> None:
    found = re.search(r"```py\n(registry = ConsulRegistry\(.*?)```", README, re.DOTALL)
    assert found is not None
    names = {"client": ConsulClient(), "ConsulRegistry": ConsulRegistry}
    exec(found[1], {**names, "HttpCheck": HttpCheck, "GrpcCheck": GrpcCheck})


def test_layout_of_the_readme_is_the_one_on_consul() -> None:
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
    body = registration(one, ttl=20.0, deregister_after=600.0)

    shown = re.search(r"under its scheme: `(.*)`", README)
    assert shown is not None
    assert shown[1].replace('"', "'") == str(body["TaggedAddresses"]).replace(" ", "")
