"""Measure all clients in turn against one server, each in a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from benchmarks.client import rivals
from benchmarks.client.case import CASES
from benchmarks.cores import take_first_core
from benchmarks.measure import Result, Subject, serving

__all__ = ["Asked", "against", "race"]

_SERVER = Subject(name="kratos", module="benchmarks.subjects.kratos_server", options=("http",))
_OURS = {"benchmarks", "kratos", "kratos_grpc", "kratos_http", "bench"}

Command: TypeAlias = Callable[[str, str, float], list[str]]
"""Case, address and seconds of a client, to a command that prints as ``drive`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One case of a race.

    Attributes:
        case: What rivals call it.
        name: As printed.
        unit: Of the figure.
        messages: That come by one asking.
    """

    case: str
    name: str
    unit: str = "us_cpu_per_request"
    messages: int = 1


def against(*, rounds: int, seconds: float, path: Sequence[Path]) -> list[Result]:
    """Measure everything; each subject and case for so many seconds a round."""
    cases = [Asked(case=case, name=case) for case in CASES]
    return race("client", rivals, cases, _SERVER, rounds=rounds, seconds=seconds, path=path)


def race(
    bench: str,
    package: ModuleType,
    cases: Sequence[Asked],
    server: Subject,
    *,
    rounds: int,
    seconds: float,
    path: Sequence[Path],
) -> list[Result]:
    """Measure all clients of a package in turn, against one server.

    A module of the package has ``SUBJECTS``, from name to what opens the client. One that needs a
    program besides names it in ``TOOLS``, one that cannot do everything what it can in ``CASES``,
    and one that is no Python has ``command``.
    """
    sys.path[:0] = [str(each) for each in path]
    found = list(_subjects(package))
    results = {
        (asked, subject): Result(bench, asked.name, subject, unit=asked.unit)
        for asked in cases
        for module, subject in found
        if _takes(module, asked)
    }
    with serving(server, path) as address:
        for number in range(rounds):
            for asked in cases:
                for module, subject in found:
                    if not _takes(module, asked):
                        continue
                    _round(results[asked, subject], module, asked, address, seconds, path)
            print(f"round {number + 1} of {rounds} of clients done", file=sys.stderr)
    return list(results.values())


def _subjects(package: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield module and subject; a module that lacks something is named and left out."""
    for found in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{found.name}"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in _OURS:
                raise
            print(f"left out {found.name}: {error}", file=sys.stderr)
            continue
        missing = [tool for tool in getattr(module, "TOOLS", ()) if shutil.which(tool) is None]
        if missing:
            print(f"left out {found.name}: it needs {', '.join(missing)}", file=sys.stderr)
            continue
        for subject in module.SUBJECTS:
            yield name, subject


def _takes(module: str, asked: Asked) -> bool:
    return asked.case in getattr(sys.modules[module], "CASES", (asked.case,))


def _round(
    result: Result,
    module: str,
    asked: Asked,
    address: str,
    seconds: float,
    path: Sequence[Path],
) -> None:
    roots = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        _command(module, result.subject, asked.case, address, seconds),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))},
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=take_first_core,
    )
    answered, used = json.loads(done.stdout)
    result.values.append(used / (answered * asked.messages) * 1e6)
    result.rate = max(result.rate, answered * asked.messages / seconds)


def _command(module: str, subject: str, case: str, address: str, seconds: float) -> list[str]:
    """Return what asks in a process of its own; a client that is no Python says so itself."""
    own: Command | None = getattr(sys.modules[module], "command", None)
    if own is not None:
        return own(case, address, seconds)
    arguments = [module, subject, case, address, str(seconds)]
    return [sys.executable, "-m", "benchmarks.client.drive", *arguments]
