"""The pages about aegis: their examples run, and what they link to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "aegis").glob("*.md"))
# Pages about breakers and rates have tests of their own, which also know what is printed.
BREAKERS = {"circuitbreaker-sre", "circuitbreaker-window"}
RATES = {"fixed-window", "gcra", "ratelimit", "sliding-window", "token-bucket"}
OURS = {page.stem for page in PAGES} - BREAKERS - RATES
pages = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OURS))
def test_examples_run(name: str) -> None:
    page = next(page for page in PAGES if page.stem == name)

    for example in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        subprocess.run([sys.executable, "-c", example], check=True, timeout=60)


@pages
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
