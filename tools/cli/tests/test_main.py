"""The command line as a whole."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from kratos.plugins import Plugin, register
from kratos_cli.main import COMMANDS, main
from kratos_cli.parsing import Subparsers


def test_no_command_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kratos {version('kratos-cli')}\n"


def test_an_unknown_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["prto"]) == 2
    assert capsys.readouterr().err == (
        "kratos: error: there is no command 'prto'; did you mean 'proto'?\n"
    )


def test_an_unknown_command_like_none_is_answered_with_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["xyz"]) == 2
    assert ", ".join(COMMANDS) in capsys.readouterr().err


def test_a_command_that_is_not_installed_is_answered_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(_group: str) -> tuple[Plugin, ...]:
        return ()

    monkeypatch.setattr("kratos.plugins.find", find)
    assert main(["cachegen", "x.py"]) == 2
    assert capsys.readouterr().err == (
        "kratos: error: there is no command 'cachegen'; pip install kratos-cachegen\n"
    )


def test_help_of_each_command_is_beside_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert "    completion  complete the command in a shell\n" in shown


class Greet:
    """A sub-command that another distribution brings."""

    def register(self, subparsers: Subparsers, /) -> None:
        parser = subparsers.add_parser("greet", help="say hello", description="Say hello.")
        parser.add_argument("name")

    def run(self, args: argparse.Namespace, /) -> int:
        print(f"hello, {args.name}")
        return 0


def announce(monkeypatch: pytest.MonkeyPatch, plugin: Plugin) -> None:
    def find(_group: str) -> tuple[Plugin, ...]:
        return (plugin,)

    monkeypatch.setattr("kratos.plugins.find", find)


@pytest.fixture
def greet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plugin = Plugin(
        group="kratos.cli", name="greet", distribution="x", version="1", target="x:greet"
    )
    announce(monkeypatch, plugin)
    undo = register("kratos.cli", "greet", Greet())
    yield
    undo()


def test_other_distributions_bring_commands(
    greet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["greet", "you"]) == 0
    assert capsys.readouterr().out == "hello, you\n"
    assert main([]) == 2
    assert "say hello" in capsys.readouterr().out
    assert main(["greeet"]) == 2
    assert "did you mean 'greet'?" in capsys.readouterr().err


def test_command_that_cannot_be_loaded_says_so_and_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Plugin(group="kratos.cli", name="broken", distribution="x", version="1", target="x:y")
    announce(monkeypatch, plugin)
    assert main(["broken"]) == 1
    assert "kratos: error: " in capsys.readouterr().err
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert "cannot be loaded" in shown
    assert "demo" in shown


def test_an_unknown_option_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proto", "client", "x.proto", "--inclde-imports"])
    assert ended.value.code == 2
    assert "did you mean '--include-imports'?" in capsys.readouterr().err


def test_an_unknown_option_is_told_before_what_else_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["call", "--jsno"])
    assert "there is no option --jsno; did you mean '--json'?" in capsys.readouterr().err


def test_a_word_too_many_is_not_called_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "src"])
    assert "there is nothing to do with 'src'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "kratos proto: error: say what to do: add, breaking, client, lint, "),
        (["lnt", "api"], "kratos proto: error: there is no command, file or folder 'lnt'; did "),
        (["lint.proto"], "kratos proto: error: lint.proto does not exist"),
        (["x/lint"], "kratos proto: error: x/lint does not exist"),
    ],
)
def test_a_slip_in_a_verb_is_not_taken_for_a_definition(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["proto", *words])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 2
    assert capsys.readouterr().err.startswith(told)


def test_a_folder_that_looks_like_a_verb_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adds").mkdir()
    assert main(["proto", "adds"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_a_wrong_value_is_not_taken_for_a_wrong_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["proto", "x.proto", "--omitempty", "maybe"])
    told = capsys.readouterr().err
    assert "invalid choice: 'maybe'" in told
    assert "did you mean" not in told


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["proto", "x.proto", "--include"])
    assert "there is no option --include" in capsys.readouterr().err


def test_asking_for_help_loads_no_compiler() -> None:
    program = (
        "import sys; from kratos_cli.main import main\n"
        "try: main(['proto', '--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "kratos_cli" in loaded
    assert not {"google", "grpc", "grpc_tools", "protoc_gen_kratos"} & set(loaded)
