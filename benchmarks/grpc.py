"""gRPC on one connection: unary calls, server streams, and clients; against the field."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.client import grpc_rivals
from benchmarks.client.run import Asked, race
from benchmarks.grpc_calls import COUNTED
from benchmarks.load_grpc import generator
from benchmarks.measure import Load, Result, Subject, run

__all__ = ["SUBJECTS", "against"]

_BENCH: Final = "grpc"
_PER_MESSAGE: Final = "us_cpu_per_message"
_RAW: Final = "benchmarks.subjects.grpc_aio_raw"
_GO: Final = "benchmarks.subjects.go_server"


def _in_go(name: str, transport: str) -> Subject:
    # Patience, since the first time it is compiled.
    return Subject(name=name, module=_GO, options=(transport,), tools=("go",), patience=600)


_GO_SERVER: Final = _in_go("grpc-go", "grpc")
_RAW_SERVER: Final = Subject(name="grpc.aio", module=_RAW, options=("uvloop",))

SUBJECTS: Final = (
    Subject(name="kratos-grpcio", module="benchmarks.subjects.kratos_server", options=("grpc",)),
    _RAW_SERVER,
    Subject(name="grpc.aio-asyncio", module=_RAW, options=("asyncio",)),
    Subject(name="grpcio-sync", module="benchmarks.subjects.grpcio_sync"),
    Subject(name="grpclib", module="benchmarks.subjects.grpclib_server", needs=("grpclib",)),
    Subject(
        name="connect-python",
        module="benchmarks.subjects.connect_on_pyvoy",
        needs=("connectrpc", "pyvoy"),
    ),
    _GO_SERVER,
    _in_go("go-kratos", "grpc-kratos"),
)


def against(*, rounds: int, seconds: float, path: Sequence[Path]) -> list[Result]:
    """Measure all servers, then all clients; each for so many seconds a round."""
    loads = [
        Load(case="unary", drive=generator("unary")),
        Load(case="stream", drive=generator("stream"), unit=_PER_MESSAGE),
    ]
    servers = run(_BENCH, SUBJECTS, loads, seconds=seconds, rounds=rounds, path=path)
    server = _RAW_SERVER if shutil.which("go") is None else _GO_SERVER
    cases = [
        Asked(case="unary", name="client-unary"),
        Asked(case="stream", name="client-stream", unit=_PER_MESSAGE, messages=COUNTED),
    ]
    return servers + race(
        _BENCH, grpc_rivals, cases, server, rounds=rounds, seconds=seconds, path=path
    )
