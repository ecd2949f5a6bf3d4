"""HTTP/JSON on several workers: the same GET, by 64 connections, on one core and on two."""

from __future__ import annotations

import sys
from collections import Counter

from benchmarks.load_http import tally
from benchmarks.measure import Load, Subject

_MODULE = "benchmarks.subjects.kratos_workers"
SUBJECTS = (
    Subject(name="kratos", module=_MODULE, options=("0",), pinned=False),
    Subject(name="kratos, 1 worker", module=_MODULE, options=("1",), pinned=False),
    Subject(name="kratos, 2 workers", module=_MODULE, options=("2",), pinned=False),
)

_CONNECTIONS = 64
_GET = b"GET /hello/kratos HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n"


def loads() -> list[Load]:
    """Return the one kind of request."""
    return [Load(case="get", drive=_drive)]


def _drive(address: str, seconds: float) -> int:
    told = tally(address, _GET, seconds, connections=_CONNECTIONS)
    connections = Counter(body for body, _ in told)  # each worker answers with its number
    answers: Counter[bytes] = Counter()
    for body, count in told:
        answers[body] += count
    if len(connections) > 1:
        print(f"connections {_shares(connections)}, calls {_shares(answers)}", file=sys.stderr)
    return answers.total()


def _shares(counted: Counter[bytes]) -> str:
    return " : ".join(f"{100 * counted[body] / counted.total():.0f} %" for body in sorted(counted))
