"""The example of the README is an application that starts, answers and stops."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kratos.errors import Error
from kratos.testing.app import client_of
from kratos.testing.echo import ECHO, text

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


async def test_example_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    program: dict[str, Any] = {}
    exec(found[1], program)
    async with client_of(program["build"]()) as client:
        assert (await client.unary(ECHO, text("hello"))).value == "hello"
        with pytest.raises(Error):
            await client.unary(ECHO, text("crash"))
