"""The README's scripts, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import aegis

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PRINTED = {
    "For coroutines": "hello alice\n",
    "For threads": "5 of 100 were within the limit\n",
    "For Flask": "[200, 200, 429]\n",
}


def script(heading: str) -> str:
    found = re.search(r"```python\n(.*?)```", README[README.index(f"## {heading}") :], re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("heading", PRINTED)
def test_script_prints_what_it_should(heading: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script(heading)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.stdout, run.stderr) == (PRINTED[heading], "")


@pytest.mark.parametrize("heading", PRINTED)
def test_script_is_short(heading: str) -> None:
    lines = [line for line in script(heading).splitlines() if line.strip()]

    assert len(lines) <= 15


def test_every_class_that_is_named_is_there() -> None:
    table = "\n".join(line for line in README.splitlines() if line.startswith("| "))
    named = set(re.findall(r"`([A-Z]\w+)`", table)) | set(re.findall(r"`(retry\w*|hedged)`", table))

    assert named
    assert {name for name in named if not hasattr(aegis, name)} == set()
