"""The tables of options on the pages about aegis: each option is there, with the default it has."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import aegis
import kratos_redis

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "aegis"
REDIS = ROOT / "contrib" / "redis" / "README.md"

# Which table of a page, from 0 among those with a column of defaults, tells of which class.
TABLES: list[tuple[Path, int, tuple[Any, ...]]] = [
    (DOCS / "aimd.md", 0, (aegis.Aimd,)),
    (DOCS / "bbr.md", 1, (aegis.Bbr,)),
    (DOCS / "bulkhead.md", 0, (aegis.Bulkhead,)),
    (DOCS / "circuitbreaker-sre.md", 0, (aegis.SreBreaker,)),
    (DOCS / "circuitbreaker-window.md", 0, (aegis.WindowBreaker,)),
    (DOCS / "gcra.md", 0, (aegis.KeyedGcra,)),
    (DOCS / "gradient2.md", 0, (aegis.Gradient2,)),
    (DOCS / "hotkey.md", 0, (aegis.HeavyKeeper,)),
    (DOCS / "hotkey.md", 1, (aegis.HotKeyCache,)),
    (DOCS / "load.md", 0, (aegis.CpuLoad,)),
    (DOCS / "load.md", 1, (aegis.LoopLag,)),
    (DOCS / "retry-and-hedging.md", 0, (aegis.RetryPolicy,)),
    (DOCS / "retry-and-hedging.md", 1, (aegis.HedgePolicy,)),
    (DOCS / "shedding.md", 0, (aegis.Shedder,)),
    (DOCS / "vegas.md", 0, (aegis.Vegas,)),
    (REDIS, 3, (kratos_redis.RedisGcra, kratos_redis.RedisSlidingWindow)),
]
# Told in a sentence above or below the table, or on another page.
ELSEWHERE = {"client", "clock", "exact", "random", "threadsafe"}


def tables(page: Path) -> list[dict[str, str]]:
    """Return the cells of defaults by name of the option, for each table that has such a column."""
    found: list[dict[str, str]] = []
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text("utf-8"), re.MULTILINE):
        head, _, *rows = [line.strip("| ").split("|") for line in table.splitlines()]
        words = [cell.strip() for cell in head]
        if "default" not in words:
            continue
        cells: dict[str, str] = {}
        for row in rows:
            names = re.findall(r"`(\w+)[^`]*`", row[0])
            default = row[words.index("default")].strip()
            parts = default.split(", ") if len(names) > 1 else [default]
            cells |= dict(zip(names, parts * (len(names) if len(parts) == 1 else 1), strict=True))
        found.append(cells)
    return found


def told(cell: str) -> object:
    """Return the value that a cell tells; the cell itself if it tells it in words."""
    bare = cell.strip("`").removesuffix(" s").replace("\u202f", "").replace("\u00a0", "")
    bare = re.sub(r"(?<=\d) (?=\d{3}\b)", "", bare)
    try:
        value: object = ast.literal_eval(bare)
    except (SyntaxError, ValueError):
        return bare
    return value


@pytest.mark.parametrize(("page", "number", "described"), TABLES)
def test_table_tells_each_option_and_its_default(
    page: Path, number: int, described: tuple[Any, ...]
) -> None:
    cells = tables(page)[number]
    options: dict[str, inspect.Parameter] = {}
    for one in described:
        options |= inspect.signature(one).parameters

    assert set(options) - set(cells) <= ELSEWHERE
    assert set(cells) <= set(options)
    plain = {
        name: options[name].default
        for name, cell in cells.items()
        if isinstance(options[name].default, bool | int | float | str)
        and (cell or name not in ELSEWHERE)
    }
    assert {name: told(cells[name]) for name in plain} == plain
