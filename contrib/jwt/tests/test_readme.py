from __future__ import annotations

import re
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from kratos_jwt import KeySet, client, server

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_example_of_the_readme_prints_what_it_says() -> None:
    found = re.search(r"```python\n(.*?)```\n\nIt prints ([^\n]*)\n", README, re.DOTALL)
    assert found is not None
    ran = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == re.findall(r"`(.+?)`", found[2])


@pytest.mark.parametrize("made", [server, client, KeySet])
def test_tables_have_every_option(made: Any) -> None:
    headings = {server: "## Server\n", client: "## Client\n", KeySet: "| option of `KeySet`"}
    table = README.partition(headings[made])[2].partition("|---|")[2].partition("\n\n")[0]
    told = [line.split("|")[1].strip(" `") for line in table.splitlines()[1:]]
    assert told == list(signature(made).parameters)
