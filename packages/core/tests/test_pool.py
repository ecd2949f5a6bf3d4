"""Connections of a client: which node a call goes to, and what happens when nodes go and come."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.client.pool import Pool
from kratos.errors import Error
from kratos.selector import (
    Node,
    NodeFilter,
    NodeSet,
    Outcome,
    OutcomeKind,
    Pick,
    WeightedRoundRobin,
    version,
)
from kratos.testing.clock import FakeClock
from kratos.testing.connector import FakeConnection, FakeConnector
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import Call, CallOptions, Cause, ChainCaller, Handler

VARIABLE: ContextVar[str] = ContextVar("variable", default="of nobody")


class RecordedPick:
    def __init__(self, pick: Pick, kinds: list[tuple[str, OutcomeKind]]) -> None:
        self.node = pick.node
        self._pick = pick
        self._kinds = kinds

    def done(self, outcome: Outcome, /) -> None:
        self._kinds.append((self.node.address, outcome.kind))
        self._pick.done(outcome)


class Recorder:
    """A selector that keeps what it was told."""

    def __init__(self) -> None:
        self.kinds: list[tuple[str, OutcomeKind]] = []
        self._inner = WeightedRoundRobin()

    def apply(self, nodes: Sequence[Node], /) -> None:
        self._inner.apply(nodes)

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        return RecordedPick(self._inner.select(call, filters=filters, avoid=avoid), self.kinds)


class Bench:
    """A pool over made-up nodes, with a caller on top."""

    def __init__(
        self,
        *,
        lazy: bool = False,
        fail_fast: bool | None = False,
        drain: float = 10.0,
        filters: Sequence[NodeFilter] = (),
        timeout: float | None = None,
        selector: Recorder | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.connector = FakeConnector(scheme="grpc", lazy=lazy)
        self.selector = selector or Recorder()
        self.pool = Pool(
            self.connector,
            self.selector,
            target="discovery:///echo",
            filters=filters,
            fail_fast=fail_fast,
            drain=drain,
            clock=self.clock,
        )
        self.caller = ChainCaller(self.pool.invoke, transport="grpc", timeout=timeout)
        self.services: dict[str, EchoService] = {}
        self._revision = 0

    def serve(self, *addresses: str) -> None:
        for address in addresses:
            service = self.services.setdefault(address, EchoService())
            self.connector.serve(address, service)

    def apply(self, *addresses: str, stale_since: float | None = None) -> None:
        self._revision += 1
        nodes = tuple(Node(scheme="grpc", address=address) for address in addresses)
        self.pool.apply(NodeSet(nodes=nodes, revision=self._revision, stale_since=stale_since))

    async def up(self, *addresses: str) -> None:
        self.serve(*addresses)
        self.apply(*addresses)
        await self.clock.settle()

    async def call(self, word: str = "ok", options: CallOptions | None = None) -> str:
        return (await self.caller.unary(ECHO, text(word), options)).value

    def start(self, word: str = "ok", options: CallOptions | None = None) -> asyncio.Task[str]:
        return asyncio.create_task(self.call(word, options))

    async def peers(self, count: int, options: CallOptions | None = None) -> Counter[str]:
        before = {address: len(service.seen) for address, service in self.services.items()}
        for _ in range(count):
            await self.call(options=options)
        return +Counter(
            {
                address: len(service.seen) - before.get(address, 0)
                for address, service in self.services.items()
            }
        )

    def only_connection(self) -> FakeConnection:
        (connection,) = self.connector.connections
        return connection


async def outcome_of(bench: Bench, word: str, code: int) -> OutcomeKind:
    with pytest.raises(Error) as caught:
        await bench.call(word)
    assert caught.value.code == code
    ((_, kind),) = bench.selector.kinds
    return kind


async def cancel(task: asyncio.Task[str]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_calls_are_spread_over_the_nodes() -> None:
    bench = Bench()
    await bench.up("a:1", "b:1", "c:1")
    assert await bench.peers(9) == {"a:1": 3, "b:1": 3, "c:1": 3}
    await bench.pool.aclose()


async def test_call_knows_its_node() -> None:
    bench = Bench()
    await bench.up("a:1")
    ends: list[str] = []
    await bench.call(options=CallOptions(on_end=lambda call: ends.append(call.peer)))
    assert ends == ["a:1"]
    await bench.pool.aclose()


async def test_node_that_is_not_ready_is_not_picked_while_another_is() -> None:
    bench = Bench()
    bench.serve("a:1")
    bench.connector.silence("b:1")
    bench.apply("a:1", "b:1")
    await bench.clock.settle()
    assert await bench.peers(6) == {"a:1": 6}
    await bench.pool.aclose()


async def test_call_waits_for_the_first_node_that_becomes_ready() -> None:
    bench = Bench()
    bench.connector.silence("a:1")
    bench.connector.silence("b:1")
    bench.apply("a:1", "b:1")
    call = bench.start()
    await bench.clock.settle()
    assert not call.done()
    bench.serve("b:1")
    assert await call == "ok"
    assert bench.services["b:1"].seen == ["ok"]
    await bench.pool.aclose()


async def test_call_waits_until_a_refusing_node_accepts() -> None:
    bench = Bench()
    bench.apply("a:1")
    call = bench.start()
    await bench.clock.advance(60)
    assert not call.done()
    bench.serve("a:1")
    await bench.clock.advance(5)
    assert await call == "ok"
    await bench.pool.aclose()


async def test_attempts_to_connect_are_never_more_than_five_seconds_apart() -> None:
    bench = Bench()
    bench.apply("a:1")
    await bench.clock.advance(60)
    before = bench.only_connection().attempts
    await bench.clock.advance(5.1)
    assert bench.only_connection().attempts > before
    await bench.pool.aclose()


async def test_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.INFO, "kratos.client"):
        bench.apply("a:1")
        await bench.clock.advance(60)
        bench.serve("a:1")
        await bench.clock.advance(5)
    assert [record.message.removeprefix("discovery:///echo: ") for record in caplog.records] == [
        "cannot connect to a:1 (ConnectionRefusedError: connection refused), trying again",
        "connected to a:1",
    ]
    await bench.pool.aclose()


async def test_outage_is_told_in_the_words_of_its_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asleep(_connection: FakeConnection) -> None:
        raise Error(503, "UNREACHABLE", "no connection to a:1: it is asleep")

    monkeypatch.setattr(FakeConnection, "warm", asleep)
    bench = Bench(fail_fast=True)
    with caplog.at_level(logging.WARNING, "kratos.client"):
        bench.apply("a:1")
        await bench.clock.settle()
        with pytest.raises(Error) as failure:
            await bench.call()
    (line,) = (record.message for record in caplog.records)
    assert "cannot connect to a:1 (no connection to a:1: it is asleep), trying again" in line
    assert str(failure.value.__cause__).endswith("a:1: no connection to a:1: it is asleep")
    await bench.pool.aclose()


async def test_connection_that_is_lost_as_soon_as_it_stands_is_tried_again() -> None:
    class Fickle(FakeConnection):
        async def warm(self) -> None:
            await super().warm()
            if self.attempts == 1:
                self.lose()

    class FickleConnector(FakeConnector):
        def connect(self, node: Node, /) -> FakeConnection:
            return Fickle(self, node, ready=False)

    connector, clock = FickleConnector(), FakeClock()
    connector.serve("a:1", EchoService())
    pool = Pool(connector, WeightedRoundRobin(), target="a:1", clock=clock)
    pool.apply(NodeSet(nodes=(Node(scheme="http", address="a:1"),), revision=1))
    await clock.settle()
    assert [stats.ready for stats in pool.stats()] == [False]
    await clock.advance(1)
    assert [stats.ready for stats in pool.stats()] == [True]
    await pool.aclose()


async def test_call_that_waits_can_be_cancelled() -> None:
    bench = Bench()
    bench.connector.silence("a:1")
    bench.apply("a:1")
    call = bench.start()
    await bench.clock.settle()
    await cancel(call)
    bench.serve("a:1")
    assert await bench.call() == "ok"
    assert bench.services["a:1"].seen == ["ok"]
    await bench.pool.aclose()


async def test_deadline_that_passes_before_a_node_is_ready_says_why() -> None:
    bench = Bench(timeout=0.01)
    bench.apply("a:1")
    await bench.clock.settle()
    with pytest.raises(Error) as caught:
        await bench.call()
    assert (caught.value.code, caught.value.reason) == (504, "DEADLINE_EXCEEDED")
    assert "a:1" not in caught.value.message  # it may travel on, and the address must not
    assert "a:1: ConnectionRefusedError" in str(caught.value.cause)
    await bench.pool.aclose()


async def test_deadline_that_the_call_itself_told_says_why_too() -> None:
    calls: list[Call] = []

    async def keep(call: Call, request: Any, next: Handler, /) -> Any:
        calls.append(call)
        return await next(call, request)

    bench = Bench()
    caller = ChainCaller(bench.pool.invoke, transport="grpc", middleware=[keep])
    bench.apply("a:1")
    waiting = asyncio.create_task(caller.unary(ECHO, text("ok")))
    await bench.clock.settle()
    calls[0].cancel(Cause.DEADLINE)
    with pytest.raises(Error) as caught:
        await waiting
    assert caught.value.code == 504
    assert "a:1: ConnectionRefusedError" in str(caught.value.cause)
    await bench.pool.aclose()


async def test_attempt_has_a_deadline_of_its_own() -> None:
    async def attempt(call: Call, request: Any, next: Handler, /) -> Any:
        fork = call.fork()
        fork.limit(0.01)
        return await next(fork, request)

    bench = Bench()
    caller = ChainCaller(bench.pool.invoke, transport="grpc", middleware=[attempt], timeout=None)
    bench.apply("a:1")
    with pytest.raises(Error, match="deadline passed"):
        await caller.unary(ECHO, text("ok"))
    await bench.pool.aclose()


async def test_connecting_is_no_part_of_the_call_that_needed_it() -> None:
    seen: list[str] = []

    class Curious(FakeConnection):
        async def warm(self) -> None:
            seen.append(VARIABLE.get())
            await super().warm()

    class CuriousConnector(FakeConnector):
        def connect(self, node: Node, /) -> FakeConnection:
            return Curious(self, node, ready=False)

    connector = CuriousConnector()
    connector.serve("a:1", EchoService())
    pool = Pool(connector, WeightedRoundRobin(), target="a:1")
    token = VARIABLE.set("of a call")
    pool.apply(NodeSet(nodes=(Node(scheme="http", address="a:1"),), revision=1))
    await pool.ready()
    VARIABLE.reset(token)
    assert seen == ["of nobody"]
    await pool.aclose()


async def test_reasons_name_three_nodes_and_count_the_rest() -> None:
    bench = Bench(timeout=0.01)
    bench.apply(*(f"n{number}:1" for number in range(5)))
    await bench.clock.settle()
    with pytest.raises(Error) as caught:
        await bench.call()
    reasons = str(caught.value.cause)
    assert reasons.count("refused") == 3
    assert reasons.endswith("; 2 more")
    await bench.pool.aclose()


async def test_call_that_fails_fast_is_refused_when_no_node_is_ready() -> None:
    bench = Bench()
    bench.apply("a:1")
    await bench.clock.settle()
    with pytest.raises(Error) as caught:
        await bench.call(options=CallOptions(fail_fast=True))
    assert (caught.value.code, caught.value.reason) == (503, "no_available_node")
    assert "a:1: ConnectionRefusedError" in str(caught.value.cause)
    await bench.pool.aclose()


async def test_client_may_fail_fast_as_a_whole() -> None:
    bench = Bench(fail_fast=True)
    bench.apply("a:1")
    await bench.clock.settle()
    with pytest.raises(Error, match="no node of discovery:///echo is ready"):
        await bench.call()
    await bench.pool.aclose()


async def test_call_that_fails_fast_waits_for_what_comes_of_the_first_attempt() -> None:
    bench = Bench(fail_fast=True)
    bench.connector.silence("a:1")
    bench.apply("a:1")
    good = bench.start()
    await bench.clock.settle()
    bench.serve("a:1")
    assert await good == "ok"
    await bench.pool.aclose()


async def test_call_that_fails_fast_is_refused_when_the_first_attempt_fails() -> None:
    bench = Bench(fail_fast=True)
    bench.connector.silence("a:1")
    bench.apply("a:1")
    bad = bench.start()
    await bench.clock.settle()
    bench.connector.stop("a:1")
    with pytest.raises(Error, match="no node of discovery:///echo is ready"):
        await bad
    await bench.pool.aclose()


async def test_call_to_nodes_that_the_target_names_fails_when_all_refuse() -> None:
    bench = Bench(fail_fast=None)
    bench.apply("a:1", "b:1")
    with pytest.raises(Error, match="no node of discovery:///echo is ready") as caught:
        await bench.call()
    assert (caught.value.code, caught.value.reason) == (503, "no_available_node")
    assert "a:1: ConnectionRefusedError" in str(caught.value.cause)
    assert "b:1: ConnectionRefusedError" in str(caught.value.cause)
    await bench.pool.aclose()


async def test_call_to_nodes_that_the_target_names_has_them_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.9)
    bench = Bench(fail_fast=None)
    bench.apply("a:1")
    await bench.clock.settle()
    bench.serve("a:1")
    await bench.clock.advance(0.1)  # which is less than until the next attempt
    assert [stats.ready for stats in bench.pool.stats()] == [False]
    assert await bench.call() == "ok"
    await bench.pool.aclose()


async def test_calls_that_come_together_share_one_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.9)
    bench = Bench(fail_fast=None)
    bench.apply("a:1")
    await bench.clock.settle()
    await bench.clock.advance(0.1)
    calls = [bench.start() for _ in range(10)]
    await asyncio.wait(calls)
    assert all(isinstance(call.exception(), Error) for call in calls)
    assert bench.only_connection().attempts == 2
    await bench.pool.aclose()


async def test_call_waits_for_the_slower_of_two_attempts() -> None:
    bench = Bench(fail_fast=None)
    bench.apply("a:1", "b:1")
    await bench.clock.advance(0.1)
    bench.connector.silence("b:1")
    call = bench.start()
    await bench.clock.settle()
    bench.serve("b:1")
    assert await call == "ok"
    await bench.pool.aclose()


async def test_call_takes_no_answer_of_an_attempt_from_before_it() -> None:
    bench = Bench(fail_fast=None)
    bench.connector.silence("a:1")
    bench.apply("a:1")
    await bench.clock.advance(0.1)
    call = bench.start()
    await bench.clock.settle()
    bench.connector.stop("a:1")
    bench.serve("a:1")
    assert await call == "ok"
    await bench.pool.aclose()


async def test_call_may_wait_for_a_node_though_its_client_does_not() -> None:
    bench = Bench(fail_fast=True)
    bench.apply("a:1")
    await bench.clock.settle()
    waiting = bench.start(options=CallOptions(fail_fast=False))
    await bench.clock.settle()
    bench.serve("a:1")
    await bench.clock.advance(5)
    assert await waiting == "ok"
    await bench.pool.aclose()


async def test_empty_set_says_no_available_node() -> None:
    bench = Bench()
    bench.apply()
    with pytest.raises(Error) as caught:
        await bench.call()
    assert (caught.value.code, caught.value.reason) == (503, "no_available_node")
    await bench.pool.aclose()


async def test_who_calls_again_and_again_lets_others_bring_a_node() -> None:
    bench = Bench()
    bench.apply()
    bringing = asyncio.ensure_future(bench.up("a:1"))
    answers: list[str] = []
    for _ in range(100):
        with suppress(Error):
            answers.append(await bench.call())
    assert "ok" in answers
    await bringing
    await bench.pool.aclose()


async def test_call_before_the_first_answer_waits_for_it() -> None:
    bench = Bench()
    call = bench.start()
    await bench.clock.settle()
    bench.serve("a:1")
    bench.apply("a:1")
    assert await call == "ok"
    await bench.pool.aclose()


async def test_call_before_the_first_answer_learns_that_there_is_no_node() -> None:
    bench = Bench()
    call = bench.start()
    await bench.clock.settle()
    bench.apply()
    with pytest.raises(Error, match="no_available_node"):
        await call
    await bench.pool.aclose()


async def test_call_that_fails_fast_does_not_wait_for_a_registry_that_is_away() -> None:
    bench = Bench(fail_fast=True)
    bench.pool.apply(NodeSet(stale_since=1.0))
    with pytest.raises(Error, match="no node is known yet") as caught:
        await bench.call()
    assert "the registry has not answered yet" in str(caught.value.cause)
    await bench.pool.aclose()


async def test_node_whose_connection_broke_is_left_out_until_it_is_back() -> None:
    bench = Bench()
    await bench.up("a:1", "b:1")
    bench.connector.stop("a:1")
    assert await bench.peers(4) == {"b:1": 4}
    bench.serve("a:1")
    await bench.clock.advance(5)
    assert await bench.peers(4) == {"a:1": 2, "b:1": 2}
    await bench.pool.aclose()


async def test_connection_that_opens_on_use_is_not_opened_before() -> None:
    bench = Bench(lazy=True)
    await bench.up("a:1")
    assert bench.only_connection().attempts == 0
    assert await bench.call() == "ok"
    await bench.pool.aclose()


async def test_connection_that_opens_on_use_is_left_out_once_it_failed() -> None:
    bench = Bench(lazy=True)
    bench.serve("b:1")
    bench.apply("a:1", "b:1")
    with pytest.raises(Error, match="UNAVAILABLE"):
        await bench.call()
    assert await bench.peers(4) == {"b:1": 4}
    await bench.pool.aclose()


async def test_call_in_flight_on_a_node_that_leaves_is_finished() -> None:
    bench = Bench()
    await bench.up("a:1")
    replies = bench.caller.server_stream(WATCH, text("one two"))
    async with replies as stream:
        assert (await stream.__anext__()).value == "one"
        bench.serve("b:1")
        bench.apply("b:1")
        await bench.clock.settle()
        leaving = bench.connector.connection("a:1")
        assert leaving.drains == [10.0]
        assert [reply.value async for reply in stream] == ["two"]
    await bench.clock.settle()
    assert leaving.in_flight == 0
    assert await bench.peers(2) == {"b:1": 2}
    await bench.pool.aclose()


async def test_call_in_flight_past_the_drain_time_is_cut_off() -> None:
    bench = Bench(drain=0.0)
    await bench.up("a:1")
    call = bench.start("hang")
    await bench.services["a:1"].entered.wait()
    bench.apply()
    with pytest.raises(Error) as caught:
        await call
    assert caught.value.code == 503
    await bench.pool.aclose()


async def test_node_that_comes_back_gets_a_new_connection() -> None:
    bench = Bench()
    await bench.up("a:1")
    bench.apply()
    await bench.up("a:1")
    assert len(bench.connector.connections) == 2
    assert bench.connector.connections[0].closed
    assert await bench.call() == "ok"
    await bench.pool.aclose()


async def test_node_that_stays_keeps_its_connection() -> None:
    bench = Bench()
    await bench.up("a:1")
    await bench.up("a:1", "b:1")
    await bench.up("a:1")
    assert [connection.node.address for connection in bench.connector.connections] == ["a:1", "b:1"]
    await bench.pool.aclose()


async def test_answer_counts_as_a_success_of_the_node() -> None:
    bench = Bench()
    await bench.up("a:1")
    await bench.call()
    assert bench.selector.kinds == [("a:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_error_of_the_business_counts_as_a_success_of_the_node() -> None:
    bench = Bench()
    await bench.up("a:1")
    assert await outcome_of(bench, "fail", 409) is OutcomeKind.SUCCESS
    await bench.pool.aclose()


async def test_crash_of_the_handler_counts_as_a_failure_of_the_node() -> None:
    bench = Bench()
    await bench.up("a:1")
    assert await outcome_of(bench, "crash", 500) is OutcomeKind.FAILURE
    await bench.pool.aclose()


async def test_deadline_that_passes_on_the_node_counts_as_its_failure() -> None:
    bench = Bench(timeout=0.01)
    await bench.up("a:1")
    assert await outcome_of(bench, "hang", 504) is OutcomeKind.FAILURE
    await bench.pool.aclose()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ConnectionResetError(), OutcomeKind.FAILURE),
        (EOFError(), OutcomeKind.FAILURE),
        (ValueError("a message that cannot be encoded"), OutcomeKind.CANCELLED),
    ],
    ids=["reset", "eof", "own_mistake"],
)
async def test_foreign_exception_blames_the_node_only_for_its_connection(
    raised: Exception, kind: OutcomeKind
) -> None:
    class Failing(FakeConnection):
        async def invoke(self, call: Call, request: Any, /) -> Any:
            raise raised

    class FailingConnector(FakeConnector):
        def connect(self, node: Node, /) -> FakeConnection:
            return Failing(self, node, ready=True)

    selector = Recorder()
    pool = Pool(FailingConnector(), selector, target="a:1")
    pool.apply(NodeSet(nodes=(Node(scheme="http", address="a:1"),), revision=1))
    with pytest.raises(type(raised)):
        await ChainCaller(pool.invoke, transport="http").unary(ECHO, text("ok"))
    assert selector.kinds == [("a:1", kind)]
    await pool.aclose()


async def test_cancelled_call_counts_as_neither() -> None:
    bench = Bench()
    await bench.up("a:1")
    call = bench.start("hang")
    await bench.services["a:1"].entered.wait()
    await cancel(call)
    assert bench.selector.kinds == [("a:1", OutcomeKind.CANCELLED)]
    await bench.pool.aclose()


async def test_stream_reports_at_its_end() -> None:
    bench = Bench()
    await bench.up("a:1")
    async with bench.caller.server_stream(WATCH, text("one two")) as stream:
        await stream.__anext__()
        assert bench.selector.kinds == []
        assert [reply.value async for reply in stream] == ["two"]
    assert bench.selector.kinds == [("a:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_stream_that_is_left_early_counts_as_neither() -> None:
    bench = Bench()
    await bench.up("a:1")
    async with bench.caller.server_stream(WATCH, text("one two")) as stream:
        await stream.__anext__()
    assert bench.selector.kinds == [("a:1", OutcomeKind.CANCELLED)]
    await bench.pool.aclose()


async def test_stream_waits_for_a_ready_node_too() -> None:
    bench = Bench()
    bench.connector.silence("a:1")
    bench.apply("a:1")

    async def read() -> list[str]:
        async with bench.caller.server_stream(WATCH, text("one two")) as stream:
            return [reply.value async for reply in stream]

    reading = asyncio.create_task(read())
    await bench.clock.settle()
    bench.serve("a:1")
    assert await reading == ["one", "two"]
    await bench.pool.aclose()


async def test_filters_of_client_and_call_both_hold() -> None:
    def without(address: str) -> NodeFilter:
        return lambda _call, nodes: [node for node in nodes if node.address != address]

    bench = Bench(filters=[without("a:1")])
    await bench.up("a:1", "b:1", "c:1")
    options = CallOptions(filters=[without("b:1")])
    assert await bench.peers(4, options) == {"c:1": 4}
    assert await bench.peers(4) == {"b:1": 2, "c:1": 2}
    await bench.pool.aclose()


async def test_avoided_node_is_left_out_while_another_is_ready() -> None:
    bench = Bench()
    await bench.up("a:1", "b:1")
    bench.connector.silence("c:1")
    bench.apply("a:1", "b:1", "c:1")
    options = CallOptions(avoid={"a:1"})
    assert await bench.peers(4, options) == {"b:1": 4}
    bench.connector.stop("b:1")
    assert await bench.peers(4, options) == {"a:1": 4}
    await bench.pool.aclose()


async def test_call_waits_only_for_nodes_that_its_filters_leave() -> None:
    bench = Bench()
    await bench.up("a:1")
    bench.connector.silence("b:1")
    bench.apply("a:1", "b:1")
    options = CallOptions(filters=[lambda _call, nodes: nodes[1:]])
    call = bench.start(options=options)
    await bench.clock.settle()
    assert not call.done()
    bench.serve("b:1")
    assert await call == "ok"
    assert bench.services["a:1"].seen == []
    await bench.pool.aclose()


async def test_error_of_a_filter_reaches_the_caller() -> None:
    def refuse(_call: Call, _nodes: Sequence[Node]) -> Sequence[Node]:
        raise Error(403, "NO_TENANT")

    bench = Bench(filters=[refuse])
    await bench.up("a:1")
    with pytest.raises(Error, match="NO_TENANT"):
        await bench.call()
    await bench.pool.aclose()


class Broken(Recorder):
    """A selector that fails."""

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        raise Error(500, "BROKEN")


async def test_error_of_a_selector_reaches_the_caller_and_sends_nothing() -> None:
    bench = Bench(selector=Broken())
    await bench.up("a:1")
    with pytest.raises(Error, match="BROKEN"):
        await bench.call()
    assert bench.services["a:1"].seen == []
    await bench.pool.aclose()


class Disobedient(Recorder):
    """A selector that picks what it likes, whatever its filters say."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._own = WeightedRoundRobin()
        self._own.apply([Node(scheme="http", address=address)])

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        return self._own.select(call)


