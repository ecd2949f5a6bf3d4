"""The texts that our tests of rules expect, asked again of Go."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.go, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
CASES: list[dict[str, Any]] = json.loads((ROOT / "contrib/validate/tests/cases.json").read_text())


def test_go_says_what_the_cases_say(go_validate: Path) -> None:
    lines = "".join(f"{json.dumps(case)}\n" for case in CASES)
    ran = subprocess.run([go_validate], input=lines, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert told == [case["text"] for case in CASES]
