"""The tools at the root see every member; a new one that they miss would go unchecked."""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

Projects = Mapping[str, Mapping[str, Any]]

PYTHON_FOLDERS = (".ci", "aegis", "benchmarks", "contrib", "docs", "packages", "tests", "tools")

# What .ci/generate.py writes: the checkers see the code that programs here generate at run time.
GENERATED = "build/generated"


@pytest.fixture
def sources(projects: Projects) -> list[str]:
    return sorted([*(f"{folder}/src" for folder in projects), GENERATED])


@pytest.fixture
def checked(root: Path) -> list[str]:
    """Everything at the root that holds Python files."""
    folders = [name for name in PYTHON_FOLDERS if any((root / name).rglob("*.py"))]
    return sorted([*folders, "conftest.py"])


@pytest.fixture
def mypy(root: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(root / "mypy.ini")
    return parser["mypy"]


@pytest.fixture
def pyright(root: Path) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = json.loads((root / "pyrightconfig.json").read_text())
    return settings


def items(setting: str) -> list[str]:
    return [item.strip() for item in setting.split(",")]


def test_mypy_finds_every_member(
    mypy: Mapping[str, str], sources: list[str], projects: Projects
) -> None:
    paths = items(mypy["mypy_path"].replace("$MYPY_CONFIG_FILE_DIR/", ""))
    # A module name cannot begin above a folder like these: their tests would have none.
    unspeakable = [folder for folder in projects if not folder.replace("/", "").isidentifier()]
    assert sorted(paths) == sorted([*sources, *unspeakable])


def test_mypy_checks_everything(mypy: Mapping[str, str], checked: list[str]) -> None:
    assert sorted(items(mypy["files"])) == checked


def test_pyright_finds_every_member(pyright: Mapping[str, Any], sources: list[str]) -> None:
    assert sorted(pyright["extraPaths"]) == sources


def test_pyright_checks_everything(pyright: Mapping[str, Any], checked: list[str]) -> None:
    assert sorted(pyright["include"]) == checked


def test_both_checkers_are_strict(mypy: Mapping[str, str], pyright: Mapping[str, Any]) -> None:
    assert mypy["strict"] == "True"
    assert pyright["typeCheckingMode"] == "strict"
    assert mypy["python_version"] == pyright["pythonVersion"]


def test_pytest_looks_into_every_member(root: Path, projects: Projects) -> None:
    patterns = tomllib.loads((root / "pytest.toml").read_text())["pytest"]["testpaths"]
    found = {path.relative_to(root).as_posix() for glob in patterns for path in root.glob(glob)}
    assert found == {"tests", *(f"{folder}/tests" for folder in projects)}


def test_test_environment_holds_every_member(root: Path, projects: Projects) -> None:
    settings = tomllib.loads((root / "hatch.toml").read_text())["envs"]["test"]
    patterns = settings["workspace"]["members"]
    matched = {glob: sorted(root.glob(glob)) for glob in patterns}
    assert [glob for glob, paths in matched.items() if not paths] == []
    folders = {
        path.relative_to(root).as_posix()
        for paths in matched.values()
        for path in paths
        if path.is_dir()
    }
    assert folders == set(projects)
