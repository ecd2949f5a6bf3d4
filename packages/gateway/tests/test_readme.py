"""Configurations of the README are well."""

from __future__ import annotations

import re
from pathlib import Path

from kratos_gateway.api.gateway_pb2 import Gateway
from kratos_gateway.config import problems, read

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_configurations_of_the_readme_have_no_problem() -> None:
    found = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert found
    for text in found:
        parsed = read(text, Gateway, name="README.md", environ={})
        assert problems(parsed.message, oddities=parsed.oddities) == []
