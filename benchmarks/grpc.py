"""gRPC: unary calls of one string, 32 in flight on one connection."""

from __future__ import annotations

from benchmarks.load_grpc import drive
from benchmarks.measure import Load, Subject

SUBJECTS = (
    Subject(name="kratos", module="benchmarks.subjects.kratos_server", options=("grpc",)),
    Subject(name="raw grpc.aio", module="benchmarks.subjects.grpc_aio_raw"),
)

_REQUEST = b"\x0a\x06kratos"  # HelloRequest(name="kratos")


def loads() -> list[Load]:
    """Return the kinds of requests."""
    return [
        Load(
            case="unary",
            drive=lambda address, seconds: drive(address, "/bench.Bench/Hello", _REQUEST, seconds),
        )
    ]
