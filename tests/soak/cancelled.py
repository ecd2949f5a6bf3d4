"""``./hatchw run soak cancelled [--streams N] [--json] [kind...]``: streams opened and left.

A server in a process of its own serves streams that never end. They are opened in batches, and
each is cancelled after its first message. Fails if the server's memory grows in the second half,
or if calls, tasks or descriptors are left when all streams have gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from google.protobuf.wrappers_pb2 import StringValue
from tests.soak.judge import Sample, growth, troubles
from tests.soak.look import number, sample

from kratos import Client
from kratos.testing.echo import CHAT, COLLECT, WATCH, text
from kratos_grpc import GrpcConnector

__all__ = ["KINDS", "cancelled", "main"]

_AT_ONCE: Final = 50  # streams of one batch
_SAMPLES: Final = 40  # of one run
_WARM: Final = 500  # streams before the first sample: what is made once is made
_LEAVING: Final = 20.0  # seconds for what was cancelled to go away
_EVERY: Final = 0.2  # seconds between two looks meanwhile

_EVENTS: Final = (
    b"POST %b HTTP/1.1\r\nhost: soak\r\naccept: text/event-stream\r\n"
    b'content-type: application/json\r\ncontent-length: 5\r\n\r\n"one"'
    % WATCH.http[0].path.encode()
)

Stream = Callable[[Client, str], Awaitable[None]]


async def _watch(client: Client, _address: str) -> None:
    async with client.server_stream(WATCH, text("one")) as replies:
        await replies.__anext__()


async def _listen(_client: Client, address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_EVENTS)
    await reader.readuntil(b"one")
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _chat(client: Client, _address: str) -> None:
    async with client.bidi_stream(CHAT) as chat:
        await chat.send(text("one"))
        await chat.__anext__()


async def _collect(client: Client, _address: str) -> None:
    taken = asyncio.Event()

    async def words() -> AsyncIterator[StringValue]:
        yield text("one")
        taken.set()
        await asyncio.get_running_loop().create_future()

    call = asyncio.create_task(client.client_stream(COLLECT, words()))
    await taken.wait()
    call.cancel()
    await asyncio.wait((call,))


KINDS: Final[dict[str, tuple[str, str, Stream]]] = {
    "grpc-server-stream": ("http", "grpc", _watch),
    "grpc-client-stream": ("http", "grpc", _collect),
    "grpc-bidi-stream": ("http", "grpc", _chat),
    "grpcio-server-stream": ("grpcio", "grpcio", _watch),
    "grpcio-client-stream": ("grpcio", "grpcio", _collect),
    "grpcio-bidi-stream": ("grpcio", "grpcio", _chat),
    "sse": ("http", "http", _listen),
    "sse-client": ("http", "http", _watch),
    "websocket": ("http", "http", _chat),
}
"""By name: which port of the server, by which transport, and what is done with one stream."""


def cancelled(kind: str, *, streams: int) -> dict[str, Any]:
    """Open streams of one kind, cancel them, and return what became of their server.

    Args:
        kind: One of ``KINDS``.
        streams: How many.
    """
    command = [sys.executable, "-m", "tests.soak.endless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            addresses: dict[str, str] = json.loads(server.stdout.readline())
            return asyncio.run(_run(kind, server.pid, addresses, streams))
        finally:
            server.terminate()
            server.wait(20)


async def _run(kind: str, pid: int, addresses: dict[str, str], streams: int) -> dict[str, Any]:
    port, transport, stream = KINDS[kind]
    http = addresses["http"]
    during: list[Sample] = []
    most = 0
    started = time.monotonic()
    address = addresses[port]
    async with _client(address, transport) as client:
        await _batches(partial(stream, client, address), _WARM)
    before, _ = await asyncio.to_thread(_settled, pid, http)
    async with _client(address, transport) as client:
        batches = range(0, streams, _AT_ONCE)
        for number_of, done in enumerate(batches):
            some = min(_AT_ONCE, streams - done)
            batch = asyncio.create_task(_batches(partial(stream, client, address), some))
            if number_of % max(1, len(batches) // _SAMPLES) == 0:
                most = max(most, await asyncio.to_thread(number, http, "/calls"))
                during.append(await asyncio.to_thread(sample, pid, http, float(done)))
            await batch
    after, calls = await asyncio.to_thread(_settled, pid, http, before)
    found = troubles(before, during, after)
    if calls:
        found.append(f"{calls} calls are counted as open")
    return {
        "kind": kind,
        "streams": streams,
        "seconds": round(time.monotonic() - started, 1),
        "rss_first": during[0].rss,
        "rss_middle": during[len(during) // 2].rss,
        "rss_end": during[-1].rss,
        "rss_grown_in_second_half": round(growth(during)),
        "calls": {"most_seen": most, "after": calls},
        "tasks": {"before": before.tasks, "after": after.tasks},
        "fds": {"before": before.fds, "after": after.fds},
        "troubles": found,
    }


def _client(address: str, transport: str) -> Client:
    """Return a client; of grpcio for its server, which queues what ours cancels before it looks."""
    chosen = GrpcConnector(engine="grpcio") if transport == "grpcio" else transport
    return Client(address, transport=chosen, timeout=None)


async def _batches(stream: Callable[[], Awaitable[None]], streams: int) -> None:
    for done in range(0, streams, _AT_ONCE):
        await asyncio.gather(*(stream() for _ in range(min(_AT_ONCE, streams - done))))


def _settled(pid: int, address: str, like: Sample | None = None) -> tuple[Sample, int]:
    """Return a sample and the open calls, once no more is left than was before."""
    end = time.monotonic() + _LEAVING
    last: Sample | None = None
    while True:
        now, calls = sample(pid, address, -1.0), number(address, "/calls")
        same = last is not None and (now.fds, now.tasks) == (last.fds, last.tasks)
        fits = like is None or (now.fds <= like.fds and now.tasks <= like.tasks)
        if (same and fits and not calls) or time.monotonic() > end:
            return now, calls
        last = now
        time.sleep(_EVERY)


def main(arguments: Sequence[str]) -> int:
    """Cancel streams of some kinds; return 1 if a server did not stay as it was."""
    parser = argparse.ArgumentParser(prog="soak cancelled", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=" ".join(KINDS))
    parser.add_argument("--streams", type=int, default=10_000, help="of each kind; 10000")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each kind")
    options = parser.parse_args(arguments)
    kinds: list[str] = options.kinds or list(KINDS)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        parser.error(f"kinds are {', '.join(KINDS)}, not {', '.join(unknown)}")
    if options.streams < 1:
        parser.error(f"--streams {options.streams}: at least 1")
    failed = False
    for kind in kinds:
        found = cancelled(kind, streams=options.streams)
        failed = failed or bool(found["troubles"])
        if options.json:
            print(json.dumps(found), flush=True)
        else:
            for name, value in found.items():
                print(f"{name:26} {value}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
