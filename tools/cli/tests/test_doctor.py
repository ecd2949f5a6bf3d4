"""``kratos doctor``: what it finds, and that only problems make it fail."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from kratos.plugins import Plugin
from kratos.testing.program import free_port
from kratos_cli.doctor import code, libraries, members, network, plug_ins
from kratos_cli.doctor.findings import Finding, Level
from kratos_cli.main import main


def problems(findings: Iterator[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.level is Level.PROBLEM]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look at plug-ins that load at once, from a folder without a project."""
    monkeypatch.setattr(plug_ins, "GROUPS", ("kratos.selector",))
    monkeypatch.chdir(tmp_path)


class Installed(metadata.Distribution):
    """A distribution that is there in name only."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.mark.usefixtures("few")
def test_what_is_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert f"kratos-core {version('kratos-core')}" in told
    assert f"protobuf {version('protobuf')}" in told
    assert f"grpcio {version('grpcio')}" in told
    assert "kratos.selector: hash, least, p2c, random, wrr" in told
    assert "uvloop" in told
    assert told.endswith("no problems\n")


@pytest.mark.usefixtures("few")
def test_problem_makes_it_fail_and_json_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"redis://user:secret@127.0.0.1:{free_port()}"
    assert main(["doctor", "--json", "--check", url]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == 1
    found = told["findings"][-1]
    assert (found["level"], found["area"]) == ("problem", "servers")
    assert "does not answer" in found["text"]
    assert "secret" not in json.dumps(told)


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("kratos-core>=2", "needs kratos-core>=2, but 1.5 is there: pip install 'kratos-core>=2'"),
        ("nowhere", "needs nowhere, which is not installed: pip install 'nowhere'"),
        ("x y z", "has a requirement that cannot be read: x y z; install me anew"),
        ("Kratos_Core>=1", None),
        ("nowhere; python_version < '3'", None),
        ("nowhere; extra == 'more'", None),
    ],
)
def test_requirement_that_is_not_met_is_told(line: str, failure: str | None) -> None:
    there = {"kratos-core": Installed("Metadata-Version: 2.1\nName: kratos-core\nVersion: 1.5\n")}
    assert list(members.unmet("me", [line], there)) == ([] if failure is None else [failure])


def test_requirement_of_an_extra_counts_where_the_extra_is_asked_for() -> None:
    found = list(members.unmet("me", ["nowhere; extra == 'more'"], {}, extra="more"))
    assert len(found) == 1


def test_plug_in_that_does_not_load_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(group: str) -> tuple[Plugin, ...]:
        return (
            Plugin(
                group=group, name="broken", distribution="x", version="1", target="no_such_module:y"
            ),
        )

    monkeypatch.setattr("kratos.plugins.find", find)
    monkeypatch.setattr(plug_ins, "GROUPS", ("kratos.store",))
    found = problems(plug_ins.look())
    assert len(found) == 1
    assert "broken" in found[0]
    assert "No module named 'no_such_module'" in found[0]


def test_variable_that_is_malformed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOS_PLUGINS_DISABLED", "nonsense")
    assert problems(plug_ins.look()) == [
        "KRATOS_PLUGINS_DISABLED must list group:name, got 'nonsense'"
    ]


def test_import_of_what_is_not_installed_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("import kratos\n\nfrom kratos_nothing.x import y\n")
    environment = tmp_path / "venv"
    environment.mkdir()
    (environment / "pyvenv.cfg").touch()
    (environment / "ignored.py").write_text("import kratos_other\n")
    found = problems(code.look(tmp_path, members.installed()))
    assert len(found) == 1
    where, _, what = found[0].partition(": ")
    assert where == f"{tmp_path / 'service.py'}:3"
    assert what.startswith("it imports kratos_nothing.x, which is not installed: pip install")


def test_import_that_needs_an_extra_is_told(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("import kratos_http.sessions\n")
    there = {
        "kratos-http": Installed(
            "Metadata-Version: 2.1\nName: kratos-http\nVersion: 1\n"
            "Provides-Extra: sessions\nRequires-Dist: nowhere>=42; extra == 'sessions'\n"
        )
    }
    found = problems(code.look(tmp_path, there))
    assert len(found) == 1
    assert "needs nowhere, which is not installed" in found[0]
    assert "kratos-http[sessions]" in found[0]


def test_code_that_was_generated_for_a_newer_protobuf_is_told(tmp_path: Path) -> None:
    file = tmp_path / "new_pb2.py"
    file.write_text('Validate(_runtime_version.Domain.PUBLIC, 99, 1, 0, "", "x.proto")\n')
    found = problems(code.look(tmp_path, {}))
    assert len(found) == 1
    assert found[0].startswith(f"{file} was generated for protobuf 99.1.0")


def test_code_that_is_no_python_is_told(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("x = 1\ndef (:\n")
    assert problems(code.look(tmp_path, {})) == [f"{tmp_path / 'service.py'}:2: invalid syntax"]


def test_code_that_cannot_be_read_is_told_and_pipes_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")  # nobody ever writes into it
    (tmp_path / "b.py").symlink_to("nowhere.py")
    (tmp_path / "c.py").write_text(f"x = {'-' * 100_000}1\n")
    gone, deep = problems(code.look(tmp_path, {}))
    assert gone == f"{tmp_path / 'b.py'}: No such file or directory"
    assert deep.startswith(f"{tmp_path / 'c.py'}: ")


def test_port_that_is_taken_is_a_problem_if_it_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = problems(network.look([port], []))
    assert len(found) == 1
    assert found[0].startswith(f"{port} cannot be had: ")


def test_server_that_listens_is_reached() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        found = list(network.look([], [f"etcd://127.0.0.1:{port}/prefix?ttl=15s"]))
    assert found[-1].level is Level.OK
    assert found[-1].text == f"etcd://127.0.0.1:{port} answers"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense://host", "nonsense://host: it names no port; write scheme://host:port"),
        ("http://", "http://: it names no host; write scheme://host:port"),
    ],
)
def test_url_that_leads_nowhere_is_told(url: str, problem: str) -> None:
    assert problems(network.look([], [url])) == [problem]


def test_codec_that_is_asked_for_and_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(_name: str) -> None:
        return None

    monkeypatch.setattr("kratos_cli.doctor.libraries.util.find_spec", find_spec)
    monkeypatch.setenv("KRATOS_PROTOJSON", "native")
    found = problems(libraries.look())
    assert len(found) == 1
    assert "pip install kratos-protojson-native" in found[0]


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["--code", "/nowhere"], "there is no such folder")],
)
def test_what_is_asked_for_wrongly_is_told(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *words]) == 2
    assert problem in capsys.readouterr().err
