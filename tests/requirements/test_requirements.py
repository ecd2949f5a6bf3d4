"""Tests marked by what they need are skipped for a reason, and never in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

# What pytest.toml speaks of and no more: a start with every plug-in takes seconds.
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider")
ONLY_THESE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

SUITE = """
import pytest

@pytest.mark.go
def test_go() -> None: ...

@pytest.mark.service("etcd")
def test_etcd() -> None: ...

def test_plain() -> None: ...
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name in ("conftest.py", "pytest.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    return tmp_path


def run(suite: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the suite on a machine with nothing on PATH."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith(("KRATOS_", "PYTEST_", "COV_", "COVERAGE_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, "test_suite.py"],
        cwd=suite,
        env=inherited
        | {"PATH": str(suite / "nothing"), "HOME": str(suite)}
        | ONLY_THESE
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_the_machine_lacks_is_skipped_and_named(suite: Path) -> None:
    ran = run(suite)
    assert ran.returncode == 0, ran.stdout
    assert "left out for want of Go: 1 test(s); put go on PATH\n" in ran.stdout
    assert "left out for want of etcd: 1 test(s); set KRATOS_TEST_ETCD" in ran.stdout
    assert "1 passed, 2 skipped" in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize(("variables", "outcome"), [({}, "1 skipped"), ({"CI": "true"}, "1 error")])
def test_machine_without_namespaces_is_told_so(
    suite: Path, variables: dict[str, str], outcome: str
) -> None:
    containers = suite / "tests/containers"
    containers.mkdir(parents=True)
    for name in ("inside.py", "namespaces.py"):
        shutil.copy(ROOT / "tests/containers" / name, containers)
    marked = "import pytest\n\n@pytest.mark.namespaces\ndef test_image() -> None: ...\n"
    (suite / "test_suite.py").write_text(marked)
    ran = run(suite, **variables)
    assert outcome in ran.stdout.splitlines()[-1], ran.stdout
    assert "nsenter of util-linux" in ran.stdout
    assert "run them as root of a Linux machine" in ran.stdout


def test_nothing_is_skipped_in_ci(suite: Path) -> None:
    ran = run(suite, CI="true")
    assert ran.returncode == 1, ran.stdout
    assert "Go is missing, and CI runs every test: put go on PATH" in ran.stdout
    assert "left out" not in ran.stdout
    assert "1 passed, 2 errors" in ran.stdout.splitlines()[-1]


def test_tests_run_where_their_needs_are_met(suite: Path) -> None:
    (suite / "nothing").mkdir()
    go = suite / "nothing" / "go"
    go.touch(mode=0o755)
    ran = run(suite, CI="true", KRATOS_TEST_ETCD="127.0.0.1:2379")
    assert "3 passed" in ran.stdout.splitlines()[-1], ran.stdout


def test_service_without_a_name_is_refused(suite: Path) -> None:
    (suite / "test_suite.py").write_text(SUITE.replace('("etcd")', ""))
    ran = run(suite)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert '@pytest.mark.service("<name>")' in ran.stderr
