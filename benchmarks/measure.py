"""CPU time of a server's process tree per request: a measure that noise does not move much.

Throughput on a shared machine says more about the neighbours than about the subject. CPU time
counts only what the subject's own processes used. Subjects alternate within a run, since equal
builds differ by a third between runs; what counts are the ratios inside one table.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median

__all__ = ["Load", "Result", "Subject", "free_port", "present", "report", "run", "serving"]

_OURS = ("kratos", "kratos-grpcio")  # what a table gives ratios to
_START_TIMEOUT = 120.0  # seconds; more than one starts at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server to measure.

    Attributes:
        name: As printed; ours is ``kratos``.
        module: Program that serves ``HOST:PORT`` given as its argument.
        options: Further arguments.
        pinned: Whether all of it shares one core, as is fair to what uses one.
        environment: Variables of its process.
        needs: Modules that have to be installed; without them it is left out.
        tools: Programs that have to be there; the same.
        patience: Seconds that it may take to start.
    """

    name: str
    module: str
    options: tuple[str, ...] = ()
    pinned: bool = True
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    patience: float = _START_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of request.

    Attributes:
        case: As printed.
        drive: ``drive(address, seconds)`` returns how many were answered.
        unit: Of the figure.
        subjects: Those that serve it; all if there is none.
    """

    case: str
    drive: Callable[[str, float], int]
    unit: str = "us_cpu_per_request"
    subjects: tuple[str, ...] = ()

    def takes(self, subject: Subject) -> bool:
        """Return whether a subject is measured under this load."""
        return not self.subjects or subject.name in self.subjects


@dataclass(slots=True)
class Result:
    """What one subject needed for one case, one value a round."""

    bench: str
    case: str
    subject: str
    values: list[float] = field(default_factory=list[float])
    unit: str = "us_cpu_per_request"
    rate: float = 0.0

    @property
    def value(self) -> float:
        """The least: what the subject needs when nobody disturbs it."""
        return min(self.values)

    def ratio(self, other: Result) -> float:
        """Return the median of the ratios to another, round by round.

        Two that follow each other in a round had the same neighbours on the machine.
        """
        return median(ours / theirs for ours, theirs in zip(self.values, other.values, strict=True))


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def present(subjects: Sequence[Subject]) -> list[Subject]:
    """Return the subjects that can run here, and tell which are left out and why."""
    kept: list[Subject] = []
    for subject in subjects:
        missing = [name for name in subject.needs if not _is_installed(name)]
        missing += [name for name in subject.tools if shutil.which(name) is None]
        if missing:
            print(f"left out: {subject.name} needs {', '.join(missing)}", file=sys.stderr)
        else:
            kept.append(subject)
    return kept


def _is_installed(name: str) -> bool:
    """Tell whether there is a module, which may be part of a package."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package
        return False


def run(
    bench: str,
    subjects: Sequence[Subject],
    loads: Sequence[Load],
    *,
    seconds: float,
    rounds: int,
    path: Sequence[Path],
) -> list[Result]:
    """Measure all subjects under all loads, alternating in every round."""
    subjects = present(subjects)
    running: list[tuple[Subject, str, subprocess.Popen[bytes]]] = []
    results = {
        (load.case, subject.name): Result(bench, load.case, subject.name, unit=load.unit)
        for load in loads
        for subject in subjects
        if load.takes(subject)
    }
    try:
        for subject in subjects:  # one by one: what has started is ended if the next fails
            running += [_start(subject, path)]
        for subject, address, process in running:
            _await(address, process, subject.patience)
        for number in range(rounds + 1):
            for load in loads:
                for subject, address, process in running:
                    if not load.takes(subject):
                        continue
                    result = results[load.case, subject.name]
                    _round(result, load, address, process.pid, seconds, keep=number > 0)
            print(f"round {number} of {rounds} done", file=sys.stderr)
    finally:
        for _, _, process in running:
            process.send_signal(signal.SIGTERM)
        for _, _, process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return list(results.values())


