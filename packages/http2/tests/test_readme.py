"""The README's example does what it says there, and its table has every limit."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kratos_http2 import Limits

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (expected,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == expected


def test_table_has_every_limit_and_its_default() -> None:
    row = re.compile(r"^\| `(\w+)` \| (?:burst of )?([\d,]+(?: [KM]iB)?) \|", re.MULTILINE)
    rows: dict[str, str] = dict(row.findall(README))
    units = {"": 1, " KiB": 1024, " MiB": 1024 * 1024}
    told = {
        name: int(re.sub(r"\D", "", value)) * units[re.sub(r"[\d,]", "", value)]
        for name, value in rows.items()
    }
    limits = Limits()
    assert told == {
        each.name: getattr(limits, each.name)
        for each in fields(limits)
        if each.name != "per_second"
    }
