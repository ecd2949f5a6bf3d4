from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.service("memcached")
def test_example_prints_what_it_says(url: str, prefix: str) -> None:
    (program,) = EXAMPLES
    program = program.replace("memcached://127.0.0.1:11211", url).replace("orders:", prefix)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "b'paid'\n"
