from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def projects(root: Path) -> Mapping[str, Mapping[str, Any]]:
    """The ``project`` table of every member, by folder."""
    files = sorted({*root.glob("*/pyproject.toml"), *root.glob("*/*/pyproject.toml")})
    return {
        file.parent.relative_to(root).as_posix(): tomllib.loads(file.read_text())["project"]
        for file in files
    }
