"""The benchmarks run; what they measure is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks import grpc, http
from benchmarks.load_go import GoKind, by_go, one_long_stream
from benchmarks.measure import Load, Result, Subject, present, report, serving

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
def test_bench_of_metrics_has_ours_where_no_rival_is_installed() -> None:
    command = [sys.executable, "-m", "benchmarks", "metrics", "--json", "--seconds=0.02"]
    done = subprocess.run(
        [*command, "--rounds=1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ours = {(row["case"], row["subject"]) for row in rows if row["subject"] == "kratos"}
    assert {case for case, _ in ours} == {
        "call",
        "count",
        "longest hold, telling 10000 histograms",
        "observe",
        "snapshot of 10000 histograms",
    }
    assert all(row["unit"] == "ns_per_call" and row["value"] > 0 for row in rows)


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
    unary = ("unary", "unary-32-connections", "unary-1-in-flight", "unary-deadline")
    assert found >= {(case, subject) for case in unary for subject in racing}
    assert found >= {("stream", subject) for subject in racing - {"http2-floor"}}
    assert found >= {("stream-messages", "kratos-grpcio"), ("stream-messages", "grpc.aio")}
    assert found >= {
        (case, subject)
        for case in ("client", "client-stream")
        for subject in ("kratos-grpcio", "grpc.aio")
    }
    units = {row["case"]: row["unit"] for row in rows}
    assert units["unary"] == units["client"] == "us_cpu_per_request"
    assert units["stream-messages"] == units["client-stream"] == "us_cpu_per_message"
    assert all(row["value"] > 0 and row["to"]["grpc.aio"] > 0 for row in rows)


@pytest.mark.bench
@pytest.mark.slow
def test_bench_of_http2_has_each_case_together_and_one_at_a_time() -> None:
    command = [sys.executable, "-m", "benchmarks", "http2", "--json", "--rounds=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(row["case"], row["subject"]) for row in rows} == {
        (f"{case}, {size} at once", subject)
        for case in ("unary", "unary-deadline", "connect-json", "rest")
        for size in (1, 32)
        for subject in ("kratos", "http2-floor")
    }
    assert all(row["unit"] == "us_per_request" and row["value"] > 0 for row in rows)


@pytest.mark.go
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores")
@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        ("unary", "grpc"),
        ("unary", "grpc-kratos"),
        ("unary-deadline", "grpc"),
        ("stream", "grpc"),
        ("rest-h1", "http"),
        ("rest-h2", "http"),
    ],
)
def test_program_in_go_serves_and_makes_the_load(kind: GoKind, transport: str) -> None:
    server = Subject(
        name="go", module="benchmarks.subjects.go_server", options=(transport,), patience=170
    )
    with serving(server, [ROOT]) as address:
        assert by_go(kind)(address, 0.05) > 0
        assert by_go(kind, in_flight=4, connections=2)(address, 0.05) > 0


@pytest.mark.go
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores")
def test_long_stream_has_as_many_messages_as_were_asked_for() -> None:
    server = Subject(
        name="go", module="benchmarks.subjects.go_server", options=("grpc",), patience=170
    )
    with serving(server, [ROOT]) as address:
        assert one_long_stream(address, 12_345) == 12_345


def test_ratio_goes_round_by_round() -> None:
    ours = Result("grpc", "unary", "kratos", values=[20.0, 40.0, 15.0])
    theirs = Result("grpc", "unary", "grpc-go", values=[10.0, 20.0, 30.0])
    assert ours.ratio(theirs) == 2.0


def test_report_has_the_ratios_to_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        Result("grpc", "unary", "kratos", values=[20.0]),
        Result("grpc", "unary", "grpc-go", values=[10.0]),
        Result("grpc", "rest-h2", "kratos", values=[30.0]),
    ]
    report(results, as_json=True, baselines=("grpc-go",))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["to"] for row in rows] == [{"grpc-go": 2.0}, {"grpc-go": 1.0}, {}]
    report(results, as_json=False, baselines=("grpc-go",))
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("to grpc-go")
    assert [line.split()[-1] for line in lines] == ["1.00", "2.00", "1.00"]


def test_load_is_for_the_subjects_that_it_names() -> None:
    everybody = Load(case="unary", drive=by_go("unary"))
    one = Load(case="rest-h2", drive=by_go("rest-h2"), subjects=("kratos",))
    rival = Subject(name="rival", module="x")
    assert everybody.takes(rival)
    assert not one.takes(rival)


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
