"""Tell ``.ci/run`` what the settings of the repository say, one line per answer."""

from __future__ import annotations

import itertools
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
CORE = "packages/core"


def project(folder: str) -> Mapping[str, Any]:
    """Return the ``project`` table of a member."""
    table: Mapping[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    found: Mapping[str, Any] = table["project"]
    return found


def members() -> list[str]:
    """Return the folders of all members."""
    files = {*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")}
    return sorted(file.parent.relative_to(ROOT).as_posix() for file in files)


def name(folder: str) -> Iterator[str]:
    """Yield the distribution of a member, with all its extras: tests use them."""
    found = project(folder)
    extras = ",".join(found.get("optional-dependencies", {}))
    yield f"{found['name']}[{extras}]" if extras else found["name"]


def extras() -> Iterator[str]:
    """Yield each extra of the core and the modules it must make importable.

    Distribution and import name differ in dashes only, here and for the libraries we take.
    """
    for extra, brings in project(CORE)["optional-dependencies"].items():
        modules = sorted(Requirement(line).name.replace("-", "_") for line in brings)
        yield f"{extra} kratos, {', '.join(modules)}"


def oldest_core() -> Iterator[str]:
    """Yield the members that allow a core older than this one, and the oldest they allow."""
    core = project(CORE)
    for folder in members():
        for line in project(folder)["dependencies"]:
            requirement = Requirement(line)
            if requirement.name != core["name"]:
                continue
            [oldest] = [item.version for item in requirement.specifier if item.operator == ">="]
            if Version(oldest) < Version(core["version"]):
                yield f"{folder} {oldest}"


def libraries() -> Iterator[str]:
    """Yield what members ask for, for themselves and for their extras, besides one another."""
    projects = [project(folder) for folder in members()]
    ours = {found["name"] for found in projects}
    for found in projects:
        of_extras = found.get("optional-dependencies", {}).values()
        for line in itertools.chain(found["dependencies"], *of_extras):
            if Requirement(line).name not in ours:
                yield line


def tools() -> Iterator[str]:
    """Yield what the test environment installs besides the members."""
    hatch = tomllib.loads((ROOT / "hatch.toml").read_text())
    yield from hatch["envs"]["test"]["dependencies"]


QUESTIONS: Mapping[str, Callable[..., Iterator[str]]] = {
    "extras": extras,
    "libraries": libraries,
    "name": name,
    "oldest-core": oldest_core,
    "test-tools": tools,
}

if __name__ == "__main__":
    for answer in QUESTIONS[sys.argv[1]](*sys.argv[2:]):
        sys.stdout.write(f"{answer}\n")
