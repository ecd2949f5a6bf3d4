"""Users' own clients of etcd3, which no process can import that has protobuf as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kratos.errors import ConfigError
from kratos_etcd import EtcdRegistry, EtcdSource

SUITE = Path(__file__).with_name("suite_etcd3.py")


@pytest.mark.service("etcd")
@pytest.mark.slow
def test_suites_hold_over_clients_of_etcd3(address: str) -> None:
    without = ("-p", "no:xdist", "-p", "no:cacheprovider")
    environment = {
        **os.environ,
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
        "KRATOS_TEST_ETCD": address,
        "KRATOS_TEST_ETCD37": "",
        "CI": "",
        "PYTEST_ADDOPTS": "",  # which may be about a plug-in that is left out
    }
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", str(SUITE), "-q", *without],
        env=environment,
        cwd=SUITE.parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 50, ran.stdout


def test_what_is_no_client_is_refused() -> None:
    wrong = object()
    with pytest.raises(ConfigError, match="is no client of etcd: give an EtcdClient, or one of"):
        EtcdRegistry(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="is no client of etcd"):
        EtcdSource(wrong, "/app")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