@pytest.mark.parametrize(
    ("address", "why"), [("stranger:1", "is not listed"), ("a:1", "a filter had left out")]
)
async def test_selector_that_picks_what_it_may_not_is_named(address: str, why: str) -> None:
    pool = Pool(FakeConnector(), Disobedient(address), target="direct:///a:1")
    pool.apply(NodeSet(nodes=(Node(scheme="http", address="a:1"),), revision=1))
    with pytest.raises(RuntimeError, match=f"Disobedient.*picked.*{address}.*which {why}"):
        await ChainCaller(pool.invoke, transport="http").unary(ECHO, text("ok"))
    await pool.aclose()


async def test_stats_tell_of_each_node() -> None:
    bench = Bench()
    await bench.up("a:1")
    await bench.call()
    with pytest.raises(Error):
        await bench.call("crash")
    bench.connector.silence("b:1")
    bench.apply("a:1", "b:1")
    bench.services["a:1"].entered.clear()
    hanging = bench.start("hang")
    await bench.services["a:1"].entered.wait()
    first, second = bench.pool.stats()
    assert (first.node.address, first.ready, first.in_flight) == ("a:1", True, 1)
    assert (first.calls, first.failures) == (2, 1)
    assert (second.node.address, second.ready, second.calls) == ("b:1", False, 0)
    await cancel(hanging)
    await bench.pool.aclose()


