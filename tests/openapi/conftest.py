"""Services to describe: the demo's bookshop, and one with every kind of field."""

from __future__ import annotations

import atexit
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from kratos_cli.proto import compile_protos

HERE = Path(__file__).parent


def _compile() -> Path:
    """Compile the definitions before the tests that import them are collected."""
    generated = tempfile.TemporaryDirectory(prefix="kratos-openapi-")
    atexit.register(generated.cleanup)
    out = Path(generated.name)
    with as_file(files("kratos_cli.demo") / "api") as api:
        for root in (api, HERE / "proto"):
            compile_protos(sorted(root.rglob("*.proto")), roots=[root], out=out)
    return out


sys.path.insert(0, str(_compile()))


@pytest.fixture(scope="session")
def here() -> Path:
    return HERE
