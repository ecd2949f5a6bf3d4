"""``python -m tests.soak.load KIND ADDRESS SECONDS``: one kind of load; prints what was done."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, Final

import uvloop
from benchmarks import load_frames, load_grpc, load_http
from google.protobuf.wrappers_pb2 import StringValue

from kratos import Client, Error
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text

__all__ = ["LOADS"]

_STREAMS: Final = 16  # at once
_WORDS: Final = 20  # replies of one stream
_CHURNERS: Final = 8  # connections at once that are made for one request
_CONNECTIONS: Final = 1000  # at once, with a call each
_CALLERS: Final = 4  # whose calls are cancelled
_BODY: Final = b'"kratos"'
_MESSAGE: Final = StringValue(value="kratos").SerializeToString()
_UNARY: Final = (
    b"POST %b HTTP/1.1\r\nhost: soak\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (ECHO.http[0].path.encode(), len(_BODY), _BODY)
)

Stream = Callable[[Client, Random], Awaitable[int]]


def http(address: str, seconds: float) -> int:
    """Call over connections that are kept."""
    return load_http.drive(address, _UNARY, seconds)


def grpc(address: str, seconds: float) -> int:
    """Call over one connection."""
    return load_grpc.drive(address, ECHO.operation, _MESSAGE, seconds)


def connections(address: str, seconds: float) -> int:
    """Call over a thousand connections, and leave them all in the middle of a call."""
    tally = load_frames.tally(address, ECHO.operation, _MESSAGE, seconds, connections=_CONNECTIONS)
    return tally.total()


def streams(address: str, seconds: float) -> int:
    """Stream both ways over gRPC; leave some streams before their end."""
    return _run(_streams(address, seconds, _mixed, transport="grpc"))


def cancelled(address: str, seconds: float) -> int:
    """Cancel calls of gRPC at some moment of their way."""
    return _run(_cancelled(address, time.monotonic() + seconds))


def churn(address: str, seconds: float) -> int:
    """Call over a connection each, and leave half of them without waiting for the answer."""
    return _run(_churn(address, time.monotonic() + seconds))


def sse(address: str, seconds: float) -> int:
    """Read event streams; leave some before their end."""
    return _run(_streams(address, seconds, _watch))


def websocket(address: str, seconds: float) -> int:
    """Talk over WebSockets; leave some without an end."""
    return _run(_streams(address, seconds, _chat))


async def _churn(address: str, end: float) -> int:
    host, _, port = address.rpartition(":")
    done = 0

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(_UNARY)
            done += 1
            if done % 2:
                await reader.readuntil(b"\r\n\r\n")
                writer.close()
            else:
                writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(_CHURNERS):
            group.create_task(ask())
    return done


async def _streams(address: str, seconds: float, stream: Stream, *, transport: str = "http") -> int:
    end = time.monotonic() + seconds
    done = 0

    async def ask(client: Client, random: Random) -> None:
        nonlocal done
        done += await stream(client, random)  # one at least, however slow the machine
        while time.monotonic() < end:
            done += await stream(client, random)

    async with Client(address, transport=transport) as client, asyncio.TaskGroup() as group:
        for number in range(_STREAMS):
            group.create_task(ask(client, Random(number)))
    return done


async def _watch(client: Client, random: Random) -> int:
    taken = 0
    last = random.choice((1, _WORDS, _WORDS))
    async with client.server_stream(WATCH, text("word " * _WORDS)) as replies:
        async for _ in replies:
            taken += 1
            if taken == last < _WORDS:
                break
    return taken


async def _chat(client: Client, random: Random) -> int:
    taken = 0
    with suppress(Error):
        async with client.bidi_stream(CHAT) as chat:
            while taken < _WORDS:
                await chat.send(text("word"))
                await chat.__anext__()
                taken += 1
            if random.random() < 0.7:
                await chat.end()
                async for _ in chat:
                    pass
    return taken


async def _mixed(client: Client, random: Random) -> int:
    return await random.choice((_watch, _chat, _collect))(client, random)


async def _collect(client: Client, random: Random) -> int:
    async def words() -> AsyncIterator[StringValue]:
        for _ in range(_WORDS):
            yield text("word")

    call = asyncio.ensure_future(client.client_stream(COLLECT, words()))
    if random.random() < 0.3:
        await _turns(random.randrange(8))
        call.cancel()
    await asyncio.wait((call,))
    return 1 if call.cancelled() else int((await call).value)


async def _cancelled(address: str, end: float) -> int:
    done = 0

    async def ask(client: Client, random: Random) -> None:
        nonlocal done
        while time.monotonic() < end or not done:
            call = asyncio.ensure_future(client.unary(ECHO, text("kratos")))
            await _turns(random.randrange(12))
            call.cancel()
            await asyncio.wait((call,))
            done += 1

    async with Client(address, transport="grpc") as client, asyncio.TaskGroup() as group:
        for number in range(_CALLERS):
            group.create_task(ask(client, Random(number)))
    return done


async def _turns(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def _run(work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


LOADS: Final[dict[str, Callable[[str, float], int]]] = {
    "http": http,
    "churn": churn,
    "sse": sse,
    "websocket": websocket,
    "grpc": grpc,
    "grpc-streams": streams,
    "grpc-cancelled": cancelled,
    "grpc-connections": connections,
    "grpcio": grpc,
}

if __name__ == "__main__":
    kind, address, seconds = sys.argv[1:]
    print(LOADS[kind](address, float(seconds)))