async def test_ready_returns_when_the_first_node_is() -> None:
    bench = Bench()
    ready = asyncio.create_task(bench.pool.ready())
    await bench.clock.settle()
    bench.connector.silence("a:1")
    bench.apply("a:1")
    await bench.clock.settle()
    assert not ready.done()
    bench.serve("a:1")
    await ready
    await bench.pool.aclose()


async def test_closing_fails_calls_that_wait() -> None:
    bench = Bench()
    bench.connector.silence("a:1")
    bench.apply("a:1")
    call = bench.start()
    await bench.clock.settle()
    await bench.pool.aclose()
    with pytest.raises(Error, match="the client is closed"):
        await call


async def test_closing_leaves_no_task() -> None:
    bench = Bench()
    await bench.up("a:1")
    hanging = bench.start("hang")
    await bench.services["a:1"].entered.wait()
    bench.connector.silence("b:1")
    bench.apply("b:1", "c:1")  # one connecting, one backing off, one draining
    await bench.clock.settle()
    await bench.pool.aclose()
    with pytest.raises(Error):
        await hanging
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(connection.closed for connection in bench.connector.connections)


async def test_closing_lets_calls_in_flight_end() -> None:
    bench = Bench()
    await bench.up("a:1")
    async with bench.caller.server_stream(WATCH, text("one two")) as stream:
        await stream.__anext__()
        closing = asyncio.create_task(bench.pool.aclose(drain=10))
        await bench.clock.settle()
        assert not closing.done()
        assert [reply.value async for reply in stream] == ["two"]
    await closing


