"""``kratos call`` calls Go Kratos: over gRPC by its reflection, over HTTP by rules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kratos_cli.main import main

pytestmark = [pytest.mark.go, pytest.mark.slow]

PROTO = Path(__file__).parent / "proto"
RULES = ["--proto", str(PROTO / "interop/v1/interop.proto"), "-I", str(PROTO)]


@contextmanager
def served(*command: str | Path) -> Generator[str]:
    """Run a Go program for the block, and yield the first line that it prints."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as go:
        assert go.stdin is not None
        assert go.stdout is not None
        try:
            yield go.stdout.readline().strip()
        finally:
            go.stdin.close()  # which is how it is asked to stop


@pytest.fixture
def peer(go_program: Path) -> Generator[str]:
    """Address of a service of Go Kratos over gRPC."""
    with served(go_program.with_name("peer"), "server", "go", "60000") as address:
        yield address


@pytest.fixture
def addresses(go_program: Path) -> Generator[dict[str, str]]:
    """Addresses of a service of Go Kratos, by transport."""
    with served(go_program, "server") as line:
        yield json.loads(line)


def called(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["call", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_services_of_go_are_listed_and_described_by_reflection(
    peer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, listed, _ = called(capsys, peer)
    _, described, _ = called(capsys, peer, "Peer")
    assert {"grpc.health.v1.Health", "interop.peer.v1.Peer"} <= set(listed.splitlines())
    assert "  rpc Feed(interop.peer.v1.Step) returns (stream interop.peer.v1.Seen)" in described
    assert "  map<string, string> metadata = 6" in described


@pytest.mark.parametrize(
    ("method", "data", "replies"),
    [
        ("Single", "{}", 1),
        ("Gather", "{} {}", 1),
        ("Feed", '{"replies": 3}', 3),
        ("Talk", "{} {}", 2),
    ],
)
def test_every_arity_of_go_is_called_by_reflection(
    method: str, data: str, replies: int, peer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [peer, f"Peer/{method}", data, "--json", "-H", "x-many: one", "-H", "x-many: two"]
    status, out, _ = called(capsys, *words)
    seen = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [(each["server"], each["many"]) for each in seen] == [("go", ["one", "two"])] * replies


def test_error_of_go_arrives_whole(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, told = called(capsys, peer, "Talk", '{} {"fail": 409}', "--json")
    assert status == 1
    assert len(out.splitlines()) == 1
    assert json.loads(told) == {
        "code": 409,
        "reason": "A_REASON",
        "message": "a message",
        "metadata": {"key": "value"},
        "details": [],
    }


def test_go_is_called_over_http_by_the_rules_of_its_definition(
    addresses: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    http = f"http://{addresses['http']}"
    status, out, _ = called(capsys, http, "Echo", '{"aString": "ü"}', *RULES)
    failed, _, told = called(capsys, http, "Fail", '{"code": 404}', *RULES, "--json")
    assert status == 0
    assert json.loads(out)["aString"] == "ü"
    assert failed == 1
    assert json.loads(told)["code"] == 404
