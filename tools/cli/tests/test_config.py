"""``kratos config``: what sources make together, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kratos_cli.main import main


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.yaml").write_text(
        "server:\n  port: 8080\n  host: '${HOST:local}'\n  password: hunter2\nhosts: [a, b]\n"
    )
    (tmp_path / "more.json").write_text('{"server": {"port": 9090}}')
    monkeypatch.setenv("SHOP_SERVER__MODE", "fast")
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["config", *words]) == 0
    return capsys.readouterr().out


def test_each_value_is_shown_with_the_document_that_it_came_from(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(configs), "--env", "SHOP_", "--nested", "__", "--set", "hosts=c"]
    lines = [line.split("#") for line in shown(capsys, *words).splitlines()]
    assert [(value.strip(), origin.strip()) for value, origin in lines] == [
        ("server.port = 9090", f"{configs}: more.json"),
        ('server.host = "local"', f"{configs}: app.yaml"),
        ('server.password = "***"', f"{configs}: app.yaml"),
        ('server.mode = "fast"', "environment SHOP_"),
        ('hosts = "c"', "command line"),
    ]


def test_a_part_is_shown_with_its_origins(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, str(configs / "more.json"), "--key", "server") == (
        f"port = 9090  # {configs / 'more.json'}: more.json\n"
    )


def test_one_value_is_shown_with_its_origin(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(configs / "more.json"), "--key", "server.port"]
    assert shown(capsys, *words) == f"port = 9090  # {configs / 'more.json'}: more.json\n"
    assert shown(capsys, *words, "--json") == "9090\n"
    assert "hunter2" not in shown(capsys, str(configs), "--key", "server.password")


def test_tree_is_printed_as_json_without_secrets(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(shown(capsys, str(configs), "--json")) == {
        "server": {"port": 9090, "host": "local", "password": "***"},
        "hosts": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        ([], 2, "nothing to show"),
        (["nowhere"], 1, "nowhere: it cannot be read"),
        (["--set", "x"], 1, "write dotted.key=value"),
        (["--set", "x=${y}", "--required"], 1, "refers to 'y', which nothing sets"),
        (["--set", "x=1", "--set", "y.z=1", "--key", "z"], 1, "no 'z'; at the top there is x, y"),
        (["--set", "x=1", "--nested", "__"], 2, "--nested is about variables"),
    ],
)
def test_what_cannot_be_shown_says_why(
    words: list[str], status: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", *words]) == status
    assert problem in capsys.readouterr().err