async def test_closing_twice_is_harmless() -> None:
    bench = Bench()
    await bench.up("a:1")
    await bench.pool.aclose()
    await bench.pool.aclose()
    assert bench.only_connection().drains == [0.0]


async def test_closing_that_is_cancelled_cuts_calls_off_and_closes() -> None:
    bench = Bench()
    await bench.up("a:1")
    hanging = bench.start("hang")
    await bench.services["a:1"].entered.wait()
    closing = asyncio.create_task(bench.pool.aclose(drain=10))
    await bench.clock.settle()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(Error):
        await hanging
    assert bench.only_connection().drains == [10, 0.0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_connection_that_fails_to_close_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeConnection):
        async def aclose(self, *, drain: float = 0.0) -> None:
            await super().aclose(drain=drain)
            raise OSError("stuck")

    class BrokenConnector(FakeConnector):
        def connect(self, node: Node, /) -> FakeConnection:
            return Broken(self, node, ready=True)

    pool = Pool(BrokenConnector(), WeightedRoundRobin(), target="a:1")
    pool.apply(NodeSet(nodes=(Node(scheme="http", address="a:1"),), revision=1))
    await pool.aclose()
    assert [record.message for record in caplog.records] == [
        "a:1: closing a:1 failed: OSError: stuck"
    ]


