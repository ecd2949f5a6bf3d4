"""The application is called as its configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kratos_gateway.assembly import application
from kratos_gateway.config import title_of
from kratos_gateway.settings import Settings

ENDPOINT = "endpoints:\n  - path: /a\n    name: no\n    backends: [{target: 'a:80'}]\n"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"name: shop\nversion: v7\n{ENDPOINT}", ("shop", "v7")),
        (f"{ENDPOINT}version: 'v7'  # newest\nname: \"shop\"\n", ("shop", "v7")),
        ('{"name": "shop", "version": "v7", "endpoints": []}', ("shop", "v7")),
        ('{\n"name": "shop"\n}', ("shop", "")),
        ("name: ${NAME:shop}-${ZONE}\n", ("shop-a", "")),
        ("priority: |\n  name: no\n", ("", "")),
        (ENDPOINT, ("", "")),
        ("", ("", "")),
    ],
)
def test_name_and_version_are_those_of_the_whole(text: str, title: tuple[str, str]) -> None:
    assert title_of(text, environ={"ZONE": "a"}) == title


@pytest.mark.parametrize(
    ("text", "control", "called"),
    [
        ("name: shop\nversion: v7\n", "edge", ("shop", "v7")),
        ("version: v7\n", "edge", ("edge", "v7")),
        ("endpoints: []\n", "", ("gateway", "")),
        ("name: ${MISSING}\n", "", ("gateway", "")),
        ("name: [\n", "", ("gateway", "")),
        (None, "", ("gateway", "")),
    ],
)
def test_the_application_has_them(
    tmp_path: Path, text: str | None, control: str, called: tuple[str, str]
) -> None:
    path = tmp_path / "gateway.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    app = application(Settings(conf=str(path), control_name=control), environ={})
    assert (app.name, app.info.version) == called
