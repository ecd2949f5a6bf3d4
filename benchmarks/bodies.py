"""Memory that large bodies take: ``python -m benchmarks.bodies [--mib N] [--json]``.

A server process of each engine sends and takes bodies of N MiB, through plain handlers and through
services with ``google.api.HttpBody``, once also as a form. The figure is the peak of resident
memory during one transfer, beyond what the process had before it, for the server and for the
client. The client of services is our own, in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from benchmarks.memory import Memory
from benchmarks.subjects.bodies import FILL, READ, WRITE
from kratos import Client

__all__ = ["CASES", "ENGINES", "Transfer", "measured"]

ENGINES: Final = ("own", "asgi")
_ROOT: Final = Path(__file__).parent.parent
_PIECE: Final = bytes(64 * 1024)
_MIB: Final = 1024 * 1024
_WARM_UP: Final = 8 * _MIB

_Move: TypeAlias = Callable[[str, int], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One measurement.

    Attributes:
        engine: Of the server.
        case: What was moved, and which way.
        mib: How much of it.
        server_mib: Memory of the server beyond what it had before, at its peak.
        client_mib: Memory of the client.
        seconds: How long it took.
    """

    engine: str
    case: str
    mib: int
    server_mib: float
    client_mib: float
    seconds: float


async def _plain_download(port: str, size: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(f"GET /plain/{size} HTTP/1.0\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    got = 0
    while data := await reader.read(256 * 1024):
        got += len(data)
    writer.close()
    return got


async def _plain_upload(port: str, size: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    head = f"POST /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode())
    for _ in range(size // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return int(json.loads(answer.rpartition(b"\r\n\r\n")[2]))


async def _download(port: str, size: int) -> int:
    got = 0
    async with Client(f"http://127.0.0.1:{port}") as client:
        request = StringValue(value=str(size))
        async with client.server_stream(READ, request, None) as replies:
            async for reply in replies:
                got += len(reply.data)
    return got


async def _upload(port: str, size: int) -> int:
    pieces = _bodies(size, lambda data: HttpBody(content_type="video/mp4", data=data))
    async with Client(f"http://127.0.0.1:{port}") as client:
        return int((await client.client_stream(WRITE, pieces, None)).value)


async def _form_upload(port: str, size: int) -> int:
    pieces = _bodies(size, lambda data: BytesValue(value=data))
    async with Client(f"http://127.0.0.1:{port}") as client:
        return int((await client.client_stream(FILL, pieces, None)).value)


async def _bodies(size: int, make: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    for _ in range(size // len(_PIECE)):
        yield make(_PIECE)


CASES: Final[dict[str, _Move]] = {
    "plain download": _plain_download,
    "plain upload": _plain_upload,
    "HttpBody download": _download,
    "HttpBody upload": _upload,
    "form upload": _form_upload,
}


def measured(engine: str, case: str, *, mib: int) -> Transfer:
    """Move a body and return what that took.

    Args:
        engine: Of the server; one of ``ENGINES``.
        case: One of ``CASES``.
        mib: Its size.

    Raises:
        RuntimeError: Not all of it arrived.
    """
    return asyncio.run(_measured(engine, case, mib))


async def _measured(engine: str, case: str, mib: int) -> Transfer:
    move, size = CASES[case], mib * _MIB
    with _serving(engine) as (process, port):
        await move(port, _WARM_UP)  # what buffers and caches grow to anyway
        server, client = Memory(process), Memory("self")
        begun = time.perf_counter()
        got = await move(port, size)
        seconds = time.perf_counter() - begun
        if got != size:
            raise RuntimeError(f"{case}, {engine}: {got} of {size} bytes arrived")
        return Transfer(
            engine=engine,
            case=case,
            mib=mib,
            server_mib=server.extra(),
            client_mib=client.extra(),
            seconds=seconds,
        )


@contextmanager
def _serving(engine: str) -> Generator[tuple[str, str]]:
    """Run a server, and yield its process id and port."""
    command = [sys.executable, "-m", "benchmarks.subjects.bodies", engine]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None, "it is a pipe"
            yield str(process.pid), process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    """Measure every case on every engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of each body")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    for engine in ENGINES:
        for case in CASES:
            found = measured(engine, case, mib=options.mib)
            if options.json:
                print(json.dumps({"bench": "bodies", **asdict(found)}), flush=True)
                continue
            print(
                f"{engine:5} {case:18} {found.mib} MiB: server +{found.server_mib:.1f} MiB, "
                f"client +{found.client_mib:.1f} MiB, {found.mib / found.seconds:.0f} MiB/s",
                flush=True,
            )


if __name__ == "__main__":
    main()
