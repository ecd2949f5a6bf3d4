"""A folder of wrong examples, at least one for each rule: each is reported at its line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from kratos_cli.lint import lint as check
from kratos_cli.lint.rules import RULES

WRONG = Path(__file__).parent / "wrong"
FILES = sorted(
    path.relative_to(WRONG).as_posix().removesuffix(".txt") for path in WRONG.rglob("*.txt")
)
# What has no comments, or none that is read.
FURTHER = {"configs/broken.yaml": Counter({(0, "KR001"): 1})}
EXPECTED = re.compile(r"(?:#|//) expect: (.+)$")

Places = dict[str, Counter[tuple[int, str]]]


def expected(name: str) -> Counter[tuple[int, str]]:
    text = (WRONG / f"{name}.txt").read_text(encoding="utf-8")
    found = Counter(
        (number, rule)
        for number, line in enumerate(text.splitlines(), 1)
        for match in EXPECTED.finditer(line)
        for rule in match[1].split(", ")
    )
    return found + FURTHER.get(name, Counter())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """What is found in the folder, by file."""
    folder = tmp_path_factory.mktemp("wrong")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((WRONG / f"{name}.txt").read_bytes())
    places: Places = {}
    for each in check([str(folder)], select=(), ignore=()):
        name = Path(each.finding.file).relative_to(folder).as_posix()
        places.setdefault(name, Counter())[each.finding.line, each.finding.rule] += 1
    return places


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_is_found_at_its_line_and_nothing_else(found: Places, name: str) -> None:
    assert found.get(name, Counter()) == expected(name)


def test_every_rule_has_an_example() -> None:
    assert {rule for name in FILES for _, rule in expected(name)} >= RULES.keys()
