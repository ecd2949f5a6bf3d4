from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_of_the_readme_prints_what_it_says() -> None:
    found = re.search(r"```python\n(.*?)```\n\nIt prints `(.*?)` and", README, re.DOTALL)
    assert found is not None

    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [found[2], "1700000000"]
