"""``kratos lint``: what it prints, which rules it keeps, what a project may say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.lint.rules import ALL, RULES
from kratos_cli.main import main

Lint = Callable[..., list[str]]
Write = Callable[[Mapping[str, str]], None]

SLOW = "import time\n\n\nasync def é():\n    'é'; time.sleep(\n        1)\n"
TEXT = "shop.py:5:10: time.sleep blocks the event loop; await asyncio.sleep (KR201)"
LOST = "async def f():\n    f()\n"


def test_line_has_file_line_column_text_and_rule(write: Write, lint: Lint) -> None:
    write({"shop.py": SLOW})
    assert lint() == [TEXT]


def test_findings_are_told_as_json(write: Write, lint: Lint) -> None:
    write({"shop.py": SLOW})
    assert json.loads("\n".join(lint("--json"))) == [
        {
            "file": "shop.py",
            "line": 5,
            "column": 10,
            "end_line": 6,
            "end_column": 11,
            "rule": "KR201",
            "message": "time.sleep blocks the event loop; await asyncio.sleep",
        }
    ]


def test_findings_are_told_as_sarif(write: Write, lint: Lint, folder: Path) -> None:
    write({"a b/shop.py": SLOW, "broken.py": "\xff"})
    (folder / "broken.py").write_bytes(b"\xff")
    log = json.loads("\n".join(lint("--sarif")))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(ALL)
    slow, broken = run["results"]
    assert rules[slow["ruleIndex"]]["id"] == slow["ruleId"] == "KR201"
    assert slow["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a%20b/shop.py", "uriBaseId": "SRCROOT"},
                "region": {"startLine": 5, "startColumn": 10, "endLine": 6, "endColumn": 11},
            }
        }
    ]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == f"{folder.as_uri()}/"
    assert "region" not in broken["locations"][0]["physicalLocation"]


def test_nothing_found_is_an_empty_report(write: Write, lint: Lint) -> None:
    write({"shop.py": ""})
    assert lint(status=0) == []
    assert lint("--json", status=0) == ["[]"]
    assert json.loads("\n".join(lint("--sarif", status=0)))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        ((), {"KR201", "KR202"}),
        (("--select", "KR201"), {"KR201"}),
        (("--select", "KR2"), {"KR201", "KR202"}),
        (("--ignore", "KR202"), {"KR201"}),
        (("--select", "KR", "--ignore", "KR201"), {"KR202"}),
        (("--select", "HTTP_RULE"), set[str]()),
        (("--select", "KR201,KR401"), {"KR201"}),
        (("--ignore", "KR201, KR202"), set[str]()),
    ],
)
def test_rules_are_chosen(
    write: Write, lint: Lint, words: tuple[str, ...], rules: set[str]
) -> None:
    write({"shop.py": SLOW, "lost.py": LOST})
    found = lint(*words, status=1 if rules else 0)
    assert {line.rpartition("(")[2][:-1] for line in found} == rules


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--select", "KR999"), "there is no rule 'KR999'; there are KR001, "),
        (("--ignore", ""), "there is no rule ''"),
        (("--ignore", "KR201,KR99"), "there is no rule 'KR99'"),
        (("gone.py",), "gone.py does not exist"),
        (("picture.png",), "picture.png is of no kind that is looked at"),
    ],
)
def test_wrong_calls_are_told(
    write: Write, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], text: str
) -> None:
    write({"picture.png": "", "shop.py": ""})
    assert main(["lint", *words]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("[tool.kratos.lint]\nselekt = []", "has no 'selekt'; did you mean 'select'?"),
        ("[tool.kratos.lint]\nselect = 'KR201'", "select has to be a list of texts"),
        ("[tool.kratos.lint]\nselect = ['XY']", "there is no rule 'XY'"),
        ("[tool.kratos.lint.layers]\nbiz = ['dta']\ndata = []", "'dta', which is no layer"),
        ("[[tool.kratos.lint.configs]]\nfiles = ['x']", "message has to be a text"),
        ("[tool.kratos]\nlint = 1", "lint of [tool.kratos.lint] is no table"),
        ("[tool", "pyproject.toml cannot be read"),
    ],
)
def test_wrong_settings_are_told(
    write: Write, capsys: pytest.CaptureFixture[str], said: str, text: str
) -> None:
    write({"pyproject.toml": said, "shop.py": ""})
    assert main(["lint"]) == 2
    assert text in capsys.readouterr().err


def test_project_chooses_rules_and_the_command_line_overrides(write: Write, lint: Lint) -> None:
    said = "[tool.kratos.lint]\nselect = ['KR201']\nignore = ['KR202']"
    write({"pyproject.toml": said, "shop.py": SLOW, "lost.py": LOST})
    assert lint() == [TEXT]
    assert lint("--ignore", "KR201", status=0) == []
    assert lint("--select", "KR202", status=0) == []


def test_projects_in_one_repository_have_settings_of_their_own(write: Write, lint: Lint) -> None:
    write({
        "pyproject.toml": "",
        "slow.py": SLOW,
        "app/user/pyproject.toml": "[tool.kratos.lint]\nignore = ['KR201']",
        "app/user/slow.py": SLOW,
    })  # fmt: skip
    assert [line.partition(":")[0] for line in lint()] == ["slow.py"]


def test_layers_of_a_project_may_have_other_names(write: Write, lint: Lint) -> None:
    write({
        "pyproject.toml": "[tool.kratos.lint.layers]\ncore = []\nadapters = ['core']",
        "shop/__init__.py": "",
        "shop/core/__init__.py": "import shop.adapters",
        "shop/adapters/__init__.py": "import shop.core",
        "shop/biz/__init__.py": "import shop.data",
        "shop/data/__init__.py": "",
    })  # fmt: skip
    assert lint() == [
        (
            "shop/core/__init__.py:1:8: core imports adapters; core may import none of the layers "
            "(KR101)"
        )
    ]


PROTO = 'syntax = "proto3";\npackage shop.settings;\nmessage Settings { int32 port = 1; }\n'
CONFIGS = "[[tool.kratos.lint.configs]]\nfiles = ['etc/**/*.*']\nmessage = 'Settings'\n"


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.yaml", "# comment\nport: many\n", "2:1"),
        ("a.json", '{\n\t"port": "many"\n}', "2:2"),
        ("a.toml", "# port\n\nport = 'many'\n", "3:1"),
        ("deep/a.yml", "port: 99999999999", "1:1"),
    ],
)
def test_configurations_are_read_in_each_format(
    write: Write, lint: Lint, name: str, text: str, place: str
) -> None:
    write({"pyproject.toml": CONFIGS, "shop/settings/a.proto": PROTO, f"etc/x/{name}": text})
    (line,) = lint()
    assert line.startswith(f"etc/x/{name}:{place}: configuration value 'port' ")
    assert "many" not in line  # it may be a secret


def test_one_file_of_configuration_finds_its_definition(write: Write, lint: Lint) -> None:
    write({"pyproject.toml": CONFIGS, "shop/settings/a.proto": PROTO, "etc/x/a.yaml": "prt: 1"})
    assert lint("etc/x/a.yaml") == [
        "etc/x/a.yaml:1:1: prt: Settings has no field 'prt'; did you mean 'port'? (KR501)"
    ]


def test_message_that_is_not_there_is_told(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = CONFIGS.replace("'Settings'", "'shop.Settings'")
    write({"pyproject.toml": wrong, "shop/settings/a.proto": PROTO, "etc/x/a.yaml": "port: 1"})
    assert main(["lint"]) == 2
    assert "there is no message shop.Settings to read it as" in capsys.readouterr().err


def test_definition_that_does_not_compile_is_a_finding(write: Write, lint: Lint) -> None:
    write({"api/shop/v1/shop.proto": 'syntax = "proto3";\npackage shop.v1;\nmessage {}\n'})
    assert lint() == [
        "api/shop/v1/shop.proto:3:9: this cannot be read: Expected message name. (KR001)"
    ]


@pytest.mark.parametrize("deep", [f"{'-' * 20_000}1", " + ".join("1" * 5_000)])
def test_code_that_is_nested_too_deeply_is_a_finding(write: Write, lint: Lint, deep: str) -> None:
    write({"deep.py": f"a = {deep}", "lost.py": LOST})
    found = lint()
    assert found[0].startswith("deep.py")
    assert [line.rpartition("(")[2] for line in found] == ["KR001)", "KR202)"]


def test_rules_are_listed(lint: Lint) -> None:
    assert [line.split()[0] for line in lint("--rules", status=0)] == list(RULES)


def test_hook_calls_the_command() -> None:
    hooks = (Path(__file__).parents[4] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    assert "entry: kratos lint" in hooks
    assert "pass_filenames: false" in hooks


def test_pipes_and_links_in_circles_are_passed_over(folder: Path, lint: Lint) -> None:
    for name in ("a.py", "b.proto", "c.yaml"):
        os.mkfifo(folder / name)  # nobody ever writes into it
    (folder / "circle").symlink_to(folder)
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    assert lint() == ["gone.py: this cannot be read: No such file or directory (KR001)"]
