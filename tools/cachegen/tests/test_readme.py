from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kratos_cachegen import AsideOptions, bts, redis
from kratos_cachegen.command import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
INTERFACE, PROGRAM = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_example_prints_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "articles.py").write_text(INTERFACE)
    (tmp_path / "service.py").write_text(PROGRAM)
    assert main([str(tmp_path / "articles.py")]) == 0
    ran = subprocess.run(
        [sys.executable, "service.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "Article(id=7, title='Article 7') 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_example_and_its_cache_are_clean_under_strict_checkers(
    checker: str, tmp_path: Path
) -> None:
    (tmp_path / "articles.py").write_text(INTERFACE)
    (tmp_path / "service.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    assert main([str(tmp_path / "articles.py")]) == 0
    files = ["articles.py", "articles_cache.py", "service.py"]
    strict = ["--strict"] if checker == "mypy" else ["--pythonpath", sys.executable]
    ran = subprocess.run(
        [sys.executable, "-m", checker, *strict, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ("| option of `bts` |", bts),
        ("| option of `redis`,", redis),
        ("| `AsideOptions` |", AsideOptions),
    ],
)
def test_tables_have_every_option(head: str, what: Callable[..., Any]) -> None:
    table = README[README.index(head) :].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    told = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(told) == sorted(inspect.signature(what).parameters)
