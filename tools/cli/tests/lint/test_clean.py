"""Nothing is found in what we write ourselves: new projects, the demo, examples of the pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kratos_cli.main import main

ROOT = Path(__file__).parents[4]

Lint = Callable[..., list[str]]


@pytest.mark.parametrize("options", [(), ("--http-only",), ("--grpc-only",)], ids=str)
def test_new_project_is_clean(folder: Path, lint: Lint, options: tuple[str, ...]) -> None:
    assert main(["new", "my-shop", *options]) == 0
    assert lint("my-shop", status=0) == []


def test_service_of_a_repository_is_clean(
    folder: Path, lint: Lint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(folder / "shop")
    assert main(["new", "app/user", "--nomod"]) == 0
    assert lint(status=0) == []


def test_mistakes_in_a_new_project_are_found(folder: Path, lint: Lint) -> None:
    assert main(["new", "shop"]) == 0
    for path, old, new in (
        ("src/shop/biz/greeter.py", "await self._repo.add", "self._repo.add"),
        ("src/shop/server/http.py", "timeout=", "timeuot="),
        ("configs/config.yaml", "timeout: 1s", "timeout: soon"),
    ):
        text = (folder / "shop" / path).read_text(encoding="utf-8")
        assert old in text
        (folder / "shop" / path).write_text(text.replace(old, new), encoding="utf-8")
    (folder / "shop/src/shop/biz/late.py").write_text("from shop.data import Data\n")
    found = lint("shop")
    assert {re.findall(r"\((\w+)\)$", line)[0] for line in found} == {"KR101", "KR301", "KR502"}
    assert [line for line in found if "config.yaml:5:5: " in line]


def test_demo_is_clean(lint: Lint) -> None:
    assert lint(str(ROOT / "tools/cli/src"), status=0) == []


def test_examples_of_the_pages_are_clean(folder: Path, lint: Lint) -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for number, text in enumerate(code):
            (folder / f"{page.parent.name}_{page.stem}_{number}.py").write_text(text)
    assert len(list(folder.iterdir())) > 50
    assert lint(status=0) == []
