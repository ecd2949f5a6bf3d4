from __future__ import annotations

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
