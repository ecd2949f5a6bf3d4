from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kratos.testing.clock import FakeClock
from kratos.testing.proxy import FaultProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Upstream:
    """A server that sends back what it gets, in capitals."""

    def __init__(self) -> None:
        self.port = 0
        self.received = b""
        self.tasks: set[asyncio.Task[object]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
        try:
            while data := await reader.read(1000):
                self.received += data
                writer.write(data.upper())
                await writer.drain()
            writer.write(b"BYE")
        except ConnectionError:
            self.received += b"<reset>"
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    yield upstream
    server.close()
    if upstream.tasks:
        await asyncio.wait(upstream.tasks, timeout=5)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def proxy(upstream: Upstream, clock: FakeClock) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", upstream.port, clock=clock) as proxy:
        yield proxy


async def dial(proxy: FaultProxy) -> Streams:
    host, _, port = proxy.address.partition(":")
    return await asyncio.open_connection(host, int(port))


async def echo(streams: Streams, text: bytes) -> bytes:
    reader, writer = streams
    writer.write(text)
    await writer.drain()
    async with asyncio.timeout(5):
        return await reader.readexactly(len(text))


async def is_broken(streams: Streams) -> bool:
    reader, writer = streams
    try:
        async with asyncio.timeout(5):
            writer.write(b"?")
            return await reader.read(1) == b""
    except ConnectionError:
        return True
    finally:
        writer.transport.abort()


async def test_data_passes_both_ways(proxy: FaultProxy) -> None:
    streams = await dial(proxy)

    assert await echo(streams, b"hello") == b"HELLO"
    assert await echo(streams, b"again") == b"AGAIN"
    assert proxy.connections == 1
    streams[1].close()


async def test_clean_end_passes_and_the_other_way_stays_open(proxy: FaultProxy) -> None:
    reader, writer = await dial(proxy)
    writer.write(b"last")
    writer.write_eof()

    async with asyncio.timeout(5):
        assert await reader.read() == b"LASTBYE"
    writer.close()


async def test_cut_breaks_what_is_open_and_what_comes(proxy: FaultProxy) -> None:
    streams = await dial(proxy)
    await echo(streams, b"hello")

    proxy.cut()

    assert await is_broken(streams)
    assert await is_broken(await dial(proxy))


async def test_restored_line_works_again(proxy: FaultProxy) -> None:
    proxy.cut()
    assert await is_broken(await dial(proxy))

    proxy.restore()
    streams = await dial(proxy)

    assert await echo(streams, b"hello") == b"HELLO"
    streams[1].close()


async def test_reset_breaks_what_is_open_but_not_what_comes(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    streams = await dial(proxy)
    await echo(streams, b"hello")

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        await streams[0].read()
    fresh = await dial(proxy)
    assert await echo(fresh, b"again") == b"AGAIN"
    assert b"<reset>" in upstream.received
    for _, writer in (streams, fresh):
        writer.close()


async def test_stalled_line_says_nothing_until_restored(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    old = await dial(proxy)
    await echo(old, b"before")
    proxy.stall()
    new = await dial(proxy)
    waiting = [asyncio.create_task(echo(streams, b"during")) for streams in (old, new)]

    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    assert upstream.received == b"before"

    proxy.restore()
    assert await asyncio.gather(*waiting) == [b"DURING", b"DURING"]
    for _, writer in (old, new):
        writer.close()


async def test_delay_holds_every_piece_up(proxy: FaultProxy, clock: FakeClock) -> None:
    streams = await dial(proxy)
    await echo(streams, b"before")
    proxy.delay(3.0)
    start = clock.time()
    echoing = asyncio.create_task(echo(streams, b"during"))

    async with asyncio.timeout(5):
        while not echoing.done():
            await asyncio.sleep(0)
            if clock.sleepers:
                await clock.advance(1.0)

    assert await echoing == b"DURING"
    assert clock.time() - start >= 6.0
    streams[1].close()


async def test_server_that_is_away_breaks_the_connection() -> None:
    async with FaultProxy("127.0.0.1", 1) as proxy:
        assert await is_broken(await dial(proxy))


async def test_closing_leaves_no_task_and_breaks_all(upstream: Upstream) -> None:
    proxy = FaultProxy("127.0.0.1", upstream.port)
    before = asyncio.all_tasks()
    await proxy.start()
    streams = await dial(proxy)
    await echo(streams, b"hello")

    await proxy.aclose()
    await proxy.aclose()

    assert await is_broken(streams)
    assert proxy.connections == 0
    ours = {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)}
    assert ours == set()
