"""Folder, distribution and import name follow from each other, and no member lacks a part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXCEPTIONS = {
    "aegis": ("kratos-aegis", "aegis"),
    "packages/core": ("kratos-core", "kratos"),
    "tools/protoc-gen-kratos": ("protoc-gen-kratos", "protoc_gen_kratos"),
}

FOLDERS = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for pattern in ("*/pyproject.toml", "*/*/pyproject.toml")
    for file in ROOT.glob(pattern)
)

every_member = pytest.mark.parametrize("folder", FOLDERS)


def names(folder: str) -> tuple[str, str]:
    """Return the distribution and the import name that a folder calls for."""
    if folder in EXCEPTIONS:
        return EXCEPTIONS[folder]
    name = folder.rpartition("/")[2]
    return f"kratos-{name}", f"kratos_{name}"


def text(folder: str, name: str) -> str:
    return (ROOT / folder / name).read_text(encoding="utf-8")


def field(folder: str, name: str) -> str:
    """Return a text of the project table as it is written."""
    found = re.search(rf'^{name} = "(.+)"$', text(folder, "pyproject.toml"), re.MULTILINE)
    assert found is not None, f"{folder}/pyproject.toml has no static {name}"
    return found[1]


def test_members_live_in_their_four_places() -> None:
    places = {folder.rpartition("/")[0] or folder for folder in FOLDERS}
    assert places <= {"aegis", "contrib", "packages", "tools"}


@every_member
def test_distribution_follows_from_folder(folder: str) -> None:
    assert field(folder, "name") == names(folder)[0]


@every_member
def test_import_name_follows_from_folder(folder: str) -> None:
    found = {entry.name for entry in (ROOT / folder / "src").iterdir()}
    assert found == {names(folder)[1]}


@every_member
@pytest.mark.parametrize("name", ["CHANGELOG.md", "LICENSE", "README.md"])
def test_member_carries_its_papers(folder: str, name: str) -> None:
    assert text(folder, name).strip()


@every_member
def test_readme_begins_with_the_distribution(folder: str) -> None:
    assert text(folder, "README.md").startswith(f"# {names(folder)[0]}\n")


@every_member
def test_license_is_the_one_of_the_repository(folder: str) -> None:
    assert text(folder, "LICENSE") == text(".", "LICENSE")


@every_member
def test_member_ships_its_types(folder: str) -> None:
    assert (ROOT / folder / "src" / names(folder)[1] / "py.typed").is_file()


@every_member
def test_member_is_tested(folder: str) -> None:
    assert list((ROOT / folder / "tests").rglob("test_*.py"))


@every_member
def test_changelog_begins_with_the_version(folder: str) -> None:
    releases = re.findall(r"^## (\S+)", text(folder, "CHANGELOG.md"), re.MULTILINE)
    assert releases[0] == field(folder, "version")


@every_member
def test_index_of_releases_names_the_version(folder: str) -> None:
    row = f"| {names(folder)[0]} | {field(folder, 'version')} | [{folder}]({folder}/CHANGELOG.md) |"
    assert row in text(".", "CHANGELOG.md").splitlines()


@every_member
def test_member_runs_on_the_oldest_python_we_promise(folder: str) -> None:
    assert field(folder, "requires-python") == ">=3.11"
    assert '"Typing :: Typed"' in text(folder, "pyproject.toml")
    assert field(folder, "license") == "MIT"


@every_member
def test_tools_are_set_up_at_the_root_alone(folder: str) -> None:
    tables = re.findall(r"^\[tool\.(.+)\]$", text(folder, "pyproject.toml"), re.MULTILINE)
    assert all(table.startswith("hatch.build.") for table in tables), tables


def test_root_is_no_project() -> None:
    # Hatch would take the root for a project and try to build it.
    unwanted = ("pyproject.toml", "setup.cfg", "setup.py")
    assert [name for name in unwanted if (ROOT / name).exists()] == []


def test_tests_are_no_packages() -> None:
    # Test files of different members share names; as packages they would hide each other.
    folders = [ROOT / "tests", *(ROOT / folder / "tests" for folder in FOLDERS)]
    assert [file for folder in folders for file in folder.rglob("__init__.py")] == []
