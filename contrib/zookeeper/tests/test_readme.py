from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from kratos.config import from_url as source_from_url
from kratos.registry import from_url
from kratos.url import expand_env

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.service("zookeeper")
def test_example_of_the_readme_prints_the_instance(host: str, unique: str) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    program = found[1].replace("127.0.0.1:2181", host).replace("microservices", f"readme-{unique}")

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert "ServiceInstance(id='1', name='orders'" in ran.stdout


def test_urls_of_the_readme_are_taken(tmp_path: Path) -> None:
    page = README.partition("## By URL")[2].partition("\n## ")[0]
    registry, source = re.findall(r'"(zookeepers?://.*?)"', page)
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)

    made = source_from_url(source.replace("/etc/zookeeper/ca.pem", str(ca)))
    url = expand_env(registry, environ={"ZOOKEEPER_PASSWORD": "p@ss"})

    assert str(made) == "zookeepers://zk-1:2181/config/orders"
    assert str(from_url(url)) == "zookeeper://zk-1:2181,zk-2:2181/microservices"
