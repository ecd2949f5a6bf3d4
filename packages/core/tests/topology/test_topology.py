"""The kit for whole topologies: what it starts, breaks, counts and leaves."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, Client, Error
from kratos.errors import ConfigError
from kratos.periodic import Periodic
from kratos.testing import FakeServer
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService, text
from kratos.testing.topology import Topology
from kratos.testing.virtual_time import in_virtual_time
from kratos.transport import CallOptions

DAY = 86400.0


def echo() -> App:
    return App(name="echo", services=[EchoService()], servers=[FakeServer(endpoint="http://x:1")])


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_replicas_are_found_by_name_and_share_the_calls() -> None:
    async with Topology() as t:
        replicas = await t.start(echo, replicas=3)
        caller = await t.connect("echo")
        peers = set[str]()
        for _ in range(6):
            options = CallOptions(on_end=lambda call: peers.add(call.peer))
            assert (await caller.unary(ECHO, text("hello"), options)).value == "hello"
        assert peers == {replica.address for replica in replicas}
        assert len(await t.registry.instances("echo")) == 3
        assert replicas.ready
        t.calls.assert_none_failed()


@in_virtual_time
async def test_one_service_calls_another_by_a_client_of_the_topology() -> None:
    class Front(EchoService):
        def __init__(self, back: Client) -> None:
            super().__init__()
            self.back = back

        async def _answer(self, request: StringValue) -> StringValue:
            return await self.back.unary(ECHO, request)

    async with Topology() as t:

        def front() -> App:
            back = t.client("echo")
            return App(
                name="front", services=[Front(back)], servers=[FakeServer()], resources=[back]
            )

        await t.start(echo)
        await t.start(front)
        caller = await t.connect("front")
        assert (await caller.unary(ECHO, text("hello"))).value == "hello"
        assert len(t.calls.ended) == 2


@in_virtual_time
async def test_server_without_an_address_stays() -> None:
    ran: list[float] = []

    async def tick() -> None:
        ran.append(now())

    def build() -> App:
        return App(
            name="jobs", servers=[Periodic(tick, interval=60), FakeServer(endpoint="http://x:1")]
        )

    async with Topology() as t:
        await t.start(build)
        await t.pass_time(600)
    assert len(ran) in (10, 11)


@in_virtual_time
async def test_slow_replica_is_slow_and_the_others_are_not() -> None:
    async with Topology() as t:
        replicas = await t.start(echo, replicas=2)
        caller = await t.connect("echo", timeout=None)
        replicas[0].slow(5)
        times = list[float]()
        for _ in range(4):
            began = now()
            await caller.unary(ECHO, text("hello"))
            times.append(round(now() - began))
        assert sorted(times) == [0, 0, 5, 5]


@in_virtual_time
async def test_replica_behind_a_half_open_link_costs_a_deadline() -> None:
    async with Topology() as t:
        (replica,) = await t.start(echo)
        caller = await t.connect("echo", timeout=2)
        await caller.unary(ECHO, text("hello"))
        replica.half_open()
        began = now()
        with pytest.raises(Error) as late:
            await caller.unary(ECHO, text("hello"))
        assert late.value.code == 504
        assert now() - began == pytest.approx(2, abs=0.1)
        replica.restore()
        await caller.unary(ECHO, text("hello"))


@in_virtual_time
async def test_replica_that_goes_away_finishes_what_it_has_and_gets_nothing_new() -> None:
    async with Topology() as t:
        replicas = await t.start(echo, replicas=2)
        caller = await t.connect("echo")
        async with caller.bidi_stream(CHAT) as stream:
            await stream.send(text("a"))
            await anext(stream)
            (leaving,) = [each for each in replicas if each.in_flight]
            leaving.go_away()
            for _ in range(4):
                await caller.unary(ECHO, text("hello"))
            await stream.send(text("b"))
            assert (await anext(stream)).value == "b"
            await stream.end()
            assert [reply async for reply in stream] == []
        t.calls.assert_none_failed()


@in_virtual_time
async def test_killed_replica_stays_listed_until_its_entry_expires() -> None:
    async with Topology(ttl=15) as t:
        replicas = await t.start(echo, replicas=2)
        caller = await t.connect("echo")
        await caller.ready()
        await replicas[0].kill()
        assert len(await t.registry.instances("echo")) == 2
        for _ in range(4):
            await caller.unary(ECHO, text("hello"))
        took = await t.registered("echo", 1, within=16)
        assert took <= 15.1


@in_virtual_time
async def test_call_in_flight_to_a_killed_replica_fails() -> None:
    async with Topology() as t:
        (replica,) = await t.start(echo)
        caller = await t.connect("echo")
        calling = asyncio.create_task(caller.unary(ECHO, text("hang"), CallOptions(timeout=60)))
        await t.until(lambda: replica.in_flight, within=1)
        await replica.kill()
        with pytest.raises(Error) as broken:
            await calling
        assert broken.value.code == 503
        with pytest.raises(AssertionError, match=r"1 of 1 calls failed.*Echo ended with 503"):
            t.calls.assert_drained()


@in_virtual_time
async def test_stop_waits_for_unary_calls_and_cuts_streams_off_with_a_status_of_their_own() -> None:
    async with Topology(timeout=None) as t:
        (replica,) = await t.start(echo)
        caller = await t.connect("echo", timeout=None)
        t.faults.delay(3, operation=ECHO)
        unary = asyncio.create_task(caller.unary(ECHO, text("hello")))
        got: list[str] = []

        async def watch() -> None:
            async with caller.server_stream(WATCH, text("a b hang")) as replies:
                got.extend([reply.value async for reply in replies])

        streaming = asyncio.create_task(watch())
        await t.pass_time(3.5)
        before = now()
        await replica.stop()
        assert now() - before == pytest.approx(10, abs=0.5)  # stop_timeout, for the stream
        assert (await unary).value == "hello"
        with pytest.raises(Error, match="DRAINING"):
            await streaming
        t.calls.assert_drained()
        assert await t.registry.instances("echo") == ()


async def test_check_of_calls_fails_where_none_was_made() -> None:
    with pytest.raises(AssertionError, match="nothing is shown"):
        Topology().calls.assert_drained()


@in_virtual_time
async def test_what_an_application_leaves_behind_fails_the_test() -> None:
    left: list[asyncio.Task[None]] = []

    def build() -> App:
        def leave(_app: App) -> None:
            left.append(asyncio.create_task(asyncio.sleep(DAY), name="forgotten"))

        return App(name="echo", servers=[FakeServer()], after_start=[leave])

    with pytest.raises(AssertionError, match="left behind: task forgotten"):
        async with Topology() as t:
            await t.start(build)
    left[0].cancel()


@in_virtual_time
async def test_failure_of_the_test_is_not_hidden_by_what_it_leaves() -> None:
    async def fail() -> None:
        async with Topology() as t:
            await t.start(echo)
            await t.registry.take_over((await t.registry.held())[0].id, version="stranger")
            raise LookupError("the test itself")

    with pytest.raises(LookupError, match="the test itself"):
        await fail()


@in_virtual_time
async def test_application_that_fails_to_start_says_why_and_is_cleaned_up() -> None:
    def refuse(_app: App) -> None:
        raise LookupError("no luck today")

    async with Topology() as t:
        with pytest.raises(LookupError, match="no luck today"):
            await t.start(lambda: App(name="echo", before_start=[refuse]))


@in_virtual_time
async def test_application_without_a_name_is_refused() -> None:
    async with Topology() as t:
        with pytest.raises(ConfigError, match="needs a name"):
            await t.start(App)


@in_virtual_time
async def test_topology_has_to_be_entered_and_is_entered_once() -> None:
    t = Topology()
    with pytest.raises(RuntimeError, match="async with Topology"):
        await t.start(echo)
    async with t:
        with pytest.raises(RuntimeError, match="once"):
            await t.__aenter__()


@in_virtual_time
async def test_waiting_too_long_is_told() -> None:
    async with Topology() as t:
        await t.start(echo)
        with pytest.raises(AssertionError, match="not within 30 s"):
            await t.until(lambda: False, within=30)
        with pytest.raises(AssertionError, match="1 instances of echo are registered after 5 s"):
            await t.registered("echo", 2, within=5)
