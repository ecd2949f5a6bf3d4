"""The examples of the pages about limits of rates run, and show what the pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "aegis"
PAGES = {
    **{page: DOCS / f"{page}.md" for page in ("gcra", "token-bucket", "ratelimit")},
    **{page: DOCS / f"{page}.md" for page in ("sliding-window", "fixed-window")},
}


def examples() -> list[tuple[str, int, str]]:
    """Return each example with its page and its number there; those of others say ``py``."""
    return [
        (page, number, block)
        for page, path in PAGES.items()
        for number, block in enumerate(
            re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
        )
    ]


SHOWN = {
    ("ratelimit", 0): r"allowed\nTrue 9 0\.0 0\.(1\d+|2)\n",
    ("ratelimit", 1): r"\[True, True, True, True, True, False\]",
    ("ratelimit", 2): r"(called\n){6}",
    ("ratelimit", 3): r"\[True, True, True, True, True, False\]",
    ("gcra", 0): r"\[True, True, True, False\]\n0\.5\nTrue",
    ("token-bucket", 0): r"True 0\.0\nTrue 0\.5",
    ("sliding-window", 0): r"True\n1",
    ("fixed-window", 0): r"\[True, True, False\]\n60\.0\nTrue",
}


@pytest.mark.parametrize(("page", "number", "program"), examples())
def test_example_shows_what_it_should(page: str, number: int, program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert re.match(SHOWN[page, number], ran.stdout), ran.stdout


def test_links_of_the_pages_lead_somewhere() -> None:
    pages = [*DOCS.glob("*.md"), ROOT / "contrib" / "redis" / "README.md"]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    ]
    assert links
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
