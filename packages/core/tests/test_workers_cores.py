"""How many cores there are for workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kratos.workers import available_cores
from kratos.workers._cores import quota_of


@pytest.fixture(autouse=True)
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def affinity(_process: int) -> set[int]:
        return set(range(64))

    monkeypatch.setattr(os, "sched_getaffinity", affinity, raising=False)


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 64),
        ("100000 100000", 1),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("400000 100000", 4),
        ("12800000 100000", 64),
        ("nonsense", 64),
        ("", 64),
    ],
)
def test_limit_of_a_container_counts(tmp_path: Path, limit: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(limit, encoding="ascii")
    assert available_cores(tmp_path) == cores


def test_limit_of_control_groups_of_version_1_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n", encoding="ascii")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="ascii")
    assert available_cores(tmp_path) == 3


def test_without_control_groups_all_cores_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == 64


def test_no_limit_and_no_sense_are_told_from_a_limit() -> None:
    assert quota_of("-1", "100000") is None
    assert quota_of("max", "100000") is None
    assert quota_of("100000", "0") is None
    assert quota_of("300000", "100000") == 3
