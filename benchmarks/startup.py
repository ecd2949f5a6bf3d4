"""How long a fresh interpreter needs for an import, beyond its own start."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import Result

__all__ = ["measured"]

# What a program of each framework imports before anything else; protobuf is in all of ours.
_PROGRAMS = {
    ("bare", "kratos"): "import kratos",
    ("app", "kratos"): "from kratos import App, Client, Service",
    ("app", "fastapi"): "from fastapi import FastAPI",
    ("app", "grpc.aio"): "import grpc.aio",
    ("app", "protobuf alone"): "import google.protobuf.message",
}
_TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Import everything in turn, round by round; the first round fills the bytecode cache."""
    del seconds  # an import takes as long as it takes
    results = {key: Result("import", *key, unit="ms_per_import") for key in _PROGRAMS}
    for number in range(rounds + 1):
        for key, program in _PROGRAMS.items():
            done = subprocess.run(
                [sys.executable, "-c", _TIMED.format(program)],
                capture_output=True,
                check=True,
                text=True,
            )
            if number > 0:
                results[key].values.append(float(done.stdout) * 1000)
    return list(results.values())
