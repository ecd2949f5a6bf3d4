"""What callers see of a service that stops, is rolled out, or loses the registry meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kratos import App, Client, Error
from kratos.testing import FakeServer
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.topology import Topology
from kratos.testing.virtual_time import in_virtual_time
from kratos.transport import CallOptions

DRAIN = 2.0  # seconds; a watch of the registry in memory tells of a change at once


def echo(**options: Any) -> App:
    return App(
        name="echo",
        services=[EchoService()],
        servers=[FakeServer(endpoint="http://x:1")],
        drain_delay=DRAIN,
        **options,
    )


@asynccontextmanager
async def load(caller: Client, *, callers: int = 8) -> AsyncGenerator[None]:
    """Call without a pause during the block."""
    going = True

    async def call() -> None:
        while going:
            await caller.unary(ECHO, text("hello"))
            await asyncio.sleep(0.05)

    calls = [asyncio.create_task(call()) for _ in range(callers)]
    try:
        yield
    finally:
        going = False
        await asyncio.gather(*calls)


@in_virtual_time
async def test_rollout_under_load_fails_no_unary_call() -> None:
    async with Topology() as t:
        old = await t.start(echo, replicas=3)
        caller = await t.connect("echo")
        async with load(caller):
            await t.pass_time(1)
            for replica in old:
                await t.start(echo)
                await replica.stop()
            await t.pass_time(1)
        assert len(t.calls.ended) > 300
        t.calls.assert_none_failed()
        assert len(await t.registry.instances("echo")) == 3


@in_virtual_time
async def test_calls_that_fail_are_seen() -> None:
    async with Topology() as t:
        old = await t.start(lambda: echo(), replicas=2)
        caller = await t.connect("echo", fail_fast=True)
        await caller.ready()
        t.registry.down()  # nobody hears that it leaves
        for replica in old:
            replica.app.hurry()
            await replica.stop()
        with pytest.raises(Error):
            await caller.unary(ECHO, text("hello"))
        with pytest.raises(AssertionError, match="calls failed"):
            t.calls.assert_drained()


@in_virtual_time
async def test_stop_during_an_outage_of_the_registry_still_fails_no_call() -> None:
    async with Topology() as t:
        old = await t.start(echo, replicas=3)
        caller = await t.connect("echo")
        await t.until(lambda: len(caller.nodes.nodes) == 3, within=1)
        async with load(caller):
            t.registry.down()
            await t.pass_time(30)
            await old[0].stop()  # clients hear of it by the connection alone
            await t.pass_time(30)
            t.registry.up()
            await t.pass_time(60)
        t.calls.assert_none_failed()
        await t.registered("echo", 2, within=1)


async def stream_words(caller: Client) -> None:
    async with caller.server_stream(WATCH, text("a hang")) as replies:
        async for _ in replies:
            pass


async def chat(caller: Client) -> None:
    async with caller.bidi_stream(CHAT) as stream:
        await stream.send(text("hang"))
        async for _ in stream:
            pass


async def collect(caller: Client) -> None:
    await caller.client_stream(COLLECT, [text("hang")])


STREAMS: dict[str, Callable[[Client], Coroutine[Any, Any, None]]] = {
    "server stream": stream_words,
    "client stream": collect,
    "bidi stream": chat,
}


@pytest.mark.parametrize("open_stream", STREAMS.values(), ids=STREAMS)
@in_virtual_time
async def test_stream_that_outlives_the_stop_timeout_ends_with_a_status_of_its_own(
    open_stream: Callable[[Client], Coroutine[Any, Any, None]],
) -> None:
    async with Topology() as t:
        (replica,) = await t.start(lambda: echo(stop_timeout=5.0))
        caller = await t.connect("echo")
        streaming = asyncio.create_task(open_stream(caller))
        await t.until(lambda: replica.in_flight, within=1)
        began = asyncio.get_running_loop().time()
        await replica.stop()
        took = asyncio.get_running_loop().time() - began
        assert took == pytest.approx(DRAIN + 5, abs=0.5)
        with pytest.raises(Error) as cut:
            await streaming
        assert (cut.value.code, cut.value.reason) == (503, "DRAINING")
        t.calls.assert_drained()
        assert await t.registry.instances("echo") == ()


@in_virtual_time
async def test_stop_order_is_seen_from_outside() -> None:
    """First unready, then out of the registry, then, after the drain delay, without a server."""
    async with Topology() as t:
        (replica,) = await t.start(echo)
        caller = await t.connect("echo")
        await caller.ready()
        stopping = asyncio.create_task(replica.stop())
        await t.until(lambda: not replica.ready, within=0.1)
        await t.registered("echo", 0, within=0.1)
        for _ in range(10):
            await caller.unary(ECHO, text("hello"))  # by its last good list: it is served
            await t.pass_time(DRAIN / 12)
        await stopping
        with pytest.raises(Error):
            await caller.unary(ECHO, text("hello"), CallOptions(timeout=1))


@in_virtual_time
async def test_second_stop_skips_the_drain_delay() -> None:
    async with Topology() as t:
        (replica,) = await t.start(lambda: echo())
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(replica.stop())
        await t.pass_time(0.5)
        replica.app.hurry()
        await stopping
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5, abs=0.1)


@in_virtual_time
async def test_slow_peer_neither_slows_the_others_nor_loses_calls() -> None:
    async with Topology() as t:
        replicas = await t.start(echo, replicas=3)
        caller = await t.connect("echo", selector="least", timeout=30)
        replicas[0].slow(10)
        async with load(caller, callers=6):
            await t.pass_time(30)
        t.calls.assert_none_failed()
        assert len(t.calls.ended) > 500
