"""Examples of the documentation run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NAMES = (
    "aegis/middleware",
    "caching",
    "auth",
    "config",
    "connect",
    "deadlines",
    "errors",
    "field-masks",
    "gateway-middleware",
    "grpc",
    "http-client",
    "idempotency",
    "lifecycle",
    "logging",
    "metrics",
    "mounting",
    "pagination",
    "selectors",
    "sessions",
    "store",
    "testing",
    "validation",
    "tracing",
)
PAGES = tuple(DOCS / f"{name}.md" for name in NAMES)


def examples() -> list[tuple[str, str]]:
    return [
        (f"{page.stem} {number}", code)
        for page in PAGES
        for number, code in enumerate(
            re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), examples(), ids=[name for name, _ in examples()])
def test_example_of_a_page_runs(name: str, code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"{name}: {ran.stderr}"
