from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from kratos.testing.faults import Faults
from kratos.testing.toxiproxy import ToxiProxy

pytestmark = pytest.mark.service("toxiproxy")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PATIENCE = 5.0  # seconds


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets, in capitals."""
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while data := await reader.read(1000):
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass  # the proxy may close with data under way
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    if tasks:
        await asyncio.wait(tasks, timeout=PATIENCE)


@pytest.fixture
async def proxy(upstream: int) -> AsyncIterator[ToxiProxy]:
    async with ToxiProxy("127.0.0.1", upstream, api=os.environ["KRATOS_TEST_TOXIPROXY"]) as made:
        yield made


async def dial(proxy: ToxiProxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def echo(streams: Streams, text: bytes) -> bytes:
    reader, writer = streams
    writer.write(text)
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(len(text))


async def ended(streams: Streams) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return await streams[0].read() == b""
    except ConnectionResetError:
        return True
    finally:
        streams[1].transport.abort()


def test_is_a_line_as_suites_take_it() -> None:
    line: type[Faults] = ToxiProxy
    assert line is ToxiProxy


async def test_cut_line_closes_and_refuses_until_restored(proxy: ToxiProxy) -> None:
    streams = await dial(proxy)
    assert await echo(streams, b"before") == b"BEFORE"

    proxy.cut()

    assert await ended(streams)
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    proxy.restore()
    fresh = await dial(proxy)
    assert await echo(fresh, b"after") == b"AFTER"
    fresh[1].close()


async def test_reset_line_takes_new_connections_at_the_same_address(proxy: ToxiProxy) -> None:
    streams, address = await dial(proxy), proxy.address
    await echo(streams, b"before")

    proxy.reset()

    assert await ended(streams)
    assert proxy.address == address
    fresh = await dial(proxy)
    assert await echo(fresh, b"after") == b"AFTER"
    fresh[1].close()


async def test_stalled_line_loses_what_is_sent_and_ends_when_restored(proxy: ToxiProxy) -> None:
    streams = await dial(proxy)
    await echo(streams, b"before")
    proxy.stall()
    proxy.stall()  # changes nothing
    waiting = asyncio.create_task(echo(streams, b"lost"))
    still = await dial(proxy)  # it accepts, too

    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    proxy.restore()

    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await waiting
    fresh = await dial(proxy)
    assert await echo(fresh, b"after") == b"AFTER"
    for _, writer in (streams, still, fresh):
        writer.close()


async def test_delayed_line_holds_up_each_way(proxy: ToxiProxy) -> None:
    streams = await dial(proxy)
    proxy.delay(0.1)
    began = time.monotonic()
    assert await echo(streams, b"slow") == b"SLOW"
    assert time.monotonic() - began >= 0.2
    proxy.restore()
    streams[1].close()


async def test_end_is_told_late_on_a_line_that_lingers(proxy: ToxiProxy) -> None:
    reader, writer = streams = await dial(proxy)
    await echo(streams, b"before")
    proxy.linger(0.2)
    began = time.monotonic()
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    assert time.monotonic() - began >= 0.2
    writer.close()


async def test_what_toxiproxy_refuses_is_told_in_its_words(proxy: ToxiProxy) -> None:
    with pytest.raises(ValueError, match=r"refuses POST .*: 400 .*[Tt]ype"):
        proxy.poison("arsenic")


async def test_closed_proxy_is_gone_and_closing_twice_is_fine(proxy: ToxiProxy) -> None:
    streams = await dial(proxy)
    proxy.close()
    proxy.close()
    assert await ended(streams)
    with pytest.raises(LookupError):
        proxy.restore()
