"""Whole topologies over sockets, in virtual time where the transport lives in the loop."""

from __future__ import annotations

import asyncio

import pytest

from kratos import App, Error
from kratos.testing import Topology, in_virtual_time
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos_grpc import GrpcServer
from kratos_http import HttpServer


def build() -> App:
    return App(
        name="echo",
        services=[EchoService()],
        servers=[HttpServer("127.0.0.1:0"), GrpcServer("127.0.0.1:0")],
        stop_timeout=1.0,
    )


def over_http() -> App:
    return App(
        name="echo",
        services=[EchoService()],
        servers=[HttpServer("127.0.0.1:0", timeout=None)],
        drain_delay=2.0,
    )


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_topology_runs_over_real_sockets_in_real_time(transport: str) -> None:
    async with Topology(transport=transport) as t:
        replicas = await t.start(build, replicas=2)
        caller = await t.connect("echo")
        for _ in range(4):
            assert (await caller.unary(ECHO, text("hello"))).value == "hello"
        await replicas.stop_at_once()
        t.calls.assert_none_failed()
        assert await t.registry.instances("echo") == ()


@in_virtual_time
async def test_http_servers_ride_out_ten_minutes_without_a_registry() -> None:
    async with Topology(transport="http") as t:
        replicas = await t.start(over_http, replicas=2)
        caller = await t.connect("echo")
        await t.until(lambda: len(caller.nodes.nodes) == 2, within=1)
        t.registry.down()
        for _ in range(20):
            await t.pass_time(30)
            assert (await caller.unary(ECHO, text("hello"))).value == "hello"
        t.registry.up()
        await t.registered("echo", 2, within=60)
        await t.until(lambda: replicas.ready, within=1)
        t.calls.assert_none_failed()


@in_virtual_time
async def test_http_servers_drain_in_virtual_time() -> None:
    async with Topology(transport="http") as t:
        old = await t.start(over_http, replicas=2)
        caller = await t.connect("echo", timeout=None)

        async def watch() -> None:
            async with caller.server_stream(WATCH, text("a hang")) as replies:
                async for _ in replies:
                    pass

        streaming = asyncio.create_task(watch())
        going = True

        async def load() -> None:
            while going:
                await caller.unary(ECHO, text("hello"))
                await asyncio.sleep(0.05)

        loading = [asyncio.create_task(load()) for _ in range(4)]
        await t.pass_time(1)
        await t.start(over_http)
        await old.stop()
        going = False
        await asyncio.gather(*loading)
        with pytest.raises(Error) as cut:
            await streaming
        assert (cut.value.code, cut.value.reason) == (503, "DRAINING")
        t.calls.assert_drained()
