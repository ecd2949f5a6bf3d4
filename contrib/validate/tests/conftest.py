"""Definitions with rules, compiled before the tests that import them are collected."""

from __future__ import annotations

import atexit
import sys
import tempfile
from pathlib import Path

from kratos_cli.proto import compile_protos

PROTO = Path(__file__).parent / "proto"


def _compile() -> str:
    generated = tempfile.TemporaryDirectory(prefix="kratos-validate-")
    atexit.register(generated.cleanup)
    sources = sorted((PROTO / "shop").glob("*.proto"))
    compile_protos(sources, roots=[PROTO], out=Path(generated.name))
    return generated.name


sys.path.insert(0, _compile())
