"""Loads by programs that others wrote: wrk for HTTP, ghz for gRPC. Both are used where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.load_open import PATIENCE, Tally

__all__ = ["Tool", "tool_for"]

_PROTO: Final = Path(__file__).parent / "proto"
_WRK_CONNECTIONS: Final = 200

# wrk knows latencies of all answers together only, so that those of the good ones are not told.
_WRK_SCRIPT: Final = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() good = 0; refused = 0; late = 0; failed = 0 end
function response(status)
  if status == 200 then good = good + 1
  elseif status == 429 then refused = refused + 1
  elseif status == 504 then late = late + 1
  else failed = failed + 1 end
end
function done(summary)
  local sum = {good = 0, refused = 0, late = summary.errors.timeout, failed = 0}
  for _, thread in ipairs(threads) do
    for name, count in pairs(sum) do sum[name] = count + (thread:get(name) or 0) end
  end
  print(string.format('{"good": %d, "refused": %d, "late": %d, "failed": %d, "seconds": %f}',
    sum.good, sum.refused, sum.late, sum.failed, summary.duration / 1e6))
end
"""

Drive: TypeAlias = Callable[[str, float, float], Tally]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that makes load.

    Attributes:
        name: What it does, for a table.
        drive: Loads an address at a rate, for some seconds; wrk knows no rate.
    """

    name: str
    drive: Drive


def tool_for(transport: str) -> Tool | None:
    """Return what loads a transport; ``None`` if it is not installed."""
    name = {"http": "wrk", "grpc": "ghz"}[transport]
    program = os.environ.get(f"KRATOS_{name.upper()}") or shutil.which(name)
    if program is None:
        return None
    if name == "wrk":
        connections = f"wrk {_WRK_CONNECTIONS} connections"
        return Tool(connections, lambda address, _rate, seconds: _wrk(program, address, seconds))
    return Tool("ghz", lambda address, rate, seconds: _ghz(program, address, rate, seconds))


def _wrk(program: str, address: str, seconds: float) -> Tally:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_SCRIPT)
        script.flush()
        out = _output(
            program,
            *("--threads", "2", "--connections", str(_WRK_CONNECTIONS)),
            *("--duration", f"{max(1, round(seconds))}s", "--timeout", f"{PATIENCE:g}s"),
            *("--script", script.name, f"http://{address}/hello/kratos"),
        )
    found = json.loads(out.splitlines()[-1])
    return Tally(
        found["seconds"],
        counted=found["good"],
        refused=found["refused"],
        late=found["late"],
        failed=found["failed"],
    )


def _ghz(program: str, address: str, rate: float, seconds: float) -> Tally:
    out = _output(
        program,
        *("--insecure", "--async", "--rps", str(round(rate)), "--duration", f"{seconds:g}s"),
        *("--concurrency", "100", "--connections", "4", "--timeout", f"{PATIENCE:g}s"),
        *("--duration-stop", "wait", "--format", "json", "--data", '{"name": "kratos"}'),
        *("--proto", str(_PROTO / "bench" / "bench.proto"), "--call", "bench.Bench/Hello"),
        *("--import-paths", f"{_PROTO},{sysconfig.get_path('purelib')}", address),
    )
    tally = Tally(seconds)
    codes = {"OK": 200, "ResourceExhausted": 429, "DeadlineExceeded": 504, "Unavailable": 503}
    for call in json.loads(out)["details"]:
        tally.add(codes.get(call["status"], 500), call["latency"] / 1e9)
    return tally


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout
