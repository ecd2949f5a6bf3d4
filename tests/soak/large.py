"""``./hatchw run soak large [--mib N] [--json]``: one stream of gRPC each way, with a slow reader.

Whoever reads halts on the way until the sender stands still. Fails if the sender got far ahead of
its reader, if either process takes more memory than buffers explain, or if not all bytes arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from benchmarks.memory import Memory
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value
from tests.soak.giant import GIVE, HALTS, PIECE, TAKE
from tests.soak.look import number

from kratos import Client
from kratos_grpc import GrpcConnector

__all__ = ["WAYS", "large", "main"]

_MIB: Final = 1024 * 1024
_AHEAD: Final = 24.0  # MiB that windows and the buffers of two sockets hold at most
_MEMORY: Final = 32.0  # MiB that a process may take for it
_WARM: Final = 8 * _MIB  # what is made once is made
_EVERY: Final = 0.1  # seconds between two looks at a sender
_LOOKS: Final = 4  # at which it has not moved: it stands still


async def _still(moved: Callable[[], Awaitable[int]]) -> int:
    """Return how far a sender has come, once it goes no further."""
    last, same = -1, 0
    while same < _LOOKS:
        now = await moved()
        same = same + 1 if now == last else 0
        last = now
        await asyncio.sleep(_EVERY)
    return last


async def _download(client: Client, address: str, size: int) -> tuple[int, int]:
    """Return how many bytes came, and how far the server was ahead at most."""
    got = ahead = 0
    marks = [size * mark // (HALTS + 1) for mark in range(1, HALTS + 1)]
    async with client.server_stream(GIVE, Int64Value(value=size)) as replies:
        async for reply in replies:
            got += len(reply.value)
            if marks and got >= marks[0]:
                del marks[0]
                sent = await _still(lambda: _told(address, "/moved"))
                ahead = max(ahead, sent - got)
    return got, ahead


async def _upload(client: Client, address: str, size: int) -> tuple[int, int]:
    """Return how many bytes were taken, and how far this client was ahead at most."""
    sent = ahead = 0

    async def pieces() -> AsyncIterator[BytesValue]:
        nonlocal sent
        piece = BytesValue(value=PIECE)
        for _ in range(size // len(PIECE)):
            yield piece
            sent += len(PIECE)

    async def own() -> int:
        return sent

    call = asyncio.ensure_future(client.client_stream(TAKE, pieces()))
    while not call.done():
        if await _told(address, "/halted"):
            taken = await _told(address, "/moved")
            ahead = max(ahead, await _still(own) - taken)
            await _told(address, "/go")
        await asyncio.wait((call,), timeout=_EVERY)
    return (await call).value, ahead


async def _told(address: str, path: str) -> int:
    return await asyncio.to_thread(number, address, path)


WAYS: Final[dict[str, Callable[[Client, str, int], Awaitable[tuple[int, int]]]]] = {
    "download": _download,
    "upload": _upload,
}


def large(way: str, *, mib: int) -> dict[str, Any]:
    """Stream that much one way, and return what became of server and client.

    Args:
        way: One of ``WAYS``.
        mib: How much.
    """
    command = [sys.executable, "-m", "tests.soak.giant", str(mib * _MIB)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None, "it is a pipe"
            address: str = json.loads(server.stdout.readline())["address"]
            return asyncio.run(_measured(way, str(server.pid), address, mib))
        finally:
            server.terminate()
            server.wait(20)


async def _measured(way: str, process: str, address: str, mib: int) -> dict[str, Any]:
    move = WAYS[way]
    connector = GrpcConnector(engine="kratos")
    async with Client(address, transport=connector, timeout=None) as client:
        await _download(client, address, _WARM)
        server, own = Memory(process), Memory("self")
        begun = time.monotonic()
        moved, ahead = await move(client, address, mib * _MIB)
        seconds = time.monotonic() - begun
    found = {
        "way": way,
        "mib": mib,
        "seconds": round(seconds, 1),
        "ahead_mib": round(ahead / _MIB, 1),
        "server_mib": round(server.extra(), 1),
        "client_mib": round(own.extra(), 1),
    }
    return found | {"troubles": _troubles(found, moved)}


def _troubles(found: dict[str, Any], moved: int) -> list[str]:
    troubles: list[str] = []
    if moved != found["mib"] * _MIB:
        troubles.append(f"{moved} bytes arrived, not {found['mib'] * _MIB}")
    if found["ahead_mib"] > _AHEAD:
        troubles.append(f"the sender was {found['ahead_mib']} MiB ahead of its reader")
    took = {who: found[f"{who}_mib"] for who in ("server", "client")}
    return troubles + [
        f"the {who} took {mib} MiB for it" for who, mib in took.items() if mib > _MEMORY
    ]


def main(arguments: Sequence[str]) -> int:
    """Stream each way; return 1 if something took more than it may."""
    parser = argparse.ArgumentParser(prog="soak large", description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="way", help=" ".join(WAYS))
    parser.add_argument("--mib", type=int, default=1024, help="each way; 1024")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each way")
    options = parser.parse_args(arguments)
    ways: list[str] = options.ways or list(WAYS)
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        parser.error(f"ways are {', '.join(WAYS)}, not {', '.join(unknown)}")
    if options.mib < 1:
        parser.error(f"--mib {options.mib}: at least 1")
    failed = False
    for way in ways:
        found = large(way, mib=options.mib)
        failed = failed or bool(found["troubles"])
        print(json.dumps(found) if options.json else _shown(found), flush=True)
    return 1 if failed else 0


def _shown(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:26} {value}" for name, value in found.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
