"""Indexes name each member, extra, group and page once, so that nothing is hidden or told twice."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kratos import plugins

Projects = Mapping[str, Mapping[str, Any]]

INDEXES = ["CHANGELOG.md", "README.md", "contrib/README.md", "docs/README.md"]


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row of each table."""
    return re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)


def extras_of_the_core(projects: Projects) -> list[str]:
    return sorted(projects["packages/core"]["optional-dependencies"])


@pytest.mark.parametrize("page", [*INDEXES, "docs/architecture.md", "packages/core/README.md"])
def test_no_index_has_two_rows_for_one_thing(root: Path, page: str) -> None:
    tables = (root / page).read_text(encoding="utf-8").split("\n\n")
    for cells in map(first_cells, tables):
        assert [cell for cell in cells if cells.count(cell) > 1] == []


def test_readme_names_every_member_in_the_order_of_their_folders(
    root: Path, projects: Projects
) -> None:
    rows = re.findall(
        r"^\| \[(.+?)\]\(\1\) \| `(.+?)` \| `(.+?)` \|",
        (root / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    imports = {folder: next((root / folder / "src").iterdir()).name for folder in projects}
    assert sorted(rows) == sorted(
        (folder, project["name"], imports[folder]) for folder, project in projects.items()
    )
    adapters = [folder for folder, _, _ in rows if folder.startswith("contrib/")]
    assert adapters == sorted(adapters)


def test_documentation_leads_to_the_readme_of_every_member(root: Path, projects: Projects) -> None:
    row = re.search(r"^\| use a package \|.+$", (root / "docs/README.md").read_text(), re.MULTILINE)
    assert row is not None
    assert sorted(re.findall(r"\(\.\./(.+?)\)", row[0])) == sorted(projects)


def test_documentation_leads_to_every_page(root: Path) -> None:
    index = (root / "docs/README.md").read_text(encoding="utf-8")
    pages = {file.name for file in (root / "docs").glob("*.md")} - {"README.md"}
    assert sorted(page for page in pages if f"({page})" not in index) == []


@pytest.mark.parametrize("page", ["README.md", "packages/core/README.md"])
def test_every_extra_of_the_core_is_told(root: Path, projects: Projects, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    table = text.partition("## Which extras\n" if page == "README.md" else "## Extras\n")[2]
    table = table.partition("\n## ")[0]
    told = set(re.findall(r"kratos-core\[(\w+)\]" if page == "README.md" else r"\| `(\w+)`", table))
    assert sorted(told) == extras_of_the_core(projects)


def test_every_adapter_is_an_extra_of_the_core(projects: Projects) -> None:
    adapters = {folder.removeprefix("contrib/") for folder in projects if "contrib/" in folder}
    assert adapters - set(extras_of_the_core(projects)) == set()


def test_authors_of_adapters_are_told_every_group_of_plug_ins(root: Path) -> None:
    source = inspect.getsource(plugins)
    typed = set(re.findall(r'def load\(group: Literal\["(.+?)"\]', source))
    cells = first_cells((root / "contrib/README.md").read_text(encoding="utf-8"))
    assert {cell.strip("`") for cell in cells if cell.startswith("`kratos.")} == typed


def test_every_suite_for_adapters_is_told(root: Path) -> None:
    told = set(re.findall(r"^\| `(\w+_contract)\.", (root / "docs/testing.md").read_text(), re.M))
    suites = (root / "packages/core/src/kratos/testing").glob("*_contract.py")
    assert told == {file.stem for file in suites}
