"""The README: its example runs as it stands there, its tables name what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from kratos_http import HttpConnector, HttpServer, Limits, StreamOptions

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def rows(heading: str) -> dict[str, str]:
    """Return the defaults in the first table after a heading, by option."""
    table = README.partition(f"\n{heading}\n")[2].partition("|---|")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in table.splitlines()[1:]:
        names, default = line.split("|")[1:3]
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip()))
    return found


def number(text: str) -> float | None:
    """Return what a default such as ``64 MiB``, ``5 s`` or ``10,000`` is; ``None`` for words."""
    found = re.fullmatch(r"([\d,.]+)(?: (\w+))?", text)
    return found and float(found[1].replace(",", "")) * UNITS.get(found[2] or "", 1)


@pytest.mark.parametrize(
    ("made", "heading"),
    [
        (HttpServer, "## Server"),
        (HttpConnector, "## Client"),
        (StreamOptions, "`StreamOptions`, in seconds:"),
    ],
)
def test_table_has_every_option_and_no_other_default(made: Any, heading: str) -> None:
    told = rows(heading)
    options = signature(made).parameters
    assert told.keys() == options.keys()
    for name, option in options.items():
        if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
            assert number(told[name]) == option.default, name


def test_limits_are_told_as_they_are() -> None:
    told = README.partition("`Limits`, in bytes")[2].partition(".\n\n")[0]
    found = dict(re.findall(r"`(\w+)`\s+([\d,.]+(?:\s(?:[KMG]iB)\b)?)", told))
    assert {name: number(" ".join(text.rstrip(",.").split())) for name, text in found.items()} == {
        field.name: field.default for field in fields(Limits)
    }


@pytest.mark.slow
def test_example_of_the_readme_prints_its_reply() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "hello\n"
