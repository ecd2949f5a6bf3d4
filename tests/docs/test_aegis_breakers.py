"""The pages on circuit breakers: what they show of this project runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "aegis"
PAGES = ("circuitbreaker-sre.md", "circuitbreaker-window.md")
OTHERS = ("pybreaker", "aiobreaker", "circuitbreaker", "purgatory")  # not installed here


def examples() -> list[tuple[str, str]]:
    """Return the pages and their examples, less those of other libraries."""
    found = [
        (page, code)
        for page in PAGES
        for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    ]
    foreign = re.compile(rf"^(import|from) ({'|'.join(OTHERS)})\b", re.MULTILINE)
    return [(page, code) for page, code in found if not foreign.search(code)]


EXAMPLES = examples()


def test_pages_have_examples_of_their_own_and_for_each_other_library() -> None:
    assert [page for page, _ in EXAMPLES] == [PAGES[0]] * 2 + [PAGES[1]] * 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_gets_its_answer(number: int) -> None:
    _, code = EXAMPLES[number]

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=15
    )

    assert run.stderr == ""
    assert run.stdout.strip() in {"7", "fetched", "called"}


@pytest.mark.parametrize("page", PAGES)
def test_plots_and_pages_that_are_pointed_to_are_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (DOCS / page).read_text("utf-8"))

    assert targets
    assert [target for target in targets if not (DOCS / target).is_file()] == []
