"""The README: its example runs as it stands there, and its limits are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from kratos_http import Limits

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def number(text: str) -> float | None:
    """Return what a default such as ``64 KiB`` or ``10,000`` is; ``None`` for words."""
    found = re.fullmatch(r"([\d,.]+)(?: (\w+))?", text)
    return found and float(found[1].replace(",", "")) * UNITS.get(found[2] or "", 1)


def test_limits_are_told_as_they_are() -> None:
    told = README.partition("`Limits`, in bytes")[2].partition(".\n\n")[0]
    found = dict(re.findall(r"`(\w+)`\s+([\d,.]+(?:\s(?:[KMG]iB)\b)?)", told))
    assert {name: number(" ".join(text.rstrip(",.").split())) for name, text in found.items()} == {
        field.name: field.default for field in fields(Limits)
    }


@pytest.mark.slow
def test_example_of_the_readme_prints_its_reply() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "hello\n"
