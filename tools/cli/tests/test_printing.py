"""What is printed is shown by a terminal, and not obeyed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.plugins import Plugin, register
from kratos_cli.main import main
from kratos_cli.parsing import Subparsers
from kratos_cli.printing import shown


@given(st.text())
def test_json_means_the_same_and_moves_no_cursor(text: str) -> None:
    told = shown(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert json.loads(told) == {text: [text]}
    assert not {*told} & {chr(each) for each in (*range(10), *range(11, 32), *range(127, 160))}


def test_letters_of_all_languages_stay_as_they_are() -> None:
    text = "größe\t日本 🙂 שלום\n"
    assert shown(text) == text


def test_what_a_command_tells_of_files_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (b"\x1b[2J.py", b"\xff.py"):
        Path(os.fsdecode(name)).write_text("x = (")
    assert main(["lint"]) == 1
    told = capsys.readouterr().out
    assert sorted(line.partition(":")[0] for line in told.splitlines()) == [
        r"\u001b[2J.py",
        r"\udcff.py",
    ]
    assert main(["lint", "--sarif"]) == 1
    uris = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in json.loads(capsys.readouterr().out)["runs"][0]["results"]
    }
    assert uris == {"%1B%5B2J.py", "%FF.py"}
    assert main(["lint", "\x1b]0;x\x07"]) == 2
    assert capsys.readouterr().err == r"kratos lint: error: \u001b]0;x\u0007 does not exist" + "\n"


class Colourful:
    """A sub-command of another distribution, which may write what it wants."""

    def register(self, subparsers: Subparsers, /) -> None:
        subparsers.add_parser("colour", help="x", description="x")

    def run(self, _args: argparse.Namespace, /) -> int:
        print("\x1b[32mgreen\x1b[0m")
        return 0


def test_commands_of_others_write_as_they_want(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Plugin(group="kratos.cli", name="colour", distribution="x", version="1", target="x:y")

    def find(_group: str) -> tuple[Plugin, ...]:
        return (plugin,)

    monkeypatch.setattr("kratos.plugins.find", find)
    undo = register("kratos.cli", "colour", Colourful())
    assert main(["colour"]) == 0
    undo()
    assert capsys.readouterr().out == "\x1b[32mgreen\x1b[0m\n"


PROGRAM = "import sys, kratos_cli.main; sys.exit(kratos_cli.main.main())"


def test_reader_that_has_gone_is_no_failure_to_tell(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("".join(f"key{number}: {number}\n" for number in range(20_000)))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "config", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()  # while there is much more to write than a pipe takes
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_trouble_with_a_file_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(_path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "iterdir", denied)
    assert main(["proto", str(tmp_path), "-I", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"kratos proto: error: {tmp_path}: Permission denied\n"
