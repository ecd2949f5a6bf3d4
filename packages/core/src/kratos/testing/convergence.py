"""Whether a registry's instances become what they should be: for tests of faults of real servers.

What waits here looks again and again, as no event tells that a server of somebody else is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, TypeVar

from aegis.backoff import Backoff
from kratos.errors import RegistryUnavailable
from kratos.registry import (
    Discovery,
    Keeper,
    Registrar,
    ServiceInstance,
    instance_feed,
    same_instances,
)

__all__ = ["PATIENCE", "QUICK", "States", "eventually", "following", "holds", "keeping", "sees"]

T = TypeVar("T")

States: TypeAlias = list[Sequence[ServiceInstance]]
"""What a client was told of a service, the newest last."""

PATIENCE: Final = 60.0
"""Seconds to wait for a server before a test fails."""

QUICK: Final = Backoff(base=0.1, cap=0.5)
"""Delays between attempts, shorter than an application's."""

_LOOK_EVERY: Final = 0.02  # seconds
_ASK_EVERY: Final = 0.05  # seconds


@asynccontextmanager
async def keeping(
    registrar: Registrar,
    instance: ServiceInstance,
    *,
    timeout: float = 2.0,
    verify_every: float = 60.0,
) -> AsyncGenerator[Keeper]:
    """Keep an instance registered for the length of a block, as an application does.

    Args:
        registrar: Where.
        instance: The instance.
        timeout: Seconds for one call.
        verify_every: Seconds between looks at whether it still stands.
    """
    keeper = Keeper(registrar, instance, timeout=timeout, verify_every=verify_every, backoff=QUICK)
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.aclose()


@asynccontextmanager
async def following(discovery: Discovery, name: str) -> AsyncGenerator[States]:
    """Note each state of a service that a client sees for the length of a block."""
    feed = instance_feed(discovery, name, backoff=QUICK)
    states: States = []
    feed.subscribe(states.append)
    try:
        yield states
    finally:
        await feed.aclose()


async def holds(condition: Callable[[], object], *, patience: float = PATIENCE) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: It was not within ``patience`` seconds.
    """
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110  several events may make it true
            await asyncio.sleep(_LOOK_EVERY)


async def sees(states: States, *expected: ServiceInstance, patience: float = PATIENCE) -> None:
    """Wait until the newest state is exactly these instances, in any order.

    Raises:
        AssertionError: It was not within ``patience`` seconds; says what was seen last.
    """
    try:
        await holds(lambda: states and same_instances(states[-1], expected), patience=patience)
    except TimeoutError:
        last = states[-1] if states else "nothing"
        raise AssertionError(
            f"expected {expected} within {patience:g} s; of {len(states)} states the last is {last}"
        ) from None


async def eventually(call: Callable[[], Awaitable[T]], *, patience: float = PATIENCE) -> T:
    """Call until a registry answers, and return what it does.

    Raises:
        TimeoutError: It did not within ``patience`` seconds.
    """
    async with asyncio.timeout(patience):
        while True:
            try:
                return await call()
            except RegistryUnavailable:
                await asyncio.sleep(_ASK_EVERY)
