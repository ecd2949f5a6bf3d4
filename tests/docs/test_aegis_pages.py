"""The pages on keys, subsets and retries: their examples run, and what they point to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "aegis"
PRINTED = {
    "hotkey.md": "[HotKey(key='user:42', count=3)]\n",
    "subset-and-ring.md": "20\n20\nTrue\n",
    "retry-and-hedging.md": "answer\nanswer\n",
}


@pytest.mark.parametrize("page", PRINTED)
def test_example_prints_what_it_should(page: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == (PRINTED[page], "")


@pytest.mark.parametrize("page", PRINTED)
def test_what_a_page_points_to_is_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)\)", (DOCS / page).read_text("utf-8"))

    assert targets
    assert [target for target in targets if not (DOCS / target).is_file()] == []
