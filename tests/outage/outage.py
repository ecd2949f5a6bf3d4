"""What becomes of registered instances when the registry's server is away for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from tests.outage.servers import Server

from aegis.backoff import Backoff
from kratos.registry import (
    Keeper,
    RegistrationState,
    Registry,
    ServiceInstance,
    from_url,
    instance_feed,
    same_instances,
)
from kratos.watch import Feed

__all__ = ["TTL", "Outcome", "bound", "outage"]

TTL: Final = 2.0  # seconds, of all registrations here
_PROCESSES: Final = 10
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went.

    Attributes:
        noticed: Seconds from the end of the server until every process knew.
        registered: Seconds from its return until every process had registered again.
        seen: Seconds from its return until a client that had watched all the time saw all.
        complete: Whether that client had all instances before it as long as the server was away.
    """

    noticed: float
    registered: float
    seen: float
    complete: bool


def bound() -> float:
    """Return the seconds within which everything must be as before."""
    return 2 * TTL + Backoff().cap


async def outage(server: Server, *, seconds: float, empty: bool) -> Outcome:
    """Register instances, take the server away and give it back.

    Args:
        server: One that runs.
        seconds: For how long it is away.
        empty: Whether it has forgotten everything when it comes back.
    """
    one = ServiceInstance(
        id="",
        name=f"outage-{uuid4().hex}",
        version="v1",
        metadata={"zone": "a"},
        endpoints=("grpc://10.0.0.1:9000",),
    )
    wanted = [replace(one, id=f"{number}") for number in range(_PROCESSES)]
    async with AsyncExitStack() as stack:
        observer = await stack.enter_async_context(_registry(server.url))
        feed = instance_feed(observer, one.name)
        stack.push_async_callback(feed.aclose)
        keepers = [
            await stack.enter_async_context(_kept(server.url, instance)) for instance in wanted
        ]
        await _seen(feed, wanted)
        server.kill()
        began = time.monotonic()
        await _all(keepers, lambda state: state is not RegistrationState.HELD)
        noticed = time.monotonic() - began
        lost = asyncio.ensure_future(_first_other(feed, wanted))
        await asyncio.sleep(seconds)
        complete = not lost.done()
        lost.cancel()
        if empty:
            server.forget()
        await server.start()
        began = time.monotonic()
        await _all(keepers, lambda state: state is RegistrationState.HELD)
        registered = time.monotonic() - began
        await _seen(feed, wanted)
        # What the client keeps from before is no sight of the registry: ask anew.
        async with _registry(server.url) as other:
            fresh = instance_feed(other, one.name)
            try:
                await _seen(fresh, wanted)
            finally:
                await fresh.aclose()
        seen = time.monotonic() - began
    return Outcome(noticed=noticed, registered=registered, seen=seen, complete=complete)


@asynccontextmanager
async def _kept(url: str, instance: ServiceInstance) -> AsyncGenerator[Keeper]:
    """Keep one instance registered, over a connection of its own, as a process does."""
    async with _registry(url) as registry:
        keeper = Keeper(registry, instance)
        await keeper.start(require=True)
        try:
            yield keeper
        finally:
            await keeper.aclose()


@asynccontextmanager
async def _registry(url: str) -> AsyncGenerator[Registry]:
    registry = from_url(url)
    try:
        yield registry
    finally:
        await registry.aclose()


async def _all(keepers: Sequence[Keeper], state: Callable[[RegistrationState], bool]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            while not all(state(keeper.status.state) for keeper in keepers):  # noqa: ASYNC110 - of any of many
                await asyncio.sleep(0.01)
    except TimeoutError:
        others = [keeper.status for keeper in keepers if not state(keeper.status.state)]
        raise TimeoutError(f"after {_PATIENCE:g} s still: {others}") from None


async def _seen(feed: Feed[Sequence[ServiceInstance]], wanted: Sequence[ServiceInstance]) -> None:
    async with asyncio.timeout(_PATIENCE):
        async for instances in feed.values():
            if same_instances(instances, wanted):
                return


async def _first_other(
    feed: Feed[Sequence[ServiceInstance]], wanted: Sequence[ServiceInstance]
) -> None:
    async for instances in feed.values():
        if not same_instances(instances, wanted):
            return
