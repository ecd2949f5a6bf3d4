"""Registrations that are given up while the agent has them in hand, on one that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kratos.address import split_host_port
from kratos.registry import ServiceInstance
from kratos.testing.clock import FakeClock
from kratos.testing.proxy import FaultProxy
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_consul import ConsulClient, ConsulRegistry, ConsulUnavailable
from kratos_consul.agent import Question
from kratos_http import HttpServer, Request, json_reply, text_reply
from kratos_http.testing import running

ONE = ServiceInstance(id="1", name="orders", version="v1", endpoints=("grpc://10.0.0.1:9000",))
TWO = replace(ONE, version="v2")
AGENT = "/v1/agent/service"


class Agent:
    """Has one service: what it is told it does, even if nobody waits for the answer."""

    def __init__(self) -> None:
        self.service: Any = None
        self.is_slow = False  # with the next registration
        self.refuses = False
        self.held = asyncio.Event()  # set when it has that in hand
        self.go_on = asyncio.Event()
        self.settled = asyncio.Event()  # when that is done
        self.looks = 0
        self._late: asyncio.Task[None] | None = None

    async def register(self, request: Request) -> Reply:
        if self.refuses:
            return text_reply("Permission denied", status=403)
        body = await request.json()
        if self.is_slow:
            self.is_slow = False
            self._late = asyncio.create_task(self._in_time(body))
            self.held.set()
            await asyncio.shield(self._late)
        else:
            self.service = body
        return text_reply("")

    async def deregister(self, _request: Request) -> Reply:
        self.service = None
        return text_reply("")

    async def look(self, _request: Request) -> Reply:
        self.looks += 1
        if self.service is None:
            return text_reply("unknown service ID", status=404)
        return json_reply({**self.service, "Service": self.service["Name"]})

    async def _in_time(self, body: Any) -> None:
        await self.go_on.wait()
        self.service = body
        self.settled.set()


@pytest.fixture
async def agent() -> Agent:
    return Agent()


@pytest.fixture
async def address(agent: Agent) -> AsyncIterator[str]:
    http = HttpServer("127.0.0.1:0")
    http.route("PUT", f"{AGENT}/register")(agent.register)
    http.route("PUT", f"{AGENT}/deregister/1")(agent.deregister)
    http.route("GET", f"{AGENT}/1")(agent.look)
    http.mount(Mount(services=[]))
    async with running(http):
        (bound,) = await http.bind()
        yield bound.removeprefix("http://")
        agent.go_on.set()  # else the server would wait for what it has in hand


@pytest.fixture
async def line(address: str) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(*split_host_port(address)) as proxy:
        yield proxy


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def registry(line: FaultProxy, clock: FakeClock) -> AsyncIterator[ConsulRegistry]:
    """One whose services Consul never removes by itself."""
    async with ConsulClient(line.address, timeout=60.0) as client:
        yield ConsulRegistry(client, health_check=False, heartbeat=False, clock=clock)


@asynccontextmanager
async def in_hand(
    agent: Agent, registry: ConsulRegistry, instance: ServiceInstance = ONE
) -> AsyncGenerator[asyncio.Task[Any]]:
    """Register, and go on when the agent has that in hand."""
    agent.is_slow = True
    registering = asyncio.ensure_future(registry.register(instance))
    await agent.held.wait()
    yield registering
    await asyncio.wait({registering})


async def settle(agent: Agent) -> None:
    agent.go_on.set()
    await agent.settled.wait()


async def goes_on(clock: FakeClock, until: Callable[[], bool]) -> None:
    """Let the pauses between tries pass, and no other time, until something is so."""
    async with asyncio.timeout(15):
        while not until():
            if clock.sleepers > 1:  # a pause, beside the limit of all tries
                await clock.advance(1.0)
            await asyncio.sleep(0.001)


async def deregistered(agent: Agent, clock: FakeClock) -> None:
    await goes_on(clock, lambda: agent.service is None)


async def looked(agent: Agent, clock: FakeClock) -> None:
    before = agent.looks
    await goes_on(clock, lambda: agent.looks > before)


async def test_what_was_cancelled_is_taken_back_when_it_is_done(
    agent: Agent, registry: ConsulRegistry, address: str
) -> None:
    async with in_hand(agent, registry) as registering:
        registering.cancel()
        async with ConsulClient(address) as other:
            for _ in range(10):  # whoever overtakes has overtaken by then
                await other.ask(Question(verb="GET", path=f"{AGENT}/", name="1"))
        await settle(agent)

    assert registering.cancelled()
    assert agent.service is None


async def test_what_takes_longer_than_the_cancelled_wait_is_taken_back_later(
    agent: Agent, registry: ConsulRegistry, clock: FakeClock
) -> None:
    async with in_hand(agent, registry) as registering:
        registering.cancel()
        await clock.settle()
        await clock.advance(1.0)
        await asyncio.wait({registering})
        assert registering.cancelled()

        await settle(agent)

        await deregistered(agent, clock)


async def test_what_comes_after_the_line_broke_is_taken_back(
    agent: Agent, registry: ConsulRegistry, line: FaultProxy, clock: FakeClock
) -> None:
    async with in_hand(agent, registry) as registering:
        line.cut()
        with pytest.raises(ConsulUnavailable, match="does not answer"):
            await registering
        line.restore()
        await settle(agent)

        await deregistered(agent, clock)


async def test_what_was_not_there_is_looked_for_again(
    agent: Agent, registry: ConsulRegistry, line: FaultProxy, clock: FakeClock
) -> None:
    async with in_hand(agent, registry) as registering:
        line.cut()
        with pytest.raises(ConsulUnavailable, match="does not answer"):
            await registering
        line.restore()
        await looked(agent, clock)
        await settle(agent)

        await deregistered(agent, clock)


async def test_what_was_refused_is_not_looked_for(
    agent: Agent, registry: ConsulRegistry, clock: FakeClock
) -> None:
    agent.refuses = True

    with pytest.raises(ConsulUnavailable, match="Permission denied"):
        await registry.register(ONE)

    await clock.advance(60.0)
    assert agent.looks == 0
    assert clock.sleepers == 0


async def test_later_registration_stays(
    agent: Agent, registry: ConsulRegistry, line: FaultProxy, clock: FakeClock
) -> None:
    line.cut()
    with pytest.raises(ConsulUnavailable, match="does not answer"):
        await registry.register(ONE)
    line.restore()

    registration = await registry.register(ONE)

    for _ in range(60):
        await clock.advance(1.0)
    assert clock.sleepers == 0
    await registration.renew()


async def test_predecessor_stays_when_its_change_was_given_up(
    agent: Agent, registry: ConsulRegistry
) -> None:
    await registry.register(ONE)
    async with in_hand(agent, registry, TWO) as registering:
        registering.cancel()
        await settle(agent)

    assert agent.service["ID"] == "1"


async def test_predecessor_takes_back_what_it_became(
    agent: Agent, registry: ConsulRegistry
) -> None:
    standing = await registry.register(ONE)
    async with in_hand(agent, registry, TWO) as registering:
        registering.cancel()
        await settle(agent)

    await standing.withdraw()

    assert agent.service is None


async def test_change_that_comes_after_its_predecessor_was_withdrawn_is_taken_back(
    agent: Agent, registry: ConsulRegistry, clock: FakeClock
) -> None:
    standing = await registry.register(ONE)
    async with in_hand(agent, registry, TWO) as registering:
        registering.cancel()
        await clock.settle()
        await clock.advance(1.0)
        await asyncio.wait({registering})
        await standing.withdraw()

        await settle(agent)

        await deregistered(agent, clock)


async def test_registry_that_is_closed_takes_back_what_was_given_up(
    agent: Agent, registry: ConsulRegistry, line: FaultProxy
) -> None:
    async with in_hand(agent, registry) as registering:
        line.cut()
        with pytest.raises(ConsulUnavailable, match="does not answer"):
            await registering
        await settle(agent)
        line.restore()

        await registry.aclose()

    assert agent.service is None
