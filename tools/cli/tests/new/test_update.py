"""``kratos new --update``: a project follows its template, and keeps what is its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tools.cli.tests.new.checkout import LIST, Checkout, tree

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def test_project_that_was_not_touched_becomes_what_the_template_makes_now(
    shop: Checkout, template: Checkout, new: Kratos, update: Kratos, here: Path
) -> None:
    template.commit(
        **{
            "README.md": "# {{name}}, newer\n",
            "src/{{package}}/old.py": None,
            "src/{{package}}/inner/new.py": "NEW = '{{PREFIX}}'\n",
            "tool": "#!/bin/sh\n",
        }
    )
    assert update() == 0
    fresh = here.parent / "fresh/my-shop"
    assert new(str(fresh), "--repo", f"file://{template.folder}") == 0
    shutil.rmtree(shop.folder / ".git")
    assert tree(shop.folder) == tree(fresh)
    assert os.access(shop.folder / "tool", os.X_OK)


def test_what_happens_to_each_file_is_told(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"list.txt": LIST.replace("line 9", "mine 9")})
    commit = template.commit(
        **{
            "README.md": "# newer\n",
            "list.txt": LIST.replace("line 1", "newer 1"),
            "new.txt": "",
            "src/{{package}}/old.py": None,
        }
    )
    assert update() == 0
    assert capsys.readouterr().out.splitlines() == [
        "UPDATED README.md",
        "MERGED list.txt",
        "ADDED new.txt",
        "REMOVED src/my_shop/old.py",
        "",
        f"This is what file://{template.folder} {commit} has changed. Next:",
        "    git diff",
    ]


def test_template_that_has_not_changed_changes_nothing(
    shop: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"README.md": "mine\n", "src/my_shop/old.py": None})
    assert update() == 0
    assert "The project is as " in capsys.readouterr().out
    assert shop.git("status", "--porcelain") == ""


def test_changes_of_both_are_merged(shop: Checkout, template: Checkout, update: Kratos) -> None:
    shop.commit(**{"list.txt": LIST.replace("line 9", "mine 9"), "mine.txt": "mine\n"})
    template.commit(**{"list.txt": LIST.replace("line 1", "newer 1")})
    assert update() == 0
    assert shop.text("list.txt") == LIST.replace("line 9", "mine 9").replace("line 1", "newer 1")
    assert shop.text("mine.txt") == "mine\n"


def test_second_update_goes_on_from_the_first(
    shop: Checkout, template: Checkout, update: Kratos
) -> None:
    shop.commit(**{"list.txt": LIST.replace("line 9", "mine 9")})
    for number in (1, 4):
        template.commit(**{"list.txt": template.text("list.txt").replace(f"line {number}", "new")})
        assert update() == 0
        shop.commit()
    assert shop.text("list.txt").splitlines()[::4] == ["new", "line 5", "mine 9"]
    assert shop.text("list.txt").count("new") == 2


def test_conflict_is_marked_as_git_does_and_told(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"list.txt": LIST.replace("line 5", "mine 5")})
    commit = template.commit(**{"list.txt": LIST.replace("line 5", "newer 5"), "new.txt": "x\n"})
    assert update() == 1
    said = capsys.readouterr()
    assert "CONFLICT list.txt\n" in said.out
    assert "there are conflicts in 1 file: list.txt; settle" in said.err
    marked = f"<<<<<<< yours\nmine 5\n=======\nnewer 5\n>>>>>>> layout {commit[:12]}\n"
    assert shop.text("list.txt") == LIST.replace("line 5\n", marked)
    assert shop.text("new.txt") == "x\n"
    shop.commit(**{"list.txt": LIST.replace("line 5", "settled 5")})
    assert update() == 0
    assert "settled 5" in shop.text("list.txt")


def test_file_that_both_have_added_is_a_conflict(
    shop: Checkout, template: Checkout, update: Kratos
) -> None:
    shop.commit(**{"notes.txt": "mine\n"})
    template.commit(**{"notes.txt": "the template's\n"})
    assert update() == 1
    assert "mine\n=======\nthe template's\n" in shop.text("notes.txt")


def test_picture_that_both_have_changed_stays_as_it_is(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"logo.png": "\0mine"})
    template.commit(**{"logo.png": "\0newer"})
    assert update() == 1
    assert "CONFLICT logo.png (no text: it stays as you have it)" in capsys.readouterr().out
    assert shop.text("logo.png") == "\0mine"


def test_file_that_the_template_drops_goes_unless_it_was_changed(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"list.txt": "mine\n"})
    template.commit(**{"list.txt": None, "src/{{package}}/old.py": None})
    assert update() == 0
    assert shop.text("list.txt") == "mine\n"
    assert not (shop.folder / "src/my_shop/old.py").exists()
    assert "KEPT list.txt (the template has it no more; you have changed it)" in (
        capsys.readouterr().out
    )


def test_folder_that_is_left_empty_goes(shop: Checkout, template: Checkout, update: Kratos) -> None:
    template.commit(**{"src/{{package}}/old.py": None, "src/{{package}}/__init__.py.tmpl": None})
    assert update() == 0
    assert not (shop.folder / "src").exists()


def test_file_that_was_removed_does_not_come_back(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"list.txt": None})
    template.commit(**{"list.txt": "newer\n"})
    assert update() == 0
    assert not (shop.folder / "list.txt").exists()
    assert "KEPT list.txt (not brought back: you have removed it" in capsys.readouterr().out


def test_folder_of_the_project_may_have_another_name_now(
    shop: Checkout, template: Checkout, new: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = shop.folder.rename(shop.folder.parent / "store")
    monkeypatch.chdir(moved.parent)
    template.commit(**{"README.md": "# {{name}}, newer\n"})
    assert new("store", "--update") == 0
    assert (moved / "README.md").read_text() == "# my-shop, newer\n"


def test_project_that_was_renamed_is_updated_by_its_new_name(
    shop: Checkout, template: Checkout, update: Kratos
) -> None:
    record = shop.text(".kratos/template.toml").replace('"my-shop"', '"my-store"')
    shop.commit(
        **{
            ".kratos/template.toml": record,
            "README.md": "# my-store\n",
            "src/my_shop/__init__.py": None,
            "src/my_shop/old.py": None,
            "src/my_store/__init__.py": '"""my-store."""\n',
            "src/my_store/old.py": "OLD = 1\nMINE = 2\n",
        }
    )
    template.commit(**{"README.md": "# {{name}}, newer\n", "src/{{package}}/old.py": "OLD = 3\n"})
    assert update() == 1
    assert shop.text("README.md") == "# my-store, newer\n"
    assert "MINE = 2" in shop.text("src/my_store/old.py")
    assert list((shop.folder / "src/my_shop").glob("*")) == []


def test_project_that_seems_renamed_is_told_where_names_are_written(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.git("mv", "src/my_shop", "src/my_store")
    shop.commit(**{"README.md": None})
    template.commit(**{"src/{{package}}/old.py": "OLD = 3\n"})
    assert update("--dry-run") == 0
    assert "write its new name into .kratos/template.toml" in capsys.readouterr().err


def test_dry_run_tells_and_writes_nothing(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    shop.commit(**{"list.txt": "mine\n"})
    template.commit(**{"list.txt": "newer\n", "README.md": "newer\n"})
    (shop.folder / "notes").write_text("not committed, which is no matter here")
    before = tree(shop.folder)
    assert update("--dry-run") == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == ["UPDATED README.md", "CONFLICT list.txt"]
    assert "Nothing was changed" in said.out
    assert "there would be conflicts in 1 file: list.txt" in said.err
    assert tree(shop.folder) == before


def test_programs_are_told_in_json(
    shop: Checkout, template: Checkout, update: Kratos, capsys: Captured
) -> None:
    first = template.git("rev-parse", "HEAD").strip()
    shop.commit(**{"list.txt": "mine\n"})
    second = template.commit(**{"list.txt": "newer\n", "new.txt": ""})
    assert update("--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(shop.folder),
        "template": f"file://{template.folder}",
        "from": first,
        "to": second,
        "dry_run": False,
        "files": [
            {"path": "list.txt", "change": "conflict", "note": ""},
            {"path": "new.txt", "change": "added", "note": ""},
        ],
        "conflicts": ["list.txt"],
    }
