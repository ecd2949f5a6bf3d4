"""``kratos completion``: what shells complete by it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kratos_cli.main import COMMANDS, main

SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """The script of bash, in a file."""
    assert main(["completion", "bash"]) == 0
    file = tmp_path / "kratos.bash"
    file.write_text(capsys.readouterr().out)
    return file


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["c"], {"call", "changelog", "completion", "config", "cachegen"}),
        (["call", "--tr"], {"--transport"}),
        (["call", "x:1", "--transport", ""], {"grpc", "http", "connect"}),
        (["proto", "cl"], {"client"}),
        (["proto", "client", "--check"], {"--check"}),
        (["completion", "--h"], {"--help"}),
        (["completion", "z"], {"zsh"}),
        (["call", "--ca", "x"], set[str]()),
    ],
)
def test_bash_completes(words: list[str], completed: set[str], script: Path) -> None:
    program = (
        'source "$0"; COMP_WORDS=(kratos "$@"); COMP_CWORD=$#; _kratos; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, str(script), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == completed
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
def test_fish_completes_words_of_an_argument(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", "fish"]) == 0
    file = tmp_path / "kratos.fish"
    file.write_text(capsys.readouterr().out)
    program = f"source {file}; complete -C'kratos completion z'"
    done = subprocess.run(["fish", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["zsh"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_its_options_are_in_the_script(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    told = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in told] == []
    assert "absolute-root" in told  # of a subcommand of a subcommand


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_reads_the_script_without_complaint(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    assert main(["completion", shell]) == 0
    file = tmp_path / "script"
    file.write_text(capsys.readouterr().out)
    done = subprocess.run([program, "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_shell_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err
