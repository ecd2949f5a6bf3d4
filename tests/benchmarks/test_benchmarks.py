"""The benchmarks run; what they measure is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks import grpc, http
from benchmarks.load_grpc import Kind, generator
from benchmarks.measure import Subject, present, serving

ROOT = Path(__file__).parents[2]


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize(
    ("bench", "unit", "rivals"),
    [
        ("workers", "us_cpu_per_request", {"kratos, 1 worker", "kratos, 2 workers"}),
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


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores")
def test_bench_of_clients_has_ours_where_no_rival_is_installed() -> None:
    command = [sys.executable, "-m", "benchmarks", "client", "--json", "--seconds=0.1"]
    command.append("--rounds=1")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ours = {"kratos", "kratos, connections", "kratos, messages", "no client at all"}
    assert {(row["case"], row["subject"]) for row in rows} >= {
        (case, subject) for case in ("get", "order") for subject in ours
    }
    assert all(row["bench"] == "client" and row["value"] > 0 for row in rows)


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
def test_bench_of_http_races_all_rivals_that_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # without Go, whose program takes minutes to build
    command = [sys.executable, "-m", "benchmarks", "http", "--json", "--seconds=0.1", "--rounds=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    racing = {subject.name for subject in present(http.SUBJECTS)}
    assert racing >= {"kratos", "kratos-on-uvicorn", "raw-uvicorn", "fastapi", "starlette"}
    assert {(row["case"], row["subject"]) for row in rows} == {
        (case, subject) for case in ("get", "order") for subject in racing
    }
    assert all(row["value"] > 0 and row["rate"] > 0 for row in rows)


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
def test_bench_of_grpc_races_servers_and_clients_that_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # without Go, whose program takes minutes to build
    command = [sys.executable, "-m", "benchmarks", "grpc", "--json", "--seconds=0.1", "--rounds=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    racing = {subject.name for subject in present(grpc.SUBJECTS)}
    assert racing >= {"kratos-grpcio", "grpc.aio", "grpcio-sync"}
    found = {(row["case"], row["subject"]) for row in rows}
    assert found >= {(case, subject) for case in ("unary", "stream") for subject in racing}
    assert found >= {
        (case, subject)
        for case in ("client-unary", "client-stream")
        for subject in ("kratos-grpcio", "grpc.aio")
    }
    units = {row["case"]: row["unit"] for row in rows}
    assert units["unary"] == units["client-unary"] == "us_cpu_per_request"
    assert units["stream"] == units["client-stream"] == "us_cpu_per_message"
    assert all(row["value"] > 0 for row in rows)


@pytest.mark.go
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores")
@pytest.mark.parametrize("kind", ["unary", "stream"])
@pytest.mark.parametrize("transport", ["grpc", "grpc-kratos"])
def test_program_in_go_serves_and_makes_the_load(kind: Kind, transport: str) -> None:
    server = Subject(
        name="go", module="benchmarks.subjects.go_server", options=(transport,), patience=170
    )
    with serving(server, [ROOT]) as address:
        assert generator(kind)(address, 0.05) > 0


def test_subject_that_lacks_something_is_left_out_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = Subject(name="here", module="here", needs=("json",))
    lacking = Subject(name="lacking", module="x", needs=("no_module",), tools=("no-tool",))
    assert present([here, lacking]) == [here]
    assert capsys.readouterr().err == "left out: lacking needs no_module, no-tool\n"


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="servers are bound to cores")
def test_limiter_of_an_overloaded_server_refuses_something() -> None:
    command = [sys.executable, "-m", "benchmarks", "overload", "--json", "--seconds=1"]
    command.append("--only=waits,http,5x,gradient2")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["bench"] == "overload"
    assert (row["work"], row["transport"], row["load"]) == ("waits", "http", "5x")
    assert row["protection"] == "gradient2"
    assert row["refused"] > 0
    assert row["goodput"] > 0


@pytest.mark.bench
@pytest.mark.slow
def test_bench_of_json_compares_what_is_installed() -> None:
    command = [sys.executable, "-m", "benchmarks", "json", "--json", "--seconds=0.1"]
    command.append("--rounds=1")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    subjects = {"json_format", "plans"}
    if find_spec("kratos_protojson_native") is not None:
        subjects.add("rust")
    sizes = ("order1", "order10", "4mib")
    cases = {f"{verb}-{size}" for verb in ("print", "parse") for size in sizes}
    assert {(row["case"], row["subject"]) for row in rows} == {
        (case, subject) for case in cases for subject in subjects
    }
    assert all(row["value"] > 0 and row["unit"] == "us_cpu_per_op" for row in rows)
