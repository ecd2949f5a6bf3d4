"""The examples of the README run as they stand there, and print what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SETTINGS = '{\n  "limits": [\n    1,\n    2.5\n  ],\n  "name": null\n}'
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    ("program", "printed"),
    list(
        zip(
            EXAMPLES,
            [
                f'"2023-11-14T22:13:20.500Z"\n{SETTINGS}',
                "b'5'",
                '$.fields[1].number: expected an integer, got "one"',
            ],
            strict=True,
        )
    ),
)
def test_example_prints_what_it_says(program: str, printed: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == printed
