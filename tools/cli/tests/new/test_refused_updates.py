"""``kratos new --update``: what is not done, and what is not touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tools.cli.tests.new.checkout import LIST, Checkout, tree

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", ["README.md", "notes"])
def test_what_is_not_committed_is_not_updated(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured, name: str
) -> None:
    template.commit(**{"list.txt": "newer\n"})
    (shop.folder / name).write_text("mine\n")
    assert update() == 1
    said = capsys.readouterr().err
    assert "commit it, so that git can take the update back, or give --allow-dirty" in said
    assert f"\n  {name}" in said
    assert shop.text("list.txt") == LIST
    assert update("--allow-dirty") == 0
    assert shop.text("list.txt") == "newer\n"
    assert shop.text(name) == "mine\n"


def test_project_in_no_repository_is_not_updated(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    template.commit(**{"list.txt": "newer\n"})
    shutil.rmtree(shop.folder / ".git")
    assert update() == 1
    assert "is in no repository of git that could take the update back" in capsys.readouterr().err
    assert update("--allow-dirty") == 0
    assert shop.text("list.txt") == "newer\n"


def test_project_that_a_repository_around_it_ignores_is_not_updated(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    template.commit(**{"list.txt": "newer\n"})
    around = Checkout(shop.folder.parent)
    around.git("init", "--quiet")
    (around.folder / ".gitignore").write_text("my-shop\n")
    shutil.rmtree(shop.folder / ".git")
    assert update() == 1
    assert "is in no repository of git that could take the update back" in capsys.readouterr().err
    assert shop.text("list.txt") == LIST


def test_machine_without_git_is_told(
    shop: Checkout, update: Kratos, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(shop.folder))
    assert update() == 1
    assert "there is no git, which an update needs to merge" in capsys.readouterr().err


def test_failure_leaves_the_project_as_it_was(
    shop: Checkout,
    template: Checkout,
    update: Kratos,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template.commit(
        **{"README.md": "newer\n", "src/{{package}}/old.py": None, "inner/tool": "#!/bin/sh\n"}
    )
    before = tree(shop.folder)
    replace = Path.replace
    full = ["template.toml"]

    def full_disk(path: Path, target: Path) -> Path:
        if target.name in full:
            full.clear()
            raise OSError(28, "No space left on device", str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    assert update() == 1
    assert "No space left on device; nothing was changed" in capsys.readouterr().err
    assert tree(shop.folder) == before
    assert shop.git("status", "--porcelain") == ""
    assert not (shop.folder / "inner").exists()


def test_links_are_not_followed(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(shop.folder / "src/my_shop", elsewhere)
    (shop.folder / "src/my_shop").symlink_to(elsewhere)
    (shop.folder / "list.txt").unlink()
    (shop.folder / "list.txt").mkdir()
    shop.commit(**{"list.txt/x": "", "docs": "mine\n"})
    template.commit(
        **{"list.txt": "newer\n", "src/{{package}}/old.py": "NEW = 1\n", "docs/page.md": "new\n"}
    )
    assert update() == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "KEPT docs/page.md (not touched: docs is no folder)",
        "KEPT list.txt (not touched: list.txt is no file)",
        "KEPT src/my_shop/old.py (not touched: src/my_shop is a link)",
    ]
    assert (elsewhere / "old.py").read_text() == "OLD = 1\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--update", "--force"], "--force is about making a project"),
        (["--update", "--nomod"], "--nomod is about making a project"),
        (["--update", "--http-only"], "--http-only is about making a project"),
        (["shop", "--dry-run"], "--dry-run is about --update: give both"),
        (["shop", "--allow-dirty"], "--allow-dirty is about --update: give both"),
        (["shop", "--json"], "--json is about --update: give both"),
        (["--update", "nowhere"], "has no .kratos/template.toml, in which kratos new writes"),
    ],
)
def test_contradictions_are_told(
    here: Path, new: Kratos, capsys: Captured, words: list[str], told: str
) -> None:
    assert new(*words) == 2
    assert told in capsys.readouterr().err
    assert list(here.iterdir()) == []
