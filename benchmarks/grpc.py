"""gRPC, Connect and REST over HTTP/2: unary calls, streams, and clients; against the field."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import load_grpc
from benchmarks.client import grpc_rivals
from benchmarks.client.run import Asked, race
from benchmarks.grpc_calls import COUNTED
from benchmarks.load_go import by_go, one_long_stream
from benchmarks.measure import Load, Result, Subject, run

__all__ = ["BASELINES", "SUBJECTS", "against", "loads"]

BASELINES: Final = ("grpc-go", "grpc.aio")
"""What all are compared with, besides ours."""

_BENCH: Final = "grpc"
_PER_MESSAGE: Final = "us_cpu_per_message"
_MESSAGES: Final = 500_000  # of the long stream, for each second that a round shall last
_KRATOS: Final = "benchmarks.subjects.kratos_server"
_RAW: Final = "benchmarks.subjects.grpc_aio_raw"
_GO: Final = "benchmarks.subjects.go_server"


def _in_go(name: str, transport: str) -> Subject:
    # Patience, since the first time it is compiled.
    return Subject(name=name, module=_GO, options=(transport,), tools=("go",), patience=600)


_GO_SERVER: Final = _in_go("grpc-go", "grpc")
_RAW_SERVER: Final = Subject(name="grpc.aio", module=_RAW, options=("uvloop",))

_SERVERS: Final = (
    Subject(name="kratos", module=_KRATOS, options=("one-port",)),
    Subject(name="kratos-grpc-alone", module=_KRATOS, options=("grpc",)),
    Subject(name="kratos-grpcio", module=_KRATOS, options=("grpcio",)),
    _RAW_SERVER,
    Subject(name="grpc.aio-asyncio", module=_RAW, options=("asyncio",)),
    Subject(name="grpcio-sync", module="benchmarks.subjects.grpcio_sync"),
    Subject(name="grpclib", module="benchmarks.subjects.grpclib_server", needs=("grpclib",)),
    Subject(
        name="connect-python",
        module="benchmarks.subjects.connect_on_pyvoy",
        needs=("connectrpc.server", "pyvoy"),
    ),
    _GO_SERVER,
    _in_go("go-kratos", "grpc-kratos"),
)
_FLOOR: Final = Subject(
    name="http2-floor", module="benchmarks.subjects.http2_floor", needs=("kratos_http2",)
)
_OF_REST: Final = (_in_go("go-kratos-http", "http"),)
SUBJECTS: Final = (*_SERVERS, _FLOOR, *_OF_REST)

_GRPC: Final = tuple(subject.name for subject in _SERVERS)
_UNARY: Final = (*_GRPC, _FLOOR.name)
_LONG: Final = ("kratos", "kratos-grpcio", "grpc.aio", "grpc-go")
_REST: Final = ("kratos", "go-kratos-http")
_CONNECT: Final = ("kratos", "connect-python")


def loads() -> list[Load]:
    """Return the kinds of requests; those that only the program in Go makes, where it is."""
    if shutil.which("go") is None:
        print("no Go: grpc.aio makes the load, and none of REST and Connect", file=sys.stderr)
        return _by_grpc_aio()
    return [
        Load(case="unary", drive=by_go("unary"), subjects=_UNARY),
        Load(case="unary-32-connections", drive=by_go("unary", connections=32), subjects=_UNARY),
        Load(case="unary-1-in-flight", drive=by_go("unary", in_flight=1), subjects=_UNARY),
        Load(case="unary-deadline", drive=by_go("unary-deadline"), subjects=_UNARY),
        Load(case="stream", drive=by_go("stream"), unit=_PER_MESSAGE, subjects=_GRPC),
        Load(
            case="stream-messages",
            drive=lambda address, seconds: one_long_stream(address, _messages(seconds)),
            unit=_PER_MESSAGE,
            subjects=_LONG,
        ),
        Load(case="connect-json", drive=by_go("connect-json"), subjects=_CONNECT),
        Load(case="rest-h2", drive=by_go("rest-h2"), subjects=_REST),
        Load(case="rest-h1", drive=by_go("rest-h1"), subjects=_REST),
    ]


def _by_grpc_aio() -> list[Load]:
    hello = load_grpc.drive_hello
    return [
        Load(case="unary", drive=hello(), subjects=_UNARY),
        Load(case="unary-32-connections", drive=hello(connections=32), subjects=_UNARY),
        Load(case="unary-1-in-flight", drive=hello(in_flight=1), subjects=_UNARY),
        Load(case="unary-deadline", drive=hello(deadline=True), subjects=_UNARY),
        Load(case="stream", drive=load_grpc.drive_streams, unit=_PER_MESSAGE, subjects=_GRPC),
        Load(
            case="stream-messages",
            drive=lambda address, seconds: load_grpc.one_long_stream(address, _messages(seconds)),
            unit=_PER_MESSAGE,
            subjects=_LONG,
        ),
    ]


def _messages(seconds: float) -> int:
    """Return how many messages one stream has: a million in a round of two seconds."""
    return max(1, int(_MESSAGES * seconds))


def against(
    *, rounds: int, seconds: float, path: Sequence[Path], only: Sequence[str] = ()
) -> list[Result]:
    """Measure all servers, then all clients; each for so many seconds a round.

    Args:
        rounds: How many count.
        seconds: Of one round.
        path: Where generated code is.
        only: Cases; all if there is none.
    """
    chosen = [load for load in loads() if not only or load.case in only]
    servers = run(_BENCH, SUBJECTS, chosen, seconds=seconds, rounds=rounds, path=path)
    server = _RAW_SERVER if shutil.which("go") is None else _GO_SERVER
    cases = [
        Asked(case="unary", name="client"),
        Asked(case="stream", name="client-stream", unit=_PER_MESSAGE, messages=COUNTED),
    ]
    asked = [case for case in cases if not only or case.name in only]
    return servers + race(
        _BENCH, grpc_rivals, asked, server, rounds=rounds, seconds=seconds, path=path
    )
