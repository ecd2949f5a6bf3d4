"""Every target of the fuzzing holds for its seeds and some mutations; a finding is reported."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz.__main__ import TARGETS, fuzz, module_of
from tests.fuzz.cut import cut
from tests.fuzz.drive import unguided
from tests.fuzz.replies import answers

MUTATIONS = 150

BROKEN = """
SEEDS = (b"a", b"ab")
WORDS = (b"!",)


def check(data):
    assert data != b"ab", "the second seed"
"""


@pytest.mark.parametrize("target", TARGETS)
def test_target_holds_for_its_seeds_and_mutations_of_them(target: str, tmp_path: Path) -> None:
    assert unguided(module_of(target), 15.0, tmp_path, most=MUTATIONS) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_words_are_no_empty_ones(target: str) -> None:
    module: Any = import_module(module_of(target))
    assert all(module.SEEDS)
    assert all(module.WORDS)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "broken_target.py").write_text(BROKEN)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "broken_target"


def test_blind_run_writes_the_input_that_fails(broken: str, tmp_path: Path) -> None:
    findings = tmp_path / "findings"
    findings.mkdir()
    try:
        assert unguided(broken, 15.0, findings) == 1
    finally:
        del sys.modules[broken]
    assert [path.read_bytes() for path in findings.iterdir()] == [b"ab"]


@pytest.mark.slow
def test_finding_of_a_process_is_told_with_its_file(broken: str, tmp_path: Path) -> None:
    outcome = fuzz(broken, [broken], seconds=5, home=tmp_path)
    assert [path.read_bytes() for path in outcome.findings] == [b"ab"]
    assert "the second seed" in outcome.said


def test_cuts_lose_nothing_and_are_the_same_for_the_same_plan() -> None:
    data = bytes(range(256))
    for plan in (b"\0\0", b"\1\0", b"ab"):
        pieces = cut(data, plan, most=9)
        assert b"".join(pieces) == data
        assert len(pieces) <= 9
        assert cut(data, plan, most=9) == pieces


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", "1 bytes of a body are missing"),
        (b"HTTP/1.1 200 OK\r\n\r\nab", "a body without an end"),
        (b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n", "no headers"),
        (b"HTTP/1.1 99 OK\r\n\r\n", "no status line"),
        (b"HTTP/1.1 204 OK\r\nconnection: close\r\n\r\nx", "sent after the last answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk is longer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 3, "3 answers to 1 requests"),
    ],
)
def test_malformed_answers_are_seen(sent: bytes, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        answers(sent, ["GET"])
