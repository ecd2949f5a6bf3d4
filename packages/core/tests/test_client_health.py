"""Nodes that are asked whether they are healthy."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest

from kratos.client import ActiveHealth, Client, asking
from kratos.client.health import CheckedConnector
from kratos.client.pool import Pool
from kratos.errors import ConfigError, Error
from kratos.selector import Node, NodeSet, WeightedRoundRobin
from kratos.testing.clock import FakeClock
from kratos.testing.connector import FakeConnector
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import CallOptions, ChainCaller, Connection

A, B = "a:1", "b:1"


async def _is_healthy(_connection: Connection) -> bool:
    return True


class _Named(FakeConnector):
    """Speaks something of its own with endpoints of ``http``."""

    transport = "connect"


class Bench:
    """A client of nodes A and B, of which some say that they are not healthy."""

    def __init__(self, *, failures: int = 2, lazy: bool = False) -> None:
        self.clock = FakeClock()
        self.ill: set[str] = set()
        self.asked = Counter[str]()
        self.raises: BaseException | None = None
        self.connector = FakeConnector(lazy=lazy)
        self.services = {address: EchoService() for address in (A, B)}
        for address, service in self.services.items():
            self.connector.serve(address, service)
        health = ActiveHealth(check=self.check, interval=10, failures=failures)
        self.pool = Pool(
            CheckedConnector(self.connector, health, clock=self.clock),
            WeightedRoundRobin(),
            target="test",
            clock=self.clock,
        )
        self.caller = ChainCaller(self.pool.invoke, transport="http", timeout=None)

    async def check(self, connection: Connection) -> bool:
        self.asked[connection.node.address] += 1
        if self.raises is not None:
            raise self.raises
        return connection.node.address not in self.ill

    async def up(self) -> None:
        nodes = tuple(Node(scheme="http", address=address) for address in (A, B))
        self.pool.apply(NodeSet(nodes=nodes, revision=1))
        await self.clock.settle()

    async def calls(self, count: int = 4) -> dict[str, int]:
        before = {address: len(service.seen) for address, service in self.services.items()}
        for _ in range(count):
            await self.caller.unary(ECHO, text("x"))
        return {
            address: len(service.seen) - before[address]
            for address, service in self.services.items()
        }


@pytest.mark.parametrize("lazy", [False, True])
async def test_node_that_is_not_healthy_gets_no_call(*, lazy: bool) -> None:
    bench = Bench(lazy=lazy)
    bench.ill = {A}
    await bench.up()
    assert await bench.calls() == {A: 0, B: 4}
    await bench.pool.aclose()


async def test_node_gets_calls_when_it_has_recovered() -> None:
    bench = Bench()
    bench.ill = {A}
    await bench.up()
    bench.ill = set()
    await bench.clock.advance(5)
    assert await bench.calls() == {A: 2, B: 2}
    await bench.pool.aclose()


async def test_node_that_falls_ill_gets_no_more_calls() -> None:
    bench = Bench(failures=2)
    await bench.up()
    bench.ill = {A}
    await bench.clock.advance(13)
    assert await bench.calls() == {A: 2, B: 2}
    await bench.clock.advance(13)
    assert await bench.calls() == {A: 0, B: 4}
    await bench.pool.aclose()


async def test_one_bad_answer_among_good_ones_is_forgiven() -> None:
    bench = Bench(failures=2)
    await bench.up()
    for _ in range(4):
        bench.ill = {A}
        while bench.asked[A] % 2:
            await bench.clock.advance(1)
        bench.ill = set()
        while not bench.asked[A] % 2:
            await bench.clock.advance(1)
    assert await bench.calls() == {A: 2, B: 2}
    await bench.pool.aclose()


@pytest.mark.parametrize("error", [Error(503, "BUSY"), ConnectionResetError(), ValueError("odd")])
async def test_check_that_fails_is_a_no(error: Exception) -> None:
    bench = Bench()
    bench.raises = error
    await bench.up()
    assert [stats.ready for stats in bench.pool.stats()] == [False, False]
    await bench.pool.aclose()


async def test_check_that_is_cancelled_is_a_no_and_ends_no_later_one() -> None:
    bench = Bench(failures=1)
    await bench.up()
    bench.raises = asyncio.CancelledError()
    await bench.clock.advance(13)
    assert [stats.ready for stats in bench.pool.stats()] == [False, False]
    bench.raises = None
    assert sum((await bench.calls()).values()) == 4
    bench.ill = {A, B}
    await bench.clock.advance(13)
    assert [stats.ready for stats in bench.pool.stats()] == [False, False]
    await bench.pool.aclose()


async def test_ill_health_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(failures=1)
    await bench.up()
    bench.ill = {A}
    await bench.clock.advance(13)
    assert caplog.messages == ["a:1 is not healthy: it says so itself"]
    await bench.pool.aclose()


async def test_closed_connection_is_asked_no_more() -> None:
    bench = Bench()
    await bench.up()
    await bench.pool.aclose()
    asked = dict(bench.asked)
    await bench.clock.advance(100)
    assert dict(bench.asked) == asked
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Picky(EchoService):
    """Answers its health check with a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    async def echo(self, request: Any, /) -> Any:
        if self.word == "501":
            raise Error(501, "UNIMPLEMENTED")
        return text(self.word)


@pytest.mark.parametrize(("word", "ready"), [("well", True), ("ill", False), ("501", True)])
async def test_method_of_the_service_may_be_the_check(word: str, *, ready: bool) -> None:
    connector = FakeConnector()
    connector.serve(A, Picky(word))
    check = asking(ECHO, text("how are you"), healthy=lambda reply: reply.value == "well")
    health = ActiveHealth(check=check)
    connection = CheckedConnector(connector, health).connect(Node(scheme="http", address=A))
    if ready:
        await connection.warm()
    else:
        with pytest.raises(ConnectionError, match="says so itself"):
            await connection.warm()
    assert connection.ready is ready
    await connection.aclose()


async def test_node_that_does_not_answer_in_time_is_not_healthy() -> None:
    connector = FakeConnector()
    connector.serve(A, EchoService())
    health = ActiveHealth(check=asking(ECHO, text("hang"), timeout=0.05))
    connection = CheckedConnector(connector, health).connect(Node(scheme="http", address=A))
    with pytest.raises(ConnectionError, match="DEADLINE_EXCEEDED"):
        await connection.warm()
    await connection.aclose()


async def test_client_asks_its_nodes() -> None:
    connector = FakeConnector()
    connector.serve("a:1", EchoService())
    asked = asyncio.Event()

    async def check(_connection: Connection) -> bool:
        asked.set()
        return True

    health = ActiveHealth(check=check)
    async with Client("a:1", transport=connector, health=health) as caller:
        await caller.unary(ECHO, text("x"))
    assert asked.is_set()


@pytest.mark.parametrize("options", [{"interval": 0}, {"failures": 0}, {"check": None}], ids=str)
def test_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    given: dict[str, Any] = {"check": asking(ECHO, text("x")), **options}
    with pytest.raises(ConfigError, match=next(iter(options))):
        ActiveHealth(**given)


@pytest.mark.parametrize("health", [None, ActiveHealth(check=_is_healthy)])
async def test_asking_for_health_leaves_the_name_of_the_transport(
    health: ActiveHealth | None,
) -> None:
    seen = list[str]()
    connector = _Named()
    connector.serve("a:1", EchoService())
    async with Client("a:1", transport=connector, health=health) as caller:
        options = CallOptions(on_end=lambda call: seen.append(call.transport))
        await caller.unary(ECHO, text("x"), options)
    assert seen == ["connect"]
