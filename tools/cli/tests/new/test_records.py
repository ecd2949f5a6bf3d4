"""What a project remembers of its template, and how the template is found again."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def template_of(project: Path) -> dict[str, Any]:
    text = (project / ".kratos/template.toml").read_text()
    found: dict[str, Any] = tomllib.loads(text)["template"]
    return found


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
    command = ["git", *who, *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A repository of git whose ``main`` and ``v2`` are templates."""
    folder = tmp_path / "layout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "start")
    for text, branch in (("one\n", "main"), ("two\n", "v2")):
        git(folder, "switch", "--quiet", "--create", branch)
        (folder / "README.md").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", text)
    git(folder, "switch", "--quiet", "main")
    return folder


@pytest.fixture
def built_in(tmp_path: Path) -> Path:
    """A copy of the template that comes along."""
    folder = tmp_path / "copy"
    shutil.copytree(str(files("kratos_cli") / "templates/service"), folder)
    return folder


def test_template_that_comes_along_is_known_by_the_version_of_the_command(
    here: Path, new: Kratos, capsys: Captured
) -> None:
    assert new("shop") == 0
    now = version("kratos-cli")
    assert template_of(here / "shop") == {"place": "kratos-cli", "branch": "", "version": now}
    assert new("shop", "--update", "--allow-dirty") == 0
    assert f"The project is as kratos-cli {now} makes it." in capsys.readouterr().out


def test_newer_project_is_not_brought_to_an_older_template(
    here: Path, new: Kratos, capsys: Captured
) -> None:
    assert new("shop") == 0
    record = here / "shop/.kratos/template.toml"
    edit(record, f'version = "{version("kratos-cli")}"', 'version = "99.0.0"')
    assert new("shop", "--update", "--allow-dirty") == 1
    assert "the project is of 99.0.0: bring kratos-cli up to date" in capsys.readouterr().err


def test_version_that_is_none_is_told(here: Path, new: Kratos, capsys: Captured) -> None:
    assert new("shop") == 0
    record = here / "shop/.kratos/template.toml"
    edit(record, f'version = "{version("kratos-cli")}"', 'version = "newest"')
    assert new("shop", "--update", "--allow-dirty") == 1
    assert "cannot be understood: Invalid version: 'newest'" in capsys.readouterr().err


def test_older_project_asks_for_the_versions_of_today(here: Path, new: Kratos) -> None:
    assert new("shop") == 0
    now = tomllib.loads((here / "shop/.kratos/template.toml").read_text())["requires"]
    for path, key in (("pyproject.toml", "kratos"), ("hatch.toml", "cli")):
        edit(here / "shop" / path, now[key], ">=0.0,<1")
        edit(here / "shop/.kratos/template.toml", f'{key} = "{now[key]}"', f'{key} = ">=0.0,<1"')
    edit(here / "shop/pyproject.toml", "A service made with Kratos", "Mine")
    assert new("shop", "--update", "--allow-dirty") == 0
    assert f"kratos-cli{now['cli']}" in (here / "shop/hatch.toml").read_text()
    project = (here / "shop/pyproject.toml").read_text()
    assert f"kratos-core[grpc,http]{now['kratos']}" in project
    assert 'description = "Mine"' in project


