"""What waits for registries, on a registry of memory."""

from __future__ import annotations

import pytest

from kratos.errors import RegistryUnavailable
from kratos.registry import RegistrationState, ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.testing.convergence import eventually, following, holds, keeping, sees

ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))


async def test_instance_is_seen_as_long_as_it_is_kept() -> None:
    registry = MemoryRegistry()
    async with following(registry, "orders") as states:
        async with keeping(registry, ONE) as keeper:
            await holds(lambda: keeper.status.state is RegistrationState.HELD)
            await sees(states, ONE)
        await sees(states)
    assert states[-2:] == [(ONE,), ()]


async def test_what_is_not_seen_in_time_is_told_with_what_is() -> None:
    async with following(MemoryRegistry(), "orders") as states:
        await sees(states)
        with pytest.raises(AssertionError, match=r"expected .*'orders'.* the last is \(\)"):
            await sees(states, ONE, patience=0.01)
    with pytest.raises(AssertionError, match="the last is nothing"):
        await sees([], ONE, patience=0.01)


async def test_registry_that_is_away_is_asked_again_and_others_errors_are_told() -> None:
    away = RegistryUnavailable("away")
    answers: list[object] = [away, away, 7, KeyError()]

    async def ask() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await eventually(ask) == 7
    with pytest.raises(KeyError):
        await eventually(ask)
    answers.extend([away] * 9)
    with pytest.raises(TimeoutError):
        await eventually(ask, patience=0.01)
