"""The page on testing: its tests pass, and its tables have what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from kratos.testing import CallFaults, pytest_plugin, serving

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_tests_of_the_page_pass(tmp_path: Path) -> None:
    blocks: list[str] = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    (code,) = [block for block in blocks if "async def test_" in block]
    (tmp_path / "test_page.py").write_text(code, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{code.count('def test_')} passed" in ran.stdout, ran.stdout + ran.stderr


def test_table_of_serving_has_every_option() -> None:
    table = PAGE.partition("| option | default")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert told == [name for name in signature(serving).parameters if name != "services"]


def test_table_of_faults_has_every_fault() -> None:
    table = PAGE.partition("| fault | what")[2].partition("\n\n")[0]
    others = {"carry", "clear", "connector", "met", "middleware", "restore"}
    public = {name for name in vars(CallFaults) if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE)) == public - others


def test_table_of_fixtures_has_every_fixture() -> None:
    table = PAGE.partition("| fixture | what")[2].partition("\n\n")[0]
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("kratos_")}
    assert set(re.findall(r"`(kratos_\w+)`", table)) == fixtures


def test_table_of_suites_names_suites_and_their_fixtures() -> None:
    table = PAGE.partition("| suite | of")[2].partition("\n\n")[0]
    rows: list[tuple[str, str, str]] = re.findall(
        r"^\| `(\w+)\.(\w+)` \|[^|]*\| `(\w+)`", table, re.MULTILINE
    )
    assert len(rows) >= 6
    for module, name, fixture in rows:
        suite: type = getattr(import_module(f"kratos.testing.{module}"), name)
        tests = [getattr(suite, each) for each in dir(suite) if each.startswith("test_")]
        asked = any(fixture in signature(each).parameters for each in tests)
        assert asked, f"no test of {name} asks for {fixture}"
