"""Whatever happens to a service, in whatever order: who follows it ends with the truth."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kratos import App, Client
from kratos.errors import Error
from kratos.registry import Registration, ServiceInstance, get_service, same_instances
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos_http import HttpServer
from kratos_redis import RedisRegistry

pytestmark = [pytest.mark.service("redis"), pytest.mark.slow]

PATIENCE = 30.0  # seconds
SEEDS = [1, 20_261_129, 7_777_777]


@pytest.fixture
async def registries(url: str, prefix: str) -> AsyncIterator[list[RedisRegistry]]:
    made = [
        RedisRegistry.from_url(f"{url}?namespace={prefix}r&ttl={ttl}s&timeout=10s")
        for ttl in (0.3, 5, 60)
    ]
    yield made
    for registry in made:
        await registry.aclose()


class Follower:
    """Follows as the core does, but is cancelled at every other step."""

    def __init__(self, registry: RedisRegistry, chance: random.Random) -> None:
        self._registry = registry
        self._chance = chance
        self._watcher: Any = None
        self.state: Any = None

    async def start(self, name: str) -> None:
        self._watcher = await self._registry.watch(name)
        self.state = await self._watcher.read()

    async def step(self) -> None:
        """Wait for a change, for as long as a few turns of the loop or until there is one."""
        waiting = asyncio.ensure_future(self._watcher.changed(self.state.token))
        for _ in range(self._chance.randrange(40)):
            await asyncio.sleep(0)
        if self._chance.random() < 0.5:
            waiting.cancel()
        await asyncio.wait({waiting}, timeout=0.05)
        waiting.cancel()
        await asyncio.wait({waiting})
        if not waiting.cancelled():
            self.state = waiting.result() or await self._watcher.read()

    async def until(self, expected: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not same_instances(self.state.value, await expected()):
                changed = self._watcher.changed(self.state.token)
                self.state = await changed or await self._watcher.read()

    async def aclose(self) -> None:
        await self._watcher.aclose()


@pytest.mark.parametrize("seed", SEEDS)
async def test_follower_ends_with_the_truth(registries: list[RedisRegistry], seed: int) -> None:
    chance = random.Random(seed)
    follower = Follower(registries[1], chance)
    await follower.start("orders")
    registrations: list[Registration] = []
    for step in range(250):
        what = chance.random()
        if what < 0.5 or not registrations:
            one = ServiceInstance(
                id=chance.choice("abcdef"), name="orders", version=f"v{chance.randrange(3)}"
            )
            registrations.append(await chance.choice(registries).register(one))
        elif what < 0.9:
            await registrations.pop(chance.randrange(len(registrations))).withdraw()
        if step % 3:
            await follower.step()

    await follower.until(lambda: get_service(registries[2], "orders"))
    for registration in registrations:
        await registration.withdraw()
    await follower.until(lambda: get_service(registries[2], "orders"))
    assert follower.state.value == ()
    await follower.aclose()


async def test_calls_go_on_while_redis_is_away_and_follow_again_when_it_is_back(
    own_server: Any,
) -> None:
    url = f"{own_server.url}?ttl=10s&timeout=5s"

    class Named(EchoService):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._name = name

        async def echo(self, request: Any, /) -> Any:
            return text(self._name)

    def app(name: str) -> App:
        return App(
            name="orders",
            services=[Named(name)],
            servers=[HttpServer("127.0.0.1:0")],
            registrar=url,
            signals=(),
        )

    async def answer(client: Client) -> str:
        return str((await client.unary(ECHO, text(""))).value)

    async def answers(client: Client) -> set[str]:
        try:
            return {await answer(client) for _ in range(20)}
        except Error:  # of one that has left, and nobody has heard yet
            return set()

    async def until_answered_by(client: Client, *names: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await answers(client) != set(names):  # noqa: ASYNC110  calls have no events
                await asyncio.sleep(0.02)

    async with (
        running(app("first")),
        Client("discovery:///orders", transport="http", discovery=url, timeout=10.0) as client,
    ):
        async with running(app("second")):
            await until_answered_by(client, "first", "second")
            own_server.stop()
            assert {await answer(client) for _ in range(50)} == {"first", "second"}
            own_server.start()
            async with running(app("third")):
                await until_answered_by(client, "first", "second", "third")
        await until_answered_by(client, "first")
