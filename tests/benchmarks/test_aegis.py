"""The benchmark of aegis runs, also where no rival is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.environments import environment

ROOT = Path(__file__).parents[2]

UNITS = {"ns_per_call", "bytes_per_key", "mb_grown"}
CASES = {
    "bbr",
    "breaker",
    "breaker-async",
    "breaker-async-with",
    "breaker-decorated",
    "breaker-rejecting",
    "breaker-with",
    "concurrency",
    "concurrency-async",
    "fixed-window",
    "gcra",
    "memory-breaker",
    "memory-limiter",
    "retry",
    "retry-async",
    "sliding-window",
    "token-bucket",
    "token-bucket-async",
    "topk",
}


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
def test_each_case_has_ours_in_it() -> None:
    command = [sys.executable, "-m", "benchmarks", "aegis", "--json", "--seconds=0.05"]
    done = subprocess.run(
        [*command, "--rounds=1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]

    ours = {row["case"] for row in rows if row["subject"] == "kratos"}
    assert ours == {row["case"] for row in rows} == CASES | {"keys-250000"}
    assert {row["bench"] for row in rows} == {"aegis"}
    assert {row["unit"] for row in rows} == UNITS
    assert all(row["value"] > 0 for row in rows if row["unit"] != "mb_grown")


def test_bench_runs_where_its_rivals_are() -> None:
    assert environment(["--json", "aegis"]) == "bench-aegis"
    assert environment(["http", "--json"]) == "bench-http"
    assert environment(["gateway", "--json"]) == "bench-gateway"
    assert environment(["grpc", "--json"]) == "bench-grpc"
    assert environment(["metrics"]) == "bench-metrics"
    assert environment(["select", "--json"]) == "test"
    assert environment([]) == "test"
