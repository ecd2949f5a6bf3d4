from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_of_the_readme_writes_lines_of_one_form() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None

    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("INFO", "listening"),
        ("INFO", "reserved"),
    ]
    assert (lines[0]["port"], lines[1]["order"]) == (8000, 4711)
