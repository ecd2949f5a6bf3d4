"""``kratos proto lint``: findings by path, line and column, from Kratos or from buf."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main

Write = Callable[[Mapping[str, str]], None]

SHOP = """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
enum Color { COLOR_UNSPECIFIED = 0; RED = 1; }
enum Reason { MISSING = 0 [(errors.code) = 200]; }
message Order { string someName = 1; }
"""
PATH = "api/shop/v1/shop.proto"
COMMAND = ["proto", "lint", "api", "-I", "api"]
OWN = [*COMMAND, "--engine", "kratos"]
FOUND = """\
api/shop/v1/shop.proto:4:37: RED does not begin with COLOR_; rename it COLOR_RED (ENUM_VALUE_PREFIX)
api/shop/v1/shop.proto:5:15: MISSING has code 200, which tells no failure; use 400 to 599 \
(ERROR_CODE_IS_FAILURE)
api/shop/v1/shop.proto:6:24: someName: a field is called in lower_snake_case; rename it \
(FIELD_LOWER_SNAKE_CASE)
"""
# Answers as buf does, in the order of its arguments: a finding in an import, and two here.
FAKE = """#!{python}
import json, sys
from pathlib import Path
Path("asked").write_text(json.dumps(sys.argv[1:]))
for path, line, column, rule in (
    ("errors/errors.proto", 1, 1, "PACKAGE_VERSION_SUFFIX"),
    ("shop/v1/shop.proto", 4, 37, "ENUM_VALUE_PREFIX"),
    ("shop/v1/shop.proto", 5, 15, "ENUM_VALUE_PREFIX"),
):
    place = dict(start_line=line, start_column=column, end_line=line, end_column=column + 3)
    print(json.dumps(dict(place, path=path, type=rule, message="buf says so.")))
sys.exit({status})
"""


def not_found(name: str, *, path: str | None = None) -> str | None:
    """Stand for ``shutil.which`` where nothing is installed."""
    return None


@pytest.fixture
def buf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Install a program that answers like buf, with a status."""

    def install(status: int) -> None:
        program = folder / "bin/buf"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE.format(python=sys.executable, status=status))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return install


def test_findings_have_paths_lines_columns_and_rules(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({PATH: SHOP})
    assert main(OWN) == 1
    shown = capsys.readouterr()
    assert shown.out == FOUND
    assert shown.err == "kratos proto: error: 3 findings\n"


def test_findings_are_told_as_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write({PATH: SHOP})
    assert main([*OWN, "--json", "--select", "FIELD_LOWER_SNAKE_CASE"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": PATH,
            "line": 6,
            "column": 24,
            "end_line": 6,
            "end_column": 32,
            "rule": "FIELD_LOWER_SNAKE_CASE",
            "message": "someName: a field is called in lower_snake_case; rename it",
        }
    ]


def test_rules_can_be_left_out(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write({PATH: SHOP})
    rules = ("ENUM_VALUE_PREFIX", "ERROR_CODE_IS_FAILURE", "FIELD_LOWER_SNAKE_CASE")
    ignored = [word for rule in rules for word in ("--ignore", rule)]
    assert main([*OWN, *ignored]) == 0
    assert main([*OWN, *ignored, "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize("options", [[], ["--http", "--errors"]])
def test_what_add_writes_has_no_findings(options: list[str]) -> None:
    path = "api/shop/v1/book_store.proto"
    assert main(["proto", "add", path, "-I", "api", *options]) == 0
    assert main(OWN) == 0


def test_buf_keeps_the_rules_of_style_if_it_is_there(
    folder: Path, write: Write, buf: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write({PATH: SHOP})
    buf(100)
    assert main(COMMAND) == 1
    # Not the prefix of an error, whose name is all that a wire has of it; nor the import.
    assert capsys.readouterr().out == (
        f"{PATH}:4:37: buf says so. (ENUM_VALUE_PREFIX)\n"
        f"{PATH}:5:15: MISSING has code 200, which tells no failure; use 400 to 599 "
        "(ERROR_CODE_IS_FAILURE)\n"
    )
    asked = json.loads((folder / "asked").read_text())
    assert asked[0] == "lint"
    assert "SERVICE_SUFFIX" in json.loads(asked[asked.index("--config") + 1])["lint"]["except"]


def test_buf_is_told_of_its_configuration(
    folder: Path, write: Write, buf: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write({PATH: SHOP, "buf.yaml": "version: v2\n"})
    buf(100)
    assert main([*COMMAND, "--engine", "buf", "--select", "ENUM_VALUE_PREFIX"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    asked = json.loads((folder / "asked").read_text())
    assert asked[asked.index("--config") + 1] == "buf.yaml"


def test_buf_that_fails_is_no_finding(
    write: Write, buf: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write({PATH: SHOP})
    buf(1)
    assert main(COMMAND) == 1
    assert "kratos proto: error: buf lint failed: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["api", "-I", "api", "--select", "NOPE"], 2, "there is no rule NOPE; there are ENUM_"),
        (
            ["api", "-I", "api", "--ignore", "HTTP_RULE,HTTP_STYL"],
            2,
            "there is no rule HTTP_STYL; did you mean 'HTTP_STYLE'?",
        ),
        (["empty"], 2, "there is no definition in what was given"),
        (["broken.proto"], 1, "protoc refuses the definitions"),
        (["api", "--engine", "buf"], 1, "there is no buf; pip install buf-bin"),
    ],
)
def test_wrong_arguments_are_answered_with_the_reason(
    folder: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    reason: str,
) -> None:
    write({PATH: SHOP, "broken.proto": "nonsense"})
    (folder / "empty").mkdir()
    monkeypatch.setattr("shutil.which", not_found)
    assert main(["proto", "lint", *arguments]) == status
    assert reason in capsys.readouterr().err
