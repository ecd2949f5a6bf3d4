"""Bars of progress: on a terminal alone, gone at the end, never in the way of what is read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kratos_cli.progress import Progress

pytestmark = [pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")]

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"
CLEAR = "\r\x1b[K"


class Terminal:
    """Both ends of a pseudo-terminal.

    Attributes:
        inside: What programs write to.
    """

    def __init__(self) -> None:
        self._outside, self.inside = os.openpty()

    def drawn(self) -> str:
        """Return all that was written, once the last writer is done."""
        os.close(self.inside)
        said = b""
        try:
            while data := os.read(self._outside, 65536):
                said += data
        except OSError:  # Linux says so that there is no writer left
            pass
        os.close(self._outside)
        return said.decode()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command with a terminal for its words; return status, output and what was drawn."""

    def ran(*words: str, **environment: str) -> tuple[int, str, str]:
        terminal = Terminal()
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=terminal.inside,
            text=True,
            check=False,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        return done.returncode, done.stdout, terminal.drawn()

    return ran


@pytest.fixture
def definitions(tmp_path: Path) -> list[str]:
    names = [f"api/v1/part{number}.proto" for number in range(3)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('syntax = "proto3"; package v1;')
    return names


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """The URL of a repository with a template."""
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "pyproject.toml.tmpl").write_text('name = "{{name}}"\n')
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder.as_uri()


@pytest.mark.parametrize("command", [["proto", "api"], ["proto", "wheel", "api"]])
def test_definitions_are_counted_on_a_terminal(
    run: Run, definitions: list[str], command: list[str]
) -> None:
    named = ["--name", "acme-api", "--version", "1"] if "wheel" in command else []
    status, out, drawn = run(*command, *named)
    assert status == 0, drawn
    assert out
    for number, name in enumerate(definitions, 1):
        assert f" {number}/3 {name.removeprefix('api/' if named else '')}" in drawn
    assert drawn.endswith(CLEAR)


def test_a_clone_is_followed_on_a_terminal(run: Run, repository: str) -> None:
    status, out, drawn = run("new", "shop", "--repo", repository)
    assert status == 0, drawn
    assert "CREATED pyproject.toml" in out
    assert "receiving objects" in drawn
    assert drawn.endswith(CLEAR)


def test_failure_of_a_clone_is_told_without_what_was_drawn(run: Run, tmp_path: Path) -> None:
    status, _, drawn = run("new", "shop", "--repo", (tmp_path / "nothing").as_uri())
    assert status == 1
    told = drawn.rpartition(CLEAR)[2]
    assert told.startswith("kratos new: error: the template cannot be had from file:///")
    assert "Cloning into" not in told


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["proto", "api", "--quiet"], {}),
        (["new", "shop", "--repo", "URL", "--quiet"], {}),
        (["proto", "api"], {"TERM": "dumb"}),
    ],
)
def test_nothing_is_drawn_where_it_is_not_wanted(
    run: Run,
    definitions: list[str],
    repository: str,
    words: list[str],
    environment: dict[str, str],
) -> None:
    named = [repository if word == "URL" else word for word in words]
    status, out, drawn = run(*named, **environment)
    assert (status, drawn) == (0, "")
    assert bool(out) is not ("--quiet" in words)


def test_nothing_is_drawn_on_a_pipe(definitions: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "proto", "api"], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stderr == b""


def test_a_line_is_never_longer_than_the_terminal() -> None:
    terminal = Terminal()
    with os.fdopen(os.dup(terminal.inside), "w") as stream, Progress(stream, shown=True) as bar:
        bar.step(1, 2, "x" * 500)
        bar.step(1, 2, "x" * 500)
    lines = terminal.drawn().split(CLEAR)
    assert lines[0] == lines[2] == ""
    assert lines[1].startswith("[############------------] 1/2 xxx")
    assert len(lines[1]) == 79
    assert len(lines) == 3, "what is drawn already is not drawn again"


def test_a_name_that_would_move_the_cursor_is_shown() -> None:
    drawn = io.StringIO()
    with Progress(drawn, shown=True) as progress:
        progress.step(1, 1, "a\x1b[2Jb.proto")
    assert "1/1 a\\u001b[2Jb.proto" in drawn.getvalue()
