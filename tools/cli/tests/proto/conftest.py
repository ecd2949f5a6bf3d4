"""An empty present folder, definitions in it, and a fresh process that looks at the output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty present folder, and no environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KRATOS_PROTO_PATH", raising=False)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[Mapping[str, str]], None]:
    """Write files, by their paths in the present folder."""

    def write_files(texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write_files


@pytest.fixture
def python(folder: Path) -> Callable[..., str]:
    """Run Python with arguments, warnings being errors; return what it prints."""

    def run(*arguments: str, path: Path = folder, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(path)},
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run