@contextmanager
def serving(subject: Subject, path: Sequence[Path]) -> Generator[str]:
    """Run one server, and yield the address that it serves on."""
    _, address, process = _start(subject, path)
    try:
        _await(address, process, subject.patience)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _round(
    result: Result, load: Load, address: str, pid: int, seconds: float, *, keep: bool
) -> None:
    before, started = _cpu(pid), time.perf_counter()
    answered = load.drive(address, seconds)
    used, took = _cpu(pid) - before, time.perf_counter() - started
    if not answered:
        raise SystemExit(f"{result.subject} answered nothing under {load.case}")
    if keep:  # the first round warms caches up
        result.values.append(used / answered * 1e6)
        result.rate = max(result.rate, answered / took)


def _start(subject: Subject, path: Sequence[Path]) -> tuple[Subject, str, subprocess.Popen[bytes]]:
    address = f"127.0.0.1:{free_port()}"
    roots = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-m", subject.module, address, *subject.options],
        env={
            **os.environ,
            **subject.environment,
            "PYTHONPATH": os.pathsep.join(filter(None, roots)),
        },
        stdout=subprocess.DEVNULL,
    )
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1 and subject.pinned:
        os.sched_setaffinity(process.pid, {cores[1]})
    return subject, address, process


def _await(address: str, process: subprocess.Popen[bytes], patience: float) -> None:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection((host, int(port)), 0.3).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args!r} does not listen on {address}")


def _cpu(pid: int) -> float:
    """Seconds of CPU that the threads of a process and its children have used.

    By the scheduler's own count, of nanoseconds: that of ``stat`` goes by ticks of 10 ms, too
    coarse for rounds that are short enough to find a quiet moment.
    """
    total = 0
    for member in _tree(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text(encoding="ascii").split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that has ended since
    return total / 1e9


def _tree(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            found += _tree(int(child))
    return found


def report(results: Sequence[Result], *, as_json: bool, baselines: Sequence[str] = ()) -> None:
    """Print one JSON object a line, or a table with ratios to ours.

    Args:
        results: What was measured.
        as_json: Whether for programs.
        baselines: Subjects that all of their case are compared with, too, round by round.
    """
    by_name = {(result.case, result.subject): result for result in results}

    def ratios(result: Result) -> dict[str, float]:
        others = ((name, by_name.get((result.case, name))) for name in baselines)
        return {name: result.ratio(other) for name, other in others if other is not None}

    if as_json:
        for result in results:
            line: dict[str, object] = {
                "bench": result.bench,
                "case": result.case,
                "subject": result.subject,
                "value": round(result.value, 2),
                "unit": result.unit,
                "median": round(median(result.values), 2),
                "rate": round(result.rate),
            }
            if baselines:
                line["to"] = {name: round(ratio, 3) for name, ratio in ratios(result).items()}
            print(json.dumps(line))
        return
    for unit in dict.fromkeys(result.unit for result in results):
        _table(unit, [result for result in results if result.unit == unit], baselines, ratios)


def _table(
    unit: str,
    results: Sequence[Result],
    baselines: Sequence[str],
    ratios: Callable[[Result], Mapping[str, float]],
) -> None:
    wide = max(8, *(len(result.case) for result in results))
    name = unit.replace("_", " ")
    digits = 1 if max(result.value for result in results) >= 10 else 2
    heads = "".join(f" {'to ' + name:>12}" for name in baselines)
    print(
        f"{'case':{wide}} {'subject':24} {name:>20} {'median':>8} {'ratio':>6} {'best/s':>9}{heads}"
    )
    for case in dict.fromkeys(result.case for result in results):
        rows = [result for result in results if result.case == case]
        ours = next((row.value for row in rows if row.subject in _OURS), None)
        for row in sorted(rows, key=lambda r: r.value):
            ratio = f"{row.value / ours:6.2f}" if ours else ""
            rate = f"{row.rate:9.0f}" if row.rate else ""
            values = f"{row.value:20.{digits}f} {median(row.values):8.{digits}f}"
            known = ratios(row)
            others = "".join(
                f" {known[name]:12.2f}" if name in known else " " * 13 for name in baselines
            )
            line = f"{case:{wide}} {row.subject:24} {values} {ratio:>6} {rate:>9}{others}"
            print(line.rstrip())
