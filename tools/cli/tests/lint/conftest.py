"""An empty present folder, files in it, and what lint says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main

Write = Callable[[Mapping[str, str]], None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty present folder, and no environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KRATOS_PROTO_PATH", raising=False)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Write files, by their paths in the present folder."""

    def write_files(texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")

    return write_files


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run ``kratos lint`` and return the lines that it prints."""

    def run(*words: str, status: int = 1) -> list[str]:
        capsys.readouterr()
        assert main(["lint", *words]) == status
        return capsys.readouterr().out.splitlines()

    return run