def test_services_of_a_repository_follow_the_template_too(
    here: Path, new: Kratos, built_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new("shop", "--repo", str(built_in), "--http-only") == 0
    monkeypatch.chdir(here / "shop")
    for path in ("app/user", "app/order"):
        assert new(path, "--nomod", "--repo", str(built_in), "--http-only") == 0
    edit(built_in / "hatch.toml.tmpl", '    "pytest-cov>=7,<8",\n', "")
    edit(built_in / "configs/config.yaml.tmpl", "timeout: 1s", "timeout: 2s")
    assert new("--update", "--allow-dirty") == 0
    hatch = tomllib.loads(Path("hatch.toml").read_text())["envs"]["default"]
    assert hatch["workspace"]["members"] == ["app/user", "app/order"]
    assert not any("pytest-cov" in each for each in hatch["dependencies"])
    before = Path("app/order/configs/config.yaml").read_text()
    assert "timeout: 1s" in before
    assert new("app/order", "--update", "--allow-dirty") == 0
    after = Path("app/order/configs/config.yaml").read_text()
    assert after == before.replace("timeout: 1s", "timeout: 2s")
    assert "8002" in after
    assert "grpc" not in after
    assert not Path("app/order/hatch.toml").exists()


def test_folder_is_remembered_from_the_project_on(here: Path, new: Kratos, layout: Path) -> None:
    assert new("all/shop", "--repo", str(layout)) == 0
    found = template_of(here / "all/shop")
    assert found == {"place": "../../../layout", "branch": "", "version": ""}


def test_branch_is_followed_until_another_is_named(here: Path, new: Kratos, layout: Path) -> None:
    assert new("shop", "--repo", f"file://{layout}", "--branch", "main") == 0
    assert template_of(here / "shop")["branch"] == "main"
    assert new("shop", "--update", "--allow-dirty") == 0
    assert (here / "shop/README.md").read_text() == "one\n"
    assert new("shop", "--update", "--allow-dirty", "--branch", "v2") == 0
    assert (here / "shop/README.md").read_text() == "two\n"
    assert template_of(here / "shop") == {
        "place": f"file://{layout}",
        "branch": "v2",
        "version": git(layout, "rev-parse", "v2"),
    }


def test_template_that_has_moved_is_named_anew(
    here: Path, new: Kratos, layout: Path, capsys: Captured
) -> None:
    assert new("shop", "--repo", str(layout)) == 0
    moved = layout.rename(layout.parent / "moved")
    (moved / "README.md").write_text("three\n")
    assert new("shop", "--update", "--allow-dirty") == 1
    assert "if it is elsewhere now, name it with --repo" in capsys.readouterr().err
    assert new("shop", "--update", "--allow-dirty", "--repo", str(moved)) == 0
    assert (here / "shop/README.md").read_text() == "three\n"
    assert template_of(here / "shop")["place"] == "../../moved"


def test_environment_names_templates_of_new_projects_alone(
    here: Path, new: Kratos, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new("shop", "--repo", str(layout)) == 0
    monkeypatch.setenv("KRATOS_LAYOUT_REPO", str(layout.parent / "nowhere"))
    assert new("shop", "--update", "--allow-dirty") == 0


def test_password_of_a_url_is_not_remembered(
    here: Path, new: Kratos, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{layout}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://me:secret@git.example.com/layout.git")
    assert new("shop", "--repo", "https://me:secret@git.example.com/layout.git") == 0
    assert template_of(here / "shop")["place"] == "https://git.example.com/layout.git"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('name = "shop"\n', "", "template.toml cannot be understood: 'name' is missing"),
        ('name = "shop"', "name = 3", "cannot be understood: name is no text"),
        ("http = true", "http = 1", "cannot be understood: http is no true or false"),
        ("[answers]", "[answers", "cannot be understood"),
        ('name = "shop"', 'name = "Shop"', "'Shop' is no name for a project"),
    ],
)
def test_record_that_is_wrong_is_told(
    here: Path, new: Kratos, layout: Path, capsys: Captured, before: str, after: str, told: str
) -> None:
    assert new("shop", "--repo", str(layout)) == 0
    edit(here / "shop/.kratos/template.toml", before, after)
    assert new("shop", "--update", "--allow-dirty") != 0
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "template.zip is missing"), (b"PK\3\4 cut off", "template.zip is damaged")],
)
def test_template_of_the_project_that_is_lost_is_told(
    here: Path, new: Kratos, layout: Path, capsys: Captured, content: bytes | None, told: str
) -> None:
    assert new("shop", "--repo", str(layout)) == 0
    archive = here / "shop/.kratos/template.zip"
    archive.unlink()
    if content is not None:
        archive.write_bytes(content)
    assert new("shop", "--update", "--allow-dirty") == 1
    said = capsys.readouterr().err
    assert told in said
    assert "take it back from the repository" in said
