"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from kratos_cli.main import COMMANDS, main


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


def test_an_unknown_option_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proto", "client", "x.proto", "--inclde-imports"])
    assert ended.value.code == 2
    assert "did you mean '--include-imports'?" in capsys.readouterr().err


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
