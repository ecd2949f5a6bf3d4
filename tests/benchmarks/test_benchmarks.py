"""The benchmarks run; what they measure is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize(
    ("bench", "unit", "rivals"),
    [
        ("http", "us_cpu_per_request", {"raw uvicorn", "fastapi on uvicorn", "kratos on uvicorn"}),
        ("grpc", "us_cpu_per_request", {"raw grpc.aio"}),
        ("import", "ms_per_import", {"fastapi", "grpc.aio", "protobuf alone"}),
    ],
)
def test_bench_prints_one_object_for_each_case_and_subject(
    bench: str, unit: str, rivals: set[str]
) -> None:
    command = [sys.executable, "-m", "benchmarks", bench, "--json", "--seconds=0.1", "--rounds=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["subject"] for row in rows} == {"kratos", *rivals}
    for row in rows:
        assert row["bench"] == bench
        assert row["unit"] == unit
        assert row["value"] > 0
