"""gRPC on several workers: unary calls by 64 connections, in one process and in two."""

from __future__ import annotations

import sys

from benchmarks.grpc_calls import HELLO
from benchmarks.load_frames import tally
from benchmarks.measure import Load, Subject

_OURS = "benchmarks.subjects.kratos_workers"
_RAW = "benchmarks.subjects.raw_grpc_workers"
SUBJECTS = (
    Subject(name="kratos", module=_OURS, options=("1", "grpc"), pinned=False),
    Subject(name="kratos, 1 core", module=_OURS, options=("1", "grpc")),
    Subject(name="kratos, 2 workers", module=_OURS, options=("2", "grpc"), pinned=False),
    Subject(name="raw grpc.aio", module=_RAW, options=("1",), pinned=False),
    Subject(name="raw grpc.aio, 2 processes", module=_RAW, options=("2",), pinned=False),
)

_CONNECTIONS = 64
_REQUEST = b"\x0a\x06kratos"  # HelloRequest(name="kratos")


def loads() -> list[Load]:
    """Return the one kind of request."""
    return [Load(case="unary", drive=_run)]


def _run(address: str, seconds: float) -> int:
    answers = tally(address, HELLO, _REQUEST, seconds, connections=_CONNECTIONS)
    if len(answers) > 1:
        shares = (f"{100 * answers[who] / answers.total():.0f} %" for who in sorted(answers))
        print(f"calls {' : '.join(shares)}", file=sys.stderr)
    return answers.total()
