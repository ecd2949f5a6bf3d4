from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

pytestmark = pytest.mark.service("redis")


def run(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_limiter_prints_what_it_says(url: str, prefix: str) -> None:
    program = EXAMPLES[1].replace("redis://127.0.0.1:6379", url).replace("orders:", prefix)
    # The machine may be busy.
    allowed, remaining, retry_after = run(
        program.replace("burst=10", "burst=10, timeout=10.0")
    ).split()
    assert (allowed, remaining) == ("False", "0")
    assert 0 < float(retry_after) <= 10


def test_registry_prints_the_instance(url: str, prefix: str) -> None:
    program = EXAMPLES[0].replace("redis://127.0.0.1:6379/0", f"{url}?namespace={prefix}r")
    assert "ServiceInstance(id='1', name='orders'" in run(program)
