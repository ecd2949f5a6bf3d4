"""What members ask of each other, of the index, and of an interpreter that imports them."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

Projects = Mapping[str, Mapping[str, Any]]

# Declared by the core, yet loaded where they are used: a service that needs none pays for none.
CORE_LOADS_AT_ONCE = {"aegis", "google", "kratos"}


def requirements(project: Mapping[str, Any]) -> Iterator[Requirement]:
    extras: Mapping[str, list[str]] = project.get("optional-dependencies", {})
    for line in (*project["dependencies"], *(line for extra in extras.values() for line in extra)):
        yield Requirement(line)


def imports(source: Path) -> Iterator[tuple[str, bool]]:
    """Yield each imported top-level name, and whether importing the module runs the import."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    late = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test))
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], id(node) not in late
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0], id(node) not in late


def test_nothing_depends_on_the_strangers(projects: Projects) -> None:
    # "kratos" and "aegis" on the public index are other people's projects.
    asked = {item.name for project in projects.values() for item in requirements(project)}
    assert asked & {"aegis", "kratos"} == set()


def test_every_sibling_asked_for_exists_in_the_version_asked_for(projects: Projects) -> None:
    versions = {project["name"]: project["version"] for project in projects.values()}
    ours = [
        (folder, item)
        for folder, project in projects.items()
        for item in requirements(project)
        if item.name.startswith("kratos-") or item.name in versions
    ]
    assert ours
    for folder, item in ours:
        assert item.name in versions, f"{folder} asks for {item.name}, which is no member"
        assert versions[item.name] in item.specifier, f"{folder} excludes its sibling: {item}"


def test_every_extra_of_the_core_brings_something(projects: Projects) -> None:
    extras = projects["packages/core"]["optional-dependencies"]
    assert {"cli", "grpc", "http"} <= set(extras)
    assert [name for name, brings in extras.items() if not brings] == []


def test_aegis_needs_nothing(root: Path, projects: Projects) -> None:
    assert projects["aegis"]["dependencies"] == []
    found = {name for source in (root / "aegis/src").rglob("*.py") for name, _ in imports(source)}
    assert found - sys.stdlib_module_names == {"aegis"}


def test_members_declare_the_siblings_they_import(root: Path, projects: Projects) -> None:
    owner = {
        entry.name: project["name"]
        for folder, project in projects.items()
        for entry in (root / folder / "src").iterdir()
    }
    for folder, project in projects.items():
        declared = {item.name for item in requirements(project)} | {project["name"]}
        for source in (root / folder / "src").rglob("*.py"):
            used = {owner[name] for name, _ in imports(source) if name in owner}
            assert used <= declared, f"{source.relative_to(root)} imports what {folder} lacks"


def test_modules_of_the_core_load_no_library_but_protobuf(root: Path) -> None:
    loaded = {
        (source.relative_to(root).as_posix(), name)
        for source in (root / "packages/core/src").rglob("*.py")
        for name, at_once in imports(source)
        if at_once and name not in sys.stdlib_module_names and name not in CORE_LOADS_AT_ONCE
    }
    assert loaded == set()


def test_importing_kratos_loads_no_library_but_protobuf() -> None:
    program = """
import sys
before = set(sys.modules)
import kratos
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    assert "kratos" in loaded
    assert loaded - sys.stdlib_module_names - CORE_LOADS_AT_ONCE == set()


def test_entry_points_name_what_exists(projects: Projects) -> None:
    named = [
        (folder, target)
        for folder, project in projects.items()
        for group in (project.get("scripts", {}), *project.get("entry-points", {}).values())
        for target in group.values()
    ]
    assert named
    for folder, target in named:
        module, _, attribute = target.partition(":")
        found = importlib.import_module(module)
        assert hasattr(found, attribute), f"{folder}: {target} does not exist"


@pytest.mark.parametrize("group", ["kratos.encoding", "kratos.registry", "kratos.selector"])
def test_what_is_built_in_is_announced_like_any_plugin(projects: Projects, group: str) -> None:
    assert projects["packages/core"]["entry-points"][group]


def test_names_of_plugins_are_url_schemes(projects: Projects) -> None:
    for folder, project in projects.items():
        for group, entries in project.get("entry-points", {}).items():
            for name in entries:
                assert re.fullmatch(r"[a-z][a-z0-9+.-]*", name), f"{folder}: {group} {name}"
