from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("replay.py")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["allowed", "forbidden"])
@pytest.mark.parametrize("part", ["bookshop", "every_kind_of_field"])
def test_server_answers_as_its_document_says(part: str, mode: str) -> None:
    chosen = f"{part} and {mode}"
    # What is drawn depends on the order of sets: only with a fixed seed is it the same each time.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", str(CASES), "-k", chosen],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout[-8000:]
    assert "2 passed" in told.stdout
