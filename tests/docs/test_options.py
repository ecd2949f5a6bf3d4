"""Tables of options: they have every option there is, no other one, and defaults as in the code."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from kratos import App, CallOptions, Client
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_http import HttpConnector, HttpServer, StreamOptions
from kratos_http.debug import DebugServer
from kratos_http.sessions import SessionOptions

ROOT = Path(__file__).parents[2]
UNITS = {"KiB": 1024, "MiB": 1024**2, "days": 86400}


def rows(page: str, heading: str) -> dict[str, str]:
    """Return the defaults in the first table after a heading, by option."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    table = text.partition("|---|")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in table.splitlines()[1:]:
        names, default = line.split("|")[1:3]
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip()))
    return found


def number(text: str) -> float | None:
    """Return what a default such as ``64 MiB``, ``5 s`` or ``10,000`` is; ``None`` for words."""
    found = re.fullmatch(r"([\d,.]+)(?: (\w+))?(?:, none)?", text)
    return found and float(found[1].replace(",", "")) * UNITS.get(found[2] or "", 1)


@pytest.mark.parametrize(
    ("made", "page", "headings"),
    [
        (App, "packages/core", ["## Application", "## Workers"]),
        (Client, "packages/core", ["## Client"]),
        (CallOptions, "packages/core", ["### One call"]),
        (HttpServer, "packages/http", ["## Server"]),
        (HttpConnector, "packages/http", ["## Client"]),
        (StreamOptions, "packages/http", ["`StreamOptions`, in seconds:"]),
        (GrpcServer, "packages/grpc", ["## Server"]),
        (GrpcConnector, "packages/grpc", ["## Client"]),
        (DebugServer, "docs/debug.md", ["## Options"]),
        (SessionOptions, "docs/sessions.md", ["options=SessionOptions(...))` changes it:"]),
    ],
)
def test_table_has_every_option_and_its_default(made: Any, page: str, headings: list[str]) -> None:
    page = page if page.endswith(".md") else f"{page}/README.md"
    told: dict[str, str] = {}
    for heading in headings:
        told |= rows(page, heading)
    options = signature(made).parameters
    assert told.keys() == options.keys()
    for name, option in options.items():
        if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
            assert number(told[name]) == option.default, name
