"""Releases: what is refused, what is looked at, and the table of what works with what."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "kratos-{name}"
version = "{version}"
readme = "README.md"
license = "MIT"
license-files = ["LICENSE"]
requires-python = ">=3.11"
dependencies = [{dependencies}]

[tool.hatch.build.targets.wheel]
packages = ["src/kratos_{name}"]
"""
ROW = "| kratos-{name} | {version} | [packages/{name}](packages/{name}/CHANGELOG.md) |\n"


def loaded() -> Any:
    """Return the program as a module; its folder is no package."""
    spec = importlib.util.spec_from_file_location("kratos_release", ROOT / ".ci/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


release = loaded()


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-m", "a change")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two packages, of which ``kratos-http`` 0.2.0 may be released."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.org")
    index = "# Releases\n\n"
    for name, version, needs in (("core", "0.1.0", ""), ("http", "0.2.0", '"kratos-core<1,>=0.1"')):
        member = tmp_path / "packages" / name
        package = member / f"src/kratos_{name}"
        (member / "tests").mkdir(parents=True)
        package.mkdir(parents=True)
        project = PROJECT.format(name=name, version=version, dependencies=needs)
        (member / "pyproject.toml").write_text(project)
        (member / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version}\n\n## 0.0.1\n")
        (member / "README.md").write_text(f"# kratos-{name}\n")
        (member / "LICENSE").write_text("MIT\n")
        (member / "tests/test_it.py").write_text("def test_it() -> None: ...\n")
        (package / "__init__.py").write_text("")
        (package / "py.typed").write_text("")
        index += ROW.format(name=name, version=version)
    (tmp_path / "CHANGELOG.md").write_text(index)
    (tmp_path / "README.md").write_text(f"# All\n\n{release.BEGIN}{release.END}")
    assert release.main(["--table"], tmp_path) == 0
    git(tmp_path, "init", "--initial-branch=main")
    commit(tmp_path)
    git(tmp_path, "tag", "kratos-http/v0.2.0")
    return tmp_path


def differences(root: Path) -> list[str]:
    [member] = [each for each in release.members(root) if each.name == "kratos-http"]
    return list(release.differences(root, member))


def change(root: Path, path: str, old: str, new: str) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


def committed(path: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a change that is committed and tagged."""

    def make(root: Path) -> None:
        change(root, path, old, new)
        commit(root)
        git(root, "tag", "--force", "kratos-http/v0.2.0")

    return make


def test_tag_that_is_no_version_is_no_release(root: Path) -> None:
    git(root, "tag", "kratos-http/vnext")
    assert differences(root) == []


def test_nothing_is_in_the_way(root: Path) -> None:
    assert differences(root) == []


def unfinished(root: Path) -> None:
    (root / "new.py").write_text("")


def untagged(root: Path) -> None:
    git(root, "tag", "--delete", "kratos-http/v0.2.0")


def overtaken(root: Path) -> None:
    git(root, "tag", "kratos-http/v0.10.0")


WAYS: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "dirty": (unfinished, "not committed: new.py"),
    "no tag": (untagged, "this commit has no tag of it: git tag kratos-http/v0.2.0"),
    "other tag": (
        committed("packages/http/pyproject.toml", '"0.2.0"', '"0.3.0"'),
        "says 0.3.0, and this commit has the tag kratos-http/v0.2.0",
    ),
    "changelog": (
        committed("packages/http/CHANGELOG.md", "## 0.2.0", "## 0.1.9"),
        "CHANGELOG.md begins with 0.1.9, and pyproject.toml says 0.2.0",
    ),
    "index": (committed("CHANGELOG.md", "| 0.2.0 |", "| 0.1.0 |"), "CHANGELOG.md lacks the row"),
    "table": (committed("README.md", "| 0.2.0 |", "| 0.1.0 |"), "README.md is out of date"),
    "older": (overtaken, "0.10.0 is released already, and 0.2.0 is not newer"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_differs_is_refused(root: Path, capsys: pytest.CaptureFixture[str], way: str) -> None:
    make, told = WAYS[way]
    make(root)
    assert any(told in line for line in differences(root))
    assert release.main(["kratos-http"], root) == 1
    assert told in capsys.readouterr().err
    assert not (root / "dist").exists()


def test_all_that_is_in_the_way_is_told_at_once(root: Path) -> None:
    change(root, "packages/http/pyproject.toml", '"0.2.0"', '"0.0.1"')
    git(root, "tag", "kratos-http/v0.1.0", "HEAD")
    assert len(differences(root)) == 7


def test_package_that_is_not_there_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["kratos-htp"], root) == 1
    assert "there is no package kratos-htp; there are kratos-core" in capsys.readouterr().err


def test_what_is_built_is_looked_at(root: Path) -> None:
    [member] = [each for each in release.members(root) if each.name == "kratos-http"]
    sdist, wheel = release.build(member, root, root / "dist")
    assert (sdist.name, wheel.name) == (
        "kratos_http-0.2.0.tar.gz",
        "kratos_http-0.2.0-py3-none-any.whl",
    )
    assert list(release.faults(member, "kratos_http", sdist, wheel)) == []
    # The same under the eyes of another package, and with what does not belong into it.
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("stranger.py", "")
    with tarfile.open(sdist, "w:gz") as sources:
        sources.addfile(tarfile.TarInfo("kratos_http-0.2.0/README.md"), io.BytesIO())
    told = "\n".join(release.faults(member, "kratos_other", sdist, wheel))
    for part in (
        "ships no types",
        "kratos_http, stranger.py",
        "lacks CHANGELOG.md",
        "has no tests",
    ):
        assert part in told


def test_what_cannot_be_built_is_told(root: Path) -> None:
    change(root, "packages/http/pyproject.toml", "packages = ", "packages = 5 #")
    [member] = [each for each in release.members(root) if each.name == "kratos-http"]
    with pytest.raises(release.Refusal, match=r"wheel of .* cannot be built: (.|\n)*packages"):
        release.build(member, root, root / "dist")


def test_table_is_up_to_date() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert release.with_table(page, release.table(ROOT)) == page, "./hatchw run release --table"


def test_table_tells_ranges_with_the_lowest_first(root: Path) -> None:
    assert "| kratos-http | 0.2.0 | `>=0.1,<1` | none |\n" in release.table(root)
