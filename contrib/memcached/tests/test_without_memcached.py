"""What needs no server: options, replies in pieces, servers that are none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, StoreUnavailable
from kratos.store import from_url
from kratos_memcached import MemcachedStore, Refused
from kratos_memcached.replies import Item, NotMemcached, Replies, Reply

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

STREAM = (
    b"STORED\r\nVALUE a 0 6 7\r\n\r\nEND\r\r\nVALUE b 0 0 8\r\n\r\nEND\r\nEND\r\nSERVER_ERROR x\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_replies_are_the_same_in_whatever_pieces_they_come(cuts: list[int]) -> None:
    replies, found = Replies(), list[Reply]()
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(places):
        replies.feed(STREAM[begin:end])
        while (reply := replies.next()) is not None:
            found.append(reply)
    assert found[:3] == [b"STORED", {b"a": Item(b"\r\nEND\r", b"7"), b"b": Item(b"", b"8")}, {}]
    assert isinstance(found[3], Refused)


@pytest.mark.parametrize("noise", [b"x" * 4000, b"VALUE a\r\n", b"VALUE a 0 none 7\r\n"])
def test_what_is_no_memcached_is_told(noise: bytes) -> None:
    replies = Replies()
    replies.feed(noise)
    with pytest.raises(NotMemcached):
        replies.next()


@asynccontextmanager
async def served(talk: Talk) -> AsyncGenerator[str]:
    """Serve on a port of the system, and give its address."""
    talks = asyncio.TaskGroup()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def converse() -> None:
            try:
                await talk(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

        talks.create_task(converse())

    async with talks:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_server_of_another_kind_is_told() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with served(web) as address:
        store = MemcachedStore(address, timeout=10)
        with pytest.raises(StoreUnavailable, match=r"is no memcached: it says b'HTTP/1\.1 400"):
            await store.get("key")
        await store.aclose()


async def test_answer_of_a_cancelled_call_is_nobody_elses() -> None:
    may_answer = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while name := (await reader.readline()).removeprefix(b"gets ").strip():
            await may_answer.wait()
            writer.write(b"VALUE %b 0 %d 1\r\n%b\r\nEND\r\n" % (name, len(name), name))

    async with served(slow) as address:
        store = MemcachedStore(address, prefix="p:", timeout=10)
        first = asyncio.ensure_future(store.get("a"))
        second = asyncio.ensure_future(store.get("b"))
        await asyncio.sleep(0.05)
        first.cancel()
        may_answer.set()
        assert await second == b"p:b"
        assert await store.get("c") == b"p:c"
        await store.aclose()


async def test_connection_that_is_lost_in_the_middle_is_told_at_once() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"VALUE a 0 10 1\r\nha")
        await writer.drain()

    async with served(rude) as address:
        store = MemcachedStore(address, timeout=60)
        with pytest.raises(StoreUnavailable, match="the connection was lost"):
            await store.get("a")
        await store.aclose()


async def test_connection_that_stands_as_the_store_is_closed_is_closed() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    async with served(silent) as address:
        store = MemcachedStore(address, timeout=10)
        (server,) = store._servers.values()  # pyright: ignore[reportPrivateUsage]
        asking = asyncio.ensure_future(store.get("a"))
        async with asyncio.timeout(5):
            made = None
            while made is None or not made.done():
                await asyncio.sleep(0)
                made = server._connecting  # pyright: ignore[reportPrivateUsage]
            await store.aclose()
            with pytest.raises(StoreUnavailable):
                await asking
            await left.wait()


async def test_closed_store_says_that_it_is() -> None:
    store = MemcachedStore("127.0.0.1:1")
    await store.aclose()
    with pytest.raises(StoreUnavailable, match="is closed"):
        await store.get("key")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memcached://", "write memcached://host:port"),
        ("memcached://a/path", "without a path"),
        ("memcached://a,a", "name each server once"),
        ("memcached://a?ttl=1", "unknown option 'ttl'"),
        ("memcached://a?prefix=a%20b", "without spaces"),
        ("memcached://a?timeout=0", "timeout is a number above 0"),
        ("memcached://a?ca=/x.pem", "write memcacheds:// for TLS"),
        ("memcached://user:pa55@a?x=1", r"\*\*\*@a"),
    ],
)
def test_wrong_url_is_refused(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_url(address)
    assert "pa55" not in str(refusal.value)


@pytest.mark.parametrize("servers", [(), ("",), ("a:b",), ("a", "a:11211")])
def test_servers_that_are_none_are_refused(servers: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        MemcachedStore(*servers)


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
def test_time_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout is a number above 0 and finite"):
        MemcachedStore("a", timeout=timeout)
