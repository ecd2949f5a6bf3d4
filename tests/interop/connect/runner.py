"""The runner of Connect's conformance tests: what it is told, and what it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.interop.connect.plans import Known, Plan

__all__ = ["Outcome", "run", "unforeseen"]

ROOT: Final = Path(__file__).parents[3]

_FAILED: Final = re.compile(r"FAILED: (.*?):?$")
_FORESEEN: Final = re.compile(r"INFO: (.*) failed \(as expected\):$")
_TOTAL: Final = re.compile(r"Total cases: (\d+)$")


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        status: What the runner ended with; 0 if all is as it was told.
        total: How many cases there were.
        failed: What was said of each case that failed, and ought not to.
        foreseen: What was said of each case that failed, as it was told.
        log: All that it said.
    """

    status: int
    total: int
    failed: Mapping[str, Sequence[str]]
    foreseen: Mapping[str, Sequence[str]]
    log: str


async def run(program: Path, plan: Plan, *, generated: Path, folder: Path) -> Outcome:
    """Let the runner judge the program of a plan."""
    configuration = folder / "configuration.yaml"  # of which JSON is a part
    configuration.write_text(json.dumps(plan.configuration))
    command = [str(program), "--mode", plan.side, "--conf", str(configuration)]
    if plan.side == "server":
        command += ["--max-servers", "2"]  # each takes a core for a second when it starts
    for known in plan.known:
        command += ["--known-failing" if known.always else "--known-flaky", known.pattern]
    for pattern, _ in plan.skipped:
        command += ["--skip", pattern]
    tested = [sys.executable, "-m", f"tests.interop.connect.{plan.side}", "--engine", plan.engine]
    environment = {**os.environ, "PYTHONPATH": str(generated)}
    # The runner gives a program ten seconds to start: what it imports is compiled before.
    importing = f"import tests.interop.connect.{plan.side}"
    warming = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", importing), cwd=ROOT, env=environment
    )
    assert await warming.wait() == 0
    process = await asyncio.create_subprocess_exec(
        *command,
        "--",
        *tested,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode is not None
    return _read(process.returncode, said.decode())


@dataclass
class _Reading:
    failed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    foreseen: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    total: int = 0


def _read(status: int, log: str) -> Outcome:
    reading = _Reading()
    lines: list[str] = []
    # Go's protobuf writes one blank or the other, by the build, lest anybody rely on its texts.
    for line in log.replace("\xa0", " ").splitlines():
        if found := _FAILED.match(line):
            lines = reading.failed.setdefault(found[1], [])
        elif found := _FORESEEN.match(line):
            lines = reading.foreseen.setdefault(found[1], [])
        elif found := _TOTAL.match(line):
            reading.total = int(found[1])
        elif line.startswith("\t") and not line.isspace():
            # Empty is the last line where it has something to say of the wire, and all else held.
            lines.append(line.strip().removeprefix("; "))
    return Outcome(status, reading.total, reading.failed, reading.foreseen, log)


def unforeseen(outcome: Outcome, known: Iterable[Known]) -> dict[str, list[str]]:
    """Return what was said of cases that were known to fail, but not for what was said."""
    allowed = [(_expression(each.pattern), each.says) for each in known]
    found: dict[str, list[str]] = {}
    for name, lines in outcome.foreseen.items():
        says = {
            text for pattern, texts in allowed if pattern.fullmatch(f"{name}/") for text in texts
        }
        other = [line for line in lines if not any(re.fullmatch(text, line) for text in says)]
        if other:
            found[name] = other
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    """Return what matches the names that a pattern of the runner does, a slash after each."""
    parts = {"**": "(?:[^/]+/)*", "*": "[^/]+/"}
    text = "".join(parts.get(each, re.escape(each) + "/") for each in pattern.split("/"))
    return re.compile(text)
