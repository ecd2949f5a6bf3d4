from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tools.cli.tests.new.checkout import LIST, Checkout

from kratos_cli.main import main

Kratos = Callable[..., int]

LAYOUT = {
    "README.md": "# {{name}}\n",
    "list.txt": LIST,
    "src/{{package}}/__init__.py.tmpl": '"""{{name}}."""\n',
    "src/{{package}}/old.py": "OLD = 1\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty present folder, below which everything happens, and no environment."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("KRATOS_LAYOUT_REPO", "KRATOS_PROTO_PATH"):
        monkeypatch.delenv(name, raising=False)
    # git clones without the settings of whoever runs the tests.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return folder


@pytest.fixture
def new() -> Kratos:
    return lambda *words: main(["new", *words])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template that is taken if none is named: it generates nothing, so it is fast."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "pyproject.toml.tmpl").write_text('name = "{{name}}"\n')
    (folder / "hatchw").write_text("#!/bin/sh\n")
    monkeypatch.setenv("KRATOS_LAYOUT_REPO", str(folder))
    return folder


@pytest.fixture
def template(tmp_path: Path) -> Checkout:
    folder = tmp_path / "layout"
    folder.mkdir()
    checkout = Checkout(folder)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    checkout.commit(**LAYOUT)
    return checkout


@pytest.fixture
def shop(
    here: Path,
    template: Checkout,
    new: Kratos,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Checkout:
    """A project made of the template, committed, and the present folder."""
    assert new("my-shop", "--repo", f"file://{template.folder}") == 0
    checkout = Checkout(here / "my-shop")
    checkout.git("init", "--quiet")
    checkout.commit()
    monkeypatch.chdir(checkout.folder)
    capsys.readouterr()
    return checkout


@pytest.fixture
def update(new: Kratos) -> Kratos:
    return lambda *words: new("--update", *words)
