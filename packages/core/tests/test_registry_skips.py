from __future__ import annotations

import tracemalloc

import pytest

from kratos.registry import Skips


def test_bad_entry_is_logged_once_per_version(caplog: pytest.LogCaptureFixture) -> None:
    skips = Skips()
    for version in (1, 1, 2, 1):
        skips.skip("/services/a", ValueError("no JSON"), version=version)

    assert skips.count == 2
    assert [record.getMessage() for record in caplog.records] == [
        "left out /services/a: ValueError: no JSON"
    ] * 2


def test_memory_of_bad_entries_is_bounded() -> None:
    skips = Skips()
    for number in range(1025):
        skips.skip(f"/services/{number}", ValueError("no JSON"))
    assert skips.count == 1025

    skips.skip("/services/1024", ValueError("no JSON"))
    assert skips.count == 1025

    skips.skip("/services/0", ValueError("no JSON"))
    assert skips.count == 1026


def test_what_others_wrote_forges_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Skips().skip("/services/a\nERROR b\x1b[2J\ud800", ValueError("no\r\nWARN " + "x" * 9000))

    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(r"left out /services/a ERROR b\x1b[2J\ud800: ValueError: no  WARN xxx")
    assert len(line) < 2200
    assert line.isprintable()


def test_long_versions_are_not_kept() -> None:
    skips = Skips()
    tracemalloc.start()
    for number in range(100):
        skips.skip("/services/a", ValueError("no JSON"), version=f"{number} {'x' * 100_000}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000
