"""Wheels, which tests of new projects install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A folder of wheels; .ci/run has built them all.
BUILT = os.environ.get("KRATOS_TEST_WHEELS", "")
NEEDED = (
    "aegis",
    "packages/core",
    "packages/grpc",
    "packages/http",
    "packages/http2",
    "packages/protojson",
    "tools/cli",
    "tools/protoc-gen-kratos",
)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if BUILT:
        return Path(BUILT)
    folder = tmp_path_factory.mktemp("wheels")
    for member in NEEDED:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            cwd=ROOT / member,
            check=True,
            capture_output=True,
        )
    return folder
