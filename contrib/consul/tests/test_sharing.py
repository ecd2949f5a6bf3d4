"""Many who follow one service, at a real agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kratos import Client
from kratos.registry import ServiceInstance
from kratos_consul import ConsulClient, ConsulRegistry
from kratos_consul.agent import Answer, Question

pytestmark = [pytest.mark.service("consul"), pytest.mark.slow]

PATIENCE = 20.0  # seconds


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """What clients ask, as they do."""
    found: list[Question] = []

    async def ask(self: ConsulClient, question: Question, /) -> Answer:
        found.append(question)
        return await plain(self, question)

    plain = ConsulClient.ask
    monkeypatch.setattr(ConsulClient, "ask", ask)
    return found


@pytest.fixture
def one(unique: str) -> ServiceInstance:
    return ServiceInstance(id=unique, name=unique, endpoints=("http://127.0.0.1:8000",))


async def test_watchers_all_see_the_first_state_and_the_change(
    client: ConsulClient, one: ServiceInstance
) -> None:
    registry = ConsulRegistry(client, health_check=False)
    watchers = [await registry.watch(one.name) for _ in range(10)]
    states: list[Any] = [await watcher.read() for watcher in watchers]
    registration = await registry.register(one)

    async def until(watcher: Any, state: Any, *expected: ServiceInstance) -> Any:
        async with asyncio.timeout(PATIENCE):
            while list(state.value) != list(expected):
                state = await watcher.changed(state.token) or await watcher.read()
        return state

    pairs = zip(watchers, states, strict=True)
    states = await asyncio.gather(*(until(each, state, one) for each, state in pairs))
    await watchers[0].aclose()
    await registration.withdraw()
    await asyncio.gather(*(until(each, states[1]) for each in watchers[1:]))
    for watcher in watchers:
        await watcher.aclose()


async def test_clients_of_one_service_share_one_question(
    client: ConsulClient, one: ServiceInstance, asked: list[Question]
) -> None:
    registry = ConsulRegistry(client, health_check=False)
    registration = await registry.register(one)
    asked.clear()

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Client(f"discovery:///{one.name}", discovery=registry, transport="http")
            )
            for _ in range(100)
        ]
        async with asyncio.timeout(PATIENCE):
            while not all(each.nodes.nodes for each in clients):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        asked_by_all = list(asked)

    assert [question.path for question in asked_by_all] == ["/v1/health/service/"] * len(
        asked_by_all
    )
    assert len(asked_by_all) <= 2  # the read, and the wait for what comes after it
    await registration.withdraw()


async def test_watch_that_was_given_up_leaves_the_next_one_well(
    client: ConsulClient, one: ServiceInstance
) -> None:
    registry = ConsulRegistry(client, health_check=False)
    registration = await registry.register(one)

    async def first(make: Callable[[], Any]) -> list[ServiceInstance]:
        watcher = await make()
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        await asyncio.sleep(0)
        await watcher.aclose()
        await asyncio.wait({waiting})
        waiting.exception()
        return list(state.value)

    for _ in range(20):
        assert await first(lambda: registry.watch(one.name)) == [one]
    await registration.withdraw()
