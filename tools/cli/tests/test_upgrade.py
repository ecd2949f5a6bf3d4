"""``kratos upgrade``: what it runs, and what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from kratos_cli.doctor import members
from kratos_cli.main import main


class Installed(metadata.Distribution):
    """A distribution that is there in name only."""

    def __init__(self, version: str, *, editable: bool = False) -> None:
        self._files = {"METADATA": f"Metadata-Version: 2.1\nName: x\nVersion: {version}\n"}
        if editable:
            self._files["direct_url.json"] = '{"dir_info": {"editable": true}, "url": "file:///x"}'

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: Any) -> Any:
        return Path(path)


class Environment:
    """What is installed, and a stand-in for the installer that notes what it is asked for."""

    def __init__(self) -> None:
        self.there: dict[str, metadata.Distribution] = {
            "kratos-core": Installed("0.1.0"),
            "kratos-http": Installed("0.1.0"),
            "kratos-mine": Installed("0.1.0", editable=True),
            "requests": Installed("2"),
        }
        self.status = 0
        self.commands: list[list[str]] = []
        self.output: int | None = None

    def installed(self) -> dict[str, metadata.Distribution]:
        return self.there

    def run(
        self, command: list[str], *, check: bool, stdout: int | None
    ) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.output = stdout
        self.there = self.there | {"kratos-http": Installed("0.2.0")}
        return subprocess.CompletedProcess(command, self.status)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    made = Environment()
    monkeypatch.setattr(members, "installed", made.installed)
    monkeypatch.setattr("kratos_cli.commands.upgrade.subprocess.run", made.run)
    return made


def find_none(_name: str) -> None:
    return None


def find_uv(_name: str) -> str:
    return "/bin/uv"


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have uv and no pip."""
    monkeypatch.setattr("kratos_cli.commands.upgrade.importlib.util.find_spec", find_none)
    monkeypatch.setattr("kratos_cli.commands.upgrade.shutil.which", find_uv)


@pytest.mark.usefixtures("uv")
def test_what_is_installed_is_upgraded_and_what_has_changed_is_told(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade"]) == 0
    command = ["/bin/uv", "pip", "install", "--python", sys.executable, "--upgrade"]
    assert environment.commands == [[*command, "kratos-core", "kratos-http"]]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "kratos-mine is installed from a folder, and stays as it is"
    assert lines[-1] == "kratos-http 0.1.0 -> 0.2.0"


@pytest.mark.usefixtures("uv")
def test_dry_run_prints_the_command_and_does_nothing(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade", "kratos-core", "--dry-run", "--pre"]) == 0
    assert environment.commands == []
    assert capsys.readouterr().out.endswith("--upgrade --pre kratos-core\n")


def test_pip_comes_first(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(_name: str) -> object:
        return object()

    monkeypatch.setattr("kratos_cli.commands.upgrade.importlib.util.find_spec", find)
    assert main(["upgrade", "kratos-core"]) == 0
    assert environment.commands[0][1:] == ["-m", "pip", "install", "--upgrade", "kratos-core"]
    assert capsys.readouterr().out.endswith("everything is the newest already\n")


@pytest.mark.usefixtures("uv")
@pytest.mark.parametrize(
    ("words", "installer", "status", "problem"),
    [
        (["kratos-htp"], 0, 2, "did you mean 'kratos-http'?"),
        (["requests"], 0, 2, "is no installed distribution of Kratos"),
        ([], 3, 1, "/bin/uv ended with 3"),
    ],
)
def test_what_fails_is_told(
    words: list[str],
    installer: int,
    status: int,
    problem: str,
    environment: Environment,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.status = installer
    assert main(["upgrade", *words]) == status
    assert problem in capsys.readouterr().err


@pytest.mark.usefixtures("uv")
def test_events_are_lines_of_json_beside_words_for_people(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade", "--json"]) == 0
    written = capsys.readouterr()
    (command,) = environment.commands
    assert "--no-progress" in command
    assert environment.output == 2, "the installer must not write among the events"
    assert [json.loads(line) for line in written.out.splitlines()] == [
        {"event": "kept", "name": "kratos-mine", "version": "0.1.0", "reason": "editable"},
        {"event": "command", "words": command},
        {"event": "unchanged", "name": "kratos-core", "version": "0.1.0"},
        {"event": "upgraded", "name": "kratos-http", "old": "0.1.0", "new": "0.2.0"},
    ]
    assert "kratos-http 0.1.0 -> 0.2.0" in written.err


@pytest.mark.usefixtures("uv")
def test_failure_is_an_event(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    environment.status = 3
    assert main(["upgrade", "--json"]) == 1
    written = capsys.readouterr()
    last = json.loads(written.out.splitlines()[-1])
    assert (last["event"], last["status"]) == ("failed", 1)
    assert last["reason"].startswith("/bin/uv ended with 3")
    assert "kratos upgrade: error: /bin/uv ended with 3" in written.err


@pytest.mark.usefixtures("uv")
def test_quiet_tells_what_has_changed_alone(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade", "--quiet"]) == 0
    assert "--quiet" in environment.commands[0]
    assert capsys.readouterr().out == "kratos-http 0.1.0 -> 0.2.0\n"


def test_lack_of_an_installer_is_told(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kratos_cli.commands.upgrade.importlib.util.find_spec", find_none)
    monkeypatch.setattr("kratos_cli.commands.upgrade.shutil.which", find_none)
    assert main(["upgrade"]) == 1
    assert "neither pip nor uv" in capsys.readouterr().err
