"""Faults between clients and servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.client import Client
from kratos.errors import Error
from kratos.middleware import retry
from kratos.selector import Node
from kratos.testing import (
    CallFaults,
    FakeClock,
    FakeConnector,
    InstantClock,
    run_in_virtual_time,
    serving,
)
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, ChainCaller, Handler, Method

FOREVER = CallOptions(timeout=0)
every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])


async def call(
    client: Client, method: Method[Any, Any] = ECHO, *words: str, options: CallOptions = FOREVER
) -> list[str]:
    """Call a method of the echo service and return all answers."""
    sent = [text(word) for word in words or ("ok",)]
    if method.arity is Arity.UNARY:
        return [(await client.unary(ECHO, sent[0], options)).value]
    if method.arity is Arity.CLIENT_STREAM:
        return [(await client.client_stream(COLLECT, sent, options)).value]
    if method.arity is Arity.SERVER_STREAM:
        joined = text(" ".join(each.value for each in sent))
        async with client.server_stream(WATCH, joined, options) as replies:
            return [reply.value async for reply in replies]
    async with client.bidi_stream(CHAT, options) as stream:
        for each in sent:
            await stream.send(each)
        await stream.end()
        return [reply.value async for reply in stream]


async def refused(client: Client, method: Method[Any, Any] = ECHO, *words: str) -> tuple[int, str]:
    """Return code and reason of a call that has to fail."""
    with pytest.raises(Error) as failure:
        await call(client, method, *words)
    return failure.value.code, failure.value.reason


@every_arity
async def test_no_rule_disturbs_nothing(method: Method[Any, Any]) -> None:
    async with serving(EchoService(), faults=CallFaults()) as client:
        assert await call(client, method) == ["ok"]


@every_arity
async def test_delay_holds_a_call_up_by_the_clock(method: Method[Any, Any]) -> None:
    clock, service = FakeClock(), EchoService()
    faults = CallFaults(clock=clock)
    faults.delay(30)
    async with serving(service, faults=faults) as client:
        calling = asyncio.create_task(call(client, method))
        await clock.advance(29)
        assert service.seen == []
        await clock.advance(1)
        assert await calling == ["ok"]


@every_arity
async def test_error_comes_in_place_of_the_handler(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    faults.error(Error(409, "BUSY", "later", {"table": "7"}))
    async with serving(service, faults=faults) as client:
        with pytest.raises(Error) as failure:
            await call(client, method)
    assert (failure.value.code, failure.value.reason) == (409, "BUSY")
    assert failure.value.metadata == {"table": "7"}
    assert service.seen == []


async def test_each_call_gets_an_error_of_its_own_with_all_its_details() -> None:
    faults, given = CallFaults(), Error(409, "BUSY", details=[text("why")])
    faults.error(given)
    async with serving(EchoService(), faults=faults) as client:
        with pytest.raises(Error) as failure:
            await call(client)
    assert failure.value is not given
    assert failure.value.detail(StringValue) == text("why")
    assert given.__traceback__ is None


@every_arity
async def test_refused_call_reaches_no_handler(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    faults.refuse()
    async with serving(service, faults=faults) as client:
        assert await refused(client, method) == (503, "UNAVAILABLE")
    assert service.seen == []


@every_arity
async def test_lost_reply_leaves_the_work_done(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    faults.lose_reply()
    async with serving(service, faults=faults) as client:
        assert await refused(client, method) == (503, "UNAVAILABLE")
    assert service.seen == ["ok"]


async def test_lost_error_is_lost_as_a_reply_is() -> None:
    faults = CallFaults()
    faults.lose_reply()
    async with serving(EchoService(), faults=faults) as client:
        assert await refused(client, ECHO, "fail") == (503, "UNAVAILABLE")


@every_arity
async def test_dropped_call_ends_by_its_deadline(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    faults.drop()
    async with serving(service, faults=faults) as client:
        with pytest.raises(Error) as failure:
            await call(client, method, options=CallOptions(timeout=0.05))
    assert failure.value.code == 504
    assert service.seen == []


async def test_dropped_call_can_be_waited_for() -> None:
    faults = CallFaults()
    dropped = faults.drop()
    async with serving(EchoService(), faults=faults) as client:
        calling = asyncio.create_task(call(client))
        await dropped.met()
        assert not calling.done()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def watched(client: Client, words: str, got: list[str]) -> None:
    """Add the replies of a stream to a list as they come."""
    async with client.server_stream(WATCH, text(words), FOREVER) as replies:
        async for reply in replies:
            got.append(reply.value)  # noqa: PERF401  what came before a failure counts


async def test_stream_breaks_after_so_many_replies() -> None:
    faults, got = CallFaults(), list[str]()
    faults.cut_stream(after=2)
    async with serving(EchoService(), faults=faults) as client:
        with pytest.raises(Error, match="broke after 2 replies"):
            await watched(client, "a b c", got)
    assert got == ["a", "b"]


async def test_broken_stream_cancels_its_handler() -> None:
    service, faults = EchoService(), CallFaults()
    faults.cut_stream(after=1)
    async with serving(service, faults=faults) as client:
        with pytest.raises(Error):
            await watched(client, "a hang", [])
        await service.left.wait()
    assert service.interrupted == 1


async def test_cut_leaves_calls_with_one_reply_alone() -> None:
    faults = CallFaults()
    rule = faults.cut_stream(after=0)
    async with serving(EchoService(), faults=faults) as client:
        assert await call(client) == ["ok"]
    assert (rule.seen, rule.hits) == (0, 0)


async def test_rule_names_the_operation_that_it_meets() -> None:
    faults = CallFaults()
    faults.refuse(operation=WATCH)
    async with serving(EchoService(), faults=faults) as client:
        assert await call(client, ECHO) == ["ok"]
        assert await refused(client, WATCH) == (503, "UNAVAILABLE")


async def test_rule_takes_a_pattern_of_operations() -> None:
    faults = CallFaults()
    faults.refuse(operation="/kratos.testing.Echo/*ch")
    async with serving(EchoService(), faults=faults) as client:
        assert await call(client, COLLECT) == ["ok"]
        assert await refused(client, WATCH) == (503, "UNAVAILABLE")


async def test_nth_call_alone_is_met() -> None:
    faults = CallFaults()
    rule = faults.refuse(nth=2, operation=ECHO)
    async with serving(EchoService(), faults=faults) as client:
        assert await call(client) == ["ok"]
        assert await call(client, WATCH) == ["ok"]
        assert await refused(client) == (503, "UNAVAILABLE")
        assert await call(client) == ["ok"]
    assert (rule.seen, rule.hits) == (3, 1)


async def test_rule_is_in_force_so_many_times() -> None:
    faults = CallFaults()
    faults.refuse(times=2)
    async with serving(EchoService(), faults=faults) as client:
        await refused(client)
        await refused(client)
        assert await call(client) == ["ok"]


async def test_lifted_rule_meets_nothing_more() -> None:
    faults = CallFaults()
    rule = faults.refuse()
    async with serving(EchoService(), faults=faults) as client:
        await refused(client)
        rule.lift()
        assert await call(client) == ["ok"]


async def test_clear_lifts_every_rule_and_restores_every_link() -> None:
    faults = CallFaults()
    faults.refuse()
    faults.half_open()
    faults.clear()
    async with serving(EchoService(), faults=faults) as client:
        assert await call(client) == ["ok"]


async def outcomes(*, seed: int, other: bool = False, calls: int = 200) -> list[bool]:
    """Return which of a number of calls a rule of probability 0.3 lets pass."""
    faults = CallFaults(seed=seed)
    rule = faults.refuse(probability=0.3)
    if other:
        faults.delay(0, probability=0.5)
    passed: list[bool] = []
    async with serving(EchoService(), faults=faults) as client:
        for _ in range(calls):
            before = rule.hits
            try:
                await call(client)
            except Error:
                pass
            passed.append(rule.hits == before)
    return passed


async def test_equal_seeds_give_equal_faults_whatever_other_rules_there_are() -> None:
    assert await outcomes(seed=5) == await outcomes(seed=5, other=True)


async def test_other_seeds_give_other_faults() -> None:
    assert await outcomes(seed=5) != await outcomes(seed=6)


async def test_probability_is_the_share_of_calls_that_are_met() -> None:
    assert 0.2 < 1 - sum(await outcomes(seed=1)) / 200 < 0.4


async def test_all_rules_that_meet_a_call_are_in_force() -> None:
    clock = InstantClock()
    faults = CallFaults(clock=clock)
    faults.delay(3)
    faults.refuse()
    async with serving(EchoService(), faults=faults) as client:
        await refused(client)
    assert clock.waited == [3]


@pytest.mark.parametrize(
    "wrong", [{"probability": 1.5}, {"probability": -0.1}, {"nth": 0}, {"times": 0}]
)
def test_choice_out_of_range_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CallFaults().drop(**wrong)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_delay_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="delay"):
        CallFaults().delay(seconds)


@pytest.mark.parametrize("operation", ["Echo", ""])
def test_operation_that_is_like_none_is_refused(operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation='{operation}' is like none"):
        CallFaults().refuse(operation=operation)


def test_code_in_place_of_an_error_is_refused() -> None:
    code: Any = 404
    with pytest.raises(TypeError, match=r"an Error\(code, reason\), not 404"):
        CallFaults().error(code)


def test_cut_after_less_than_no_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="after=-1"):
        CallFaults().cut_stream(after=-1)


async def test_retry_makes_a_refused_call_again() -> None:
    service, faults = EchoService(), CallFaults()
    faults.refuse(nth=1)
    again = retry(idempotent=lambda _method: True, clock=InstantClock())
    async with serving(service, client_middleware=[again], faults=faults) as client:
        assert await call(client) == ["ok"]
    assert service.seen == ["ok"]


class Nodes:
    """Two nodes behind a connector with faults, and a client of both."""

    def __init__(self) -> None:
        self.faults = CallFaults()
        self.inner = FakeConnector()
        self.services = {"a:1": EchoService(), "b:1": EchoService()}
        for address, service in self.services.items():
            self.inner.serve(address, service)
        self.client = Client(
            "direct:///a:1,b:1", transport=self.faults.connector(self.inner), timeout=None
        )

    def seen(self) -> tuple[int, int]:
        """Return how many calls each node has got."""
        return len(self.services["a:1"].seen), len(self.services["b:1"].seen)

    async def ready(self) -> None:
        """Wait until both nodes are."""
        async with asyncio.timeout(10):
            while not all(each.ready for each in self.client.stats()):  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_rule_names_the_node_that_it_meets() -> None:
    nodes = Nodes()
    rule = nodes.faults.refuse(address="a:1")
    async with nodes.client as client:
        await nodes.ready()
        for _ in range(4):
            try:
                await call(client)
            except Error:
                pass
    assert rule.hits == 2
    assert nodes.seen() == (0, 2)


async def test_node_that_goes_away_finishes_its_calls_and_gets_no_more() -> None:
    nodes = Nodes()
    async with nodes.client as client:
        await nodes.ready()
        running = [asyncio.create_task(call(client, ECHO, "hang")) for _ in range(2)]
        for service in nodes.services.values():
            await service.entered.wait()
        nodes.faults.go_away("a:1")
        for _ in range(4):
            assert await call(client) == ["ok"]
        assert nodes.seen() == (1, 5)
        assert not any(each.done() for each in running)
        for each in running:
            each.cancel()
        await asyncio.wait(running)


async def test_connection_that_was_picked_before_refuses_a_call_of_a_node_that_goes() -> None:
    faults, inner = CallFaults(), FakeConnector(lazy=True)
    inner.serve("a:1", EchoService())
    client = Client("direct:///a:1", transport=faults.connector(inner), fail_fast=True)
    async with client:
        assert await call(client) == ["ok"]
        faults.go_away()
        assert (await refused(client))[0] == 503


async def test_restored_node_gets_calls_again() -> None:
    nodes = Nodes()
    nodes.faults.go_away("a:1")
    async with nodes.client as client:
        assert await call(client) == ["ok"]
        nodes.faults.restore("a:1")
        await nodes.ready()
        for _ in range(2):
            await call(client)
    assert nodes.seen()[0] >= 1


@every_arity
async def test_half_open_link_lets_nothing_through_until_it_is_restored(
    method: Method[Any, Any],
) -> None:
    service, faults = EchoService(), CallFaults()
    async with serving(service, faults=faults) as client:
        faults.half_open()
        calling = asyncio.create_task(call(client, method))
        await FakeClock().settle()
        assert service.seen == []
        faults.restore()
        assert await calling == ["ok"]


async def test_half_open_link_keeps_the_reply_of_a_call_in_flight() -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def hold(call: Call, request: Any, next: Handler, /) -> Any:
        inside.set()
        await go_on.wait()
        return await next(call, request)

    service, faults = EchoService(), CallFaults()
    async with serving(service, middleware=[hold], faults=faults) as client:
        calling = asyncio.create_task(call(client))
        await inside.wait()
        faults.half_open()
        go_on.set()
        await service.left.wait()
        await FakeClock().settle()
        assert not calling.done()
        faults.restore()
        assert await calling == ["ok"]


async def test_half_open_link_holds_up_an_open_stream() -> None:
    service, faults = EchoService(), CallFaults()
    async with (
        serving(service, faults=faults) as client,
        client.bidi_stream(CHAT, FOREVER) as stream,
    ):
        await stream.send(text("a"))
        assert (await anext(stream)).value == "a"
        faults.half_open()
        sending = asyncio.create_task(stream.send(text("b")))
        await FakeClock().settle()
        assert service.seen == ["a"]
        faults.restore()
        await sending
        assert (await anext(stream)).value == "b"


async def test_call_over_a_half_open_link_ends_by_its_deadline() -> None:
    faults = CallFaults()
    async with serving(EchoService(), faults=faults) as client:
        faults.half_open()
        with pytest.raises(Error) as failure:
            await call(client, options=CallOptions(timeout=0.05))
    assert failure.value.code == 504


@pytest.mark.parametrize("method", [WATCH, CHAT], ids=["server_stream", "bidi_stream"])
def test_open_stream_over_a_half_open_link_ends_by_its_deadline(method: Method[Any, Any]) -> None:
    async def run() -> None:
        service, faults = EchoService(), CallFaults()
        options = CallOptions(timeout=5.0)
        async with serving(service, faults=faults) as client:
            opening: Any = (
                client.server_stream(WATCH, text("ok hang"), options)
                if method is WATCH
                else client.bidi_stream(CHAT, options)
            )
            async with opening as stream:
                faults.half_open()
                with pytest.raises(Error) as failure:
                    await anext(stream)
        assert failure.value.code == 504

    run_in_virtual_time(run())  # opening it has no part in the limit, however busy the machine


@every_arity
async def test_closing_the_client_cuts_off_what_a_half_open_link_holds(
    method: Method[Any, Any],
) -> None:
    faults = CallFaults()
    faults.half_open()
    async with serving(EchoService(), faults=faults) as client:
        calling = asyncio.create_task(call(client, method))
        await FakeClock().settle()
    with pytest.raises(Error) as failure:
        await calling
    assert failure.value.code == 503


async def test_closing_the_client_cuts_off_an_open_stream_that_a_half_open_link_holds() -> None:
    faults = CallFaults()
    async with serving(EchoService(), faults=faults) as client:
        stream = await client.bidi_stream(CHAT, FOREVER).__aenter__()
        faults.half_open()
        reading = asyncio.ensure_future(anext(stream))
        await FakeClock().settle()
    with pytest.raises(Error) as failure:
        await reading
    assert failure.value.code == 503


async def test_closing_the_client_cuts_off_what_was_dropped() -> None:
    faults = CallFaults()
    dropped = faults.drop()
    async with serving(EchoService(), faults=faults) as client:
        calling = asyncio.create_task(call(client))
        await dropped.met()
    with pytest.raises(Error) as failure:
        await calling
    assert failure.value.code == 503


async def test_closing_with_time_lets_a_call_that_is_held_up_end() -> None:
    clock, faults = FakeClock(), CallFaults()
    held = CallFaults(clock=clock)
    rule = held.delay(5)
    inner = FakeConnector(lazy=True)
    inner.serve("a:1", EchoService())
    client = Client("direct:///a:1", transport=held.connector(faults.connector(inner)))
    async with client:
        calling = asyncio.create_task(call(client))
        await rule.met()
        closing = asyncio.create_task(client.aclose(drain=10))
        await clock.advance(5)
        assert await calling == ["ok"]
        await closing


async def test_closed_connection_refuses_calls() -> None:
    inner = FakeConnector(lazy=True)
    inner.serve("a:1", EchoService())
    connection = CallFaults().connector(inner).connect(Node(scheme="http", address="a:1"))
    await connection.aclose()
    with pytest.raises(Error, match="a:1: the connection is closed"):
        await ChainCaller(connection.invoke, transport="http").unary(ECHO, text("ok"))


@every_arity
async def test_middleware_of_a_server_disturbs_before_the_handler(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    faults.refuse()
    async with serving(service, middleware=[faults.middleware()]) as client:
        assert await refused(client, method) == (503, "UNAVAILABLE")
    assert service.seen == []


@every_arity
async def test_middleware_of_a_server_loses_what_the_handler_answers(
    method: Method[Any, Any],
) -> None:
    service, faults = EchoService(), CallFaults()
    faults.lose_reply()
    async with serving(service, middleware=[faults.middleware()]) as client:
        assert await refused(client, method) == (503, "UNAVAILABLE")
    assert service.seen == ["ok"]


@pytest.mark.parametrize("side", ["middleware", "client_middleware"])
async def test_middleware_breaks_a_stream_on_either_side(side: str) -> None:
    faults, got = CallFaults(), list[str]()
    faults.cut_stream(after=2)
    chains: Any = {side: [faults.middleware()]}
    async with serving(EchoService(), **chains) as client:
        with pytest.raises(Error, match="broke after 2 replies"):
            await watched(client, "a b c", got)
    assert got == ["a", "b"]


def asking(**headers: str) -> CallOptions:
    """Return options that ask for faults."""
    return CallOptions(headers={f"x-kratos-fault-{name}": value for name, value in headers.items()})


async def test_headers_are_ignored_unless_they_are_allowed() -> None:
    async with serving(EchoService(), middleware=[CallFaults().middleware()]) as client:
        assert await call(client, options=asking(code="503", delay="1h")) == ["ok"]


@every_arity
async def test_caller_asks_for_an_error_where_it_may(method: Method[Any, Any]) -> None:
    service, faults = EchoService(), CallFaults()
    async with serving(service, middleware=[faults.middleware(from_headers=True)]) as client:
        with pytest.raises(Error) as failure:
            await call(client, method, options=asking(code="418"))
        assert await call(client, method) == ["ok"]
    assert (failure.value.code, failure.value.reason) == (418, "FAULT_INJECTED")
    assert service.seen == ["ok"]


async def test_caller_asks_for_a_delay_within_the_limit() -> None:
    clock = InstantClock()
    allowed = CallFaults(clock=clock).middleware(from_headers=True, max_delay=2)
    async with serving(EchoService(), middleware=[allowed]) as client:
        await call(client, options=asking(delay="250ms"))
        await call(client, options=asking(delay="1h"))
    assert clock.waited == [0.25, 2]


@pytest.mark.parametrize(
    "headers",
    [
        {"delay": "soon"},
        {"delay": "-1s"},
        {"code": "200"},
        {"code": "5xx"},
        {"code": "\u0665\u0660\u0663"},
    ],
)
async def test_malformed_headers_are_told(headers: dict[str, str]) -> None:
    allowed = CallFaults().middleware(from_headers=True)
    async with serving(EchoService(), middleware=[allowed]) as client:
        with pytest.raises(Error) as failure:
            await call(client, options=asking(**headers))
    assert (failure.value.code, failure.value.reason) == (400, "FAULT_MALFORMED")
