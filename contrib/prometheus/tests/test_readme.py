"""The examples of the README do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_shows_metrics_of_kratos_and_of_the_program() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None

    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert 'orders_total{country="ch"} 1.0\n' in ran.stdout
    assert "parcels_total 2.0\n" in ran.stdout
