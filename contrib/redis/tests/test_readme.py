from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.service("redis")
def test_example_of_the_readme_prints_what_it_says(url: str, prefix: str) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    program = found[1].replace("redis://127.0.0.1:6379", url).replace("orders:", prefix)
    program = program.replace("burst=10", "burst=10, timeout=10.0")  # the machine may be busy

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    allowed, remaining, retry_after = ran.stdout.split()
    assert (allowed, remaining) == ("False", "0")
    assert 0 < float(retry_after) <= 10
