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

from kratos._built_in import BUILT_IN, DISTRIBUTED

Projects = Mapping[str, Mapping[str, Any]]

# What the core may import, and the distribution that brings it.
CORE_LIBRARIES = {
    "aegis": "kratos-aegis",
    "google": "protobuf",
    "kratos_protojson": "kratos-protojson",
    "pydantic": "pydantic",
    "yaml": "PyYAML",
}
CORE_TAKES_WHAT_IS_THERE = {"orjson", "uvloop"}
TEST_LIBRARIES = {"hypothesis", "pytest", "pytest_asyncio"}


def requirements(project: Mapping[str, Any]) -> Iterator[Requirement]:
    extras: Mapping[str, list[str]] = project.get("optional-dependencies", {})
    for line in (*project["dependencies"], *(line for extra in extras.values() for line in extra)):
        yield Requirement(line)


def imports(source: Path) -> set[str]:
    """Return the top-level names that a module imports, now or later."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


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
    found = {name for source in (root / "aegis/src").rglob("*.py") for name in imports(source)}
    assert found - sys.stdlib_module_names == {"aegis"}


@pytest.mark.slow  # it reads all of our code
def test_members_declare_the_siblings_they_import(root: Path, projects: Projects) -> None:
    owner = {
        entry.name: project["name"]
        for folder, project in projects.items()
        for entry in (root / folder / "src").iterdir()
    }
    for folder, project in projects.items():
        declared = {item.name for item in requirements(project)} | {project["name"]}
        for source in (root / folder / "src").rglob("*.py"):
            used = {owner[name] for name in imports(source) if name in owner}
            assert used <= declared, f"{source.relative_to(root)} imports what {folder} lacks"


def test_core_imports_nothing_that_it_does_not_declare(root: Path, projects: Projects) -> None:
    package = root / "packages/core/src/kratos"
    declared = {item.name for item in requirements(projects["packages/core"])}
    assert declared >= set(CORE_LIBRARIES.values())
    for source in package.rglob("*.py"):
        libraries = imports(source) - sys.stdlib_module_names - {"kratos"}
        libraries -= CORE_TAKES_WHAT_IS_THERE
        if source.is_relative_to(package / "testing"):
            libraries -= TEST_LIBRARIES
        assert libraries <= set(CORE_LIBRARIES), source.relative_to(root)


def test_importing_the_core_loads_no_library_but_protobuf(root: Path) -> None:
    # What a service does not use it does not pay for: codecs, say, load YAML when asked for it.
    package = root / "packages/core/src/kratos"
    public = sorted(
        f"kratos.{path.stem}"
        for path in package.iterdir()
        if not path.name.startswith("_") and path.suffix in {"", ".py"} and path.stem != "testing"
    )
    assert "kratos.encoding" in public
    program = f"""
import sys
before = set(sys.modules)
import kratos, {", ".join(public)}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split()) - sys.stdlib_module_names
    assert loaded <= {"aegis", "google", "kratos"}


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
        assert not attribute or hasattr(found, attribute), f"{folder}: {target} does not exist"


def test_what_is_built_in_is_announced_like_any_plugin(projects: Projects) -> None:
    announced = dict(projects["packages/core"]["entry-points"])
    assert announced.pop("pytest11")  # which is pytest's own group
    assert announced == BUILT_IN


def test_what_may_be_proposed_for_installation_is_what_members_announce(projects: Projects) -> None:
    announced = {
        (group, name): project["name"]
        for folder, project in projects.items()
        if folder != "packages/core"
        for group, entries in project.get("entry-points", {}).items()
        for name in entries
    }
    assert announced == DISTRIBUTED


def test_names_of_plugins_are_url_schemes(projects: Projects) -> None:
    for folder, project in projects.items():
        for group, entries in project.get("entry-points", {}).items():
            for name in entries:
                assert re.fullmatch(r"[a-z][a-z0-9+.-]*", name), f"{folder}: {group} {name}"
