"""Configurations of the documentation are well, and its tables name every flag."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kratos_gateway.api.gateway_pb2 import Gateway
from kratos_gateway.config import problems, read
from kratos_gateway.settings import Settings

README = Path(__file__).parents[1] / "README.md"
PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"


@pytest.mark.parametrize("page", [README, PAGE], ids=["readme", "page"])
def test_configurations_of_the_documentation_have_no_problem(page: Path) -> None:
    found = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    for text in found:
        parsed = read(text, Gateway, name=page.name, environ={})
        assert problems(parsed.message, oddities=parsed.oddities) == []


def test_the_page_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.of(["--help"], environ={})
    flags = set(re.findall(r" --([a-z.-]+)", capsys.readouterr().out)) - {"help"}
    assert len(flags) > 10
    table = PAGE.read_text(encoding="utf-8").partition("## Flags")[2].partition("## Changes")[0]
    assert set(re.findall(r"`-([a-z.-]+)`", table)) == flags
