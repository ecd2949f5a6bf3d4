"""Measure all clients in turn against one server, each in a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.client import rivals
from benchmarks.client.case import CASES
from benchmarks.measure import Result, Subject, serving

__all__ = ["against"]

_SERVER = Subject(name="kratos", module="benchmarks.subjects.kratos_server", options=("http",))
_OURS = {"benchmarks", "kratos", "kratos_http", "bench"}


def against(*, rounds: int, seconds: float, path: Sequence[Path]) -> list[Result]:
    """Measure everything; each subject and case for so many seconds a round."""
    sys.path[:0] = [str(each) for each in path]
    found = list(_subjects())
    results = {
        (case, subject): Result("client", case, subject) for case in CASES for _, subject in found
    }
    with serving(_SERVER, path) as address:
        for number in range(rounds):
            for case in CASES:
                for module, subject in found:
                    _round(results[case, subject], module, address, seconds, path)
            print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return list(results.values())


def _subjects() -> Iterator[tuple[str, str]]:
    """Yield module and subject; a module whose package is missing is named and left out."""
    for found in pkgutil.iter_modules(rivals.__path__):
        try:
            module = importlib.import_module(f"{rivals.__name__}.{found.name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in _OURS:
                raise
            print(f"left out {found.name}: {error}", file=sys.stderr)
            continue
        for subject in module.SUBJECTS:
            yield found.name, subject


def _round(result: Result, module: str, address: str, seconds: float, path: Sequence[Path]) -> None:
    roots = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    arguments = [module, result.subject, result.case, address, str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client.drive", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))},
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=_take_the_first_core,
    )
    answered, used = json.loads(done.stdout)
    result.values.append(used / answered * 1e6)
    result.rate = max(result.rate, answered / seconds)


def _take_the_first_core() -> None:
    """Keep away from the server, which has the second one."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