async def test_set_that_comes_after_closing_is_ignored() -> None:
    bench = Bench()
    await bench.pool.aclose()
    bench.apply("a:1")
    assert bench.connector.connections == []


ADDRESSES = ["a:1", "b:1", "c:1", "d:1"]
Step: TypeAlias = Callable[[Bench, list[asyncio.Task[str]]], Awaitable[None] | None]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """One thing that may happen to a client."""
    address = draw(st.sampled_from(ADDRESSES))
    listed = draw(st.lists(st.sampled_from(ADDRESSES), unique=True))
    seconds = draw(st.sampled_from([0, 1, 10]))
    options: list[Step] = [
        lambda bench, _calls: bench.apply(*listed),
        lambda bench, _calls: bench.serve(address),
        lambda bench, _calls: bench.connector.stop(address),
        lambda bench, _calls: bench.connector.silence(address),
        lambda bench, calls: calls.extend(bench.start() for _ in range(3)),
        lambda bench, _calls: bench.clock.advance(seconds),
    ]
    return draw(st.sampled_from(options))


@settings(max_examples=60, deadline=None)
@given(history=st.lists(steps(), max_size=25))
def test_churn_ends_every_call_with_an_answer_or_a_503(history: list[Step]) -> None:
    async def churn() -> None:
        bench = Bench()
        calls: list[asyncio.Task[str]] = []
        for step in history:
            taken = step(bench, calls)
            if taken is not None:
                await taken
        bench.serve(*ADDRESSES)
        bench.apply(*ADDRESSES)
        await bench.clock.advance(10)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(end == "ok" or (isinstance(end, Error) and end.code == 503) for end in ends)
        assert await bench.call() == "ok"
        assert sum(stats.in_flight for stats in bench.pool.stats()) == 0
        await bench.pool.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(churn())


