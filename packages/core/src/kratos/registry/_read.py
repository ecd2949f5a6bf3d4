"""Reading a service's instances once, or for as long as one likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.registry._instance import ServiceInstance, same_instances
from kratos.registry._interface import Discovery
from kratos.watch import Feed

__all__ = ["get_service", "instance_feed"]

_BACKOFF: Final = Backoff()


async def get_service(discovery: Discovery, name: str) -> Sequence[ServiceInstance]:
    """Return the present instances of a service, by one read.

    Raises:
        RegistryUnavailable: The back end did not answer.

    Cancellation: safe.
    """
    watcher = await discovery.watch(name)
    try:
        return (await watcher.read()).value
    finally:
        await watcher.aclose()


def instance_feed(
    discovery: Discovery,
    name: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    backoff: Backoff = _BACKOFF,
) -> Feed[Sequence[ServiceInstance]]:
    """Return a feed of a service's instances; the order in which they are listed is no change."""
    return Feed(
        lambda: discovery.watch(name),
        name=f"service {name}",
        clock=clock,
        backoff=backoff,
        same=same_instances,
    )
