"""The examples of the README do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_shows_the_spans_of_a_call() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None

    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count('"name": "/kratos.testing.Echo/Echo"') == 2
    assert [kind in ran.stdout for kind in ("SpanKind.CLIENT", "SpanKind.SERVER")] == [True, True]