async def test_affinity_falls_back_while_the_preferred_nodes_are_not_connected() -> None:
    def prefer_a(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        return [node for node in nodes if node.address == "a:1"] or nodes

    bench = Bench(filters=[prefer_a])
    await bench.up("a:1", "b:1")
    assert await bench.peers(3) == {"a:1": 3}
    bench.connector.stop("a:1")
    assert await bench.peers(3) == {"b:1": 3}
    await bench.pool.aclose()


async def test_refused_call_is_told_which_filter_left_it_without_a_node() -> None:
    bench = Bench(filters=[version("v2")])
    await bench.up("a:1")
    with pytest.raises(Error) as caught:
        await bench.call()
    expected = "the filter version('v2') leaves none of the 1 nodes of discovery:///echo"
    assert caught.value.message == expected
    await bench.pool.aclose()


async def test_filter_is_named_though_no_node_is_connected() -> None:
    bench = Bench(filters=[version("v2")])
    bench.apply("a:1")
    with pytest.raises(Error, match=r"version\('v2'\) leaves none"):
        await bench.call()
    await bench.pool.aclose()


async def test_node_that_is_not_connected_gets_no_call_and_the_others_share_its_part() -> None:
    bench = Bench()
    await bench.up("a:1", "b:1", "c:1", "d:1")
    bench.connector.stop("c:1")
    assert await bench.peers(30) == {"a:1": 10, "b:1": 10, "d:1": 10}
    await bench.pool.aclose()


async def test_filters_are_not_asked_about_nodes_while_most_are_connected() -> None:
    class Counting(Recorder):
        filtered = 0

        def select(
            self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
        ) -> Pick:
            self.filtered += bool(filters)
            return super().select(call, filters=filters, avoid=avoid)

    bench = Bench()
    selector = Counting()
    bench.pool = Pool(bench.connector, selector, target="test", clock=bench.clock)
    bench.caller = ChainCaller(bench.pool.invoke, transport="grpc", timeout=None)
    await bench.up("a:1", "b:1", "c:1", "d:1")
    bench.connector.stop("d:1")
    await bench.peers(1)
    selector.filtered = 0
    await bench.peers(30)
    assert 0 < selector.filtered < 12
    await bench.pool.aclose()


if sys.version_info >= (3, 12):

    async def test_node_is_connected_to_again_where_tasks_begin_at_once() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        bench = Bench()
        await bench.up("a:1")
        assert await bench.call() == "ok"
        bench.connector.connection("a:1").lose()
        assert await asyncio.wait_for(bench.call(), 10) == "ok"
        await bench.pool.aclose()
