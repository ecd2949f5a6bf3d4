"""The registry of a topology, and what befalls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kratos.registry import Registration, Registry, ServiceInstance, get_service
from kratos.testing.faults import FaultyRegistry

__all__ = ["TopologyRegistry"]


class TopologyRegistry(FaultyRegistry):
    """A registry that goes down and comes back at a word.

    Each replica, and all clients together, reach it by this line. What a test asks, and what it
    does behind the line, is not disturbed.

    Args:
        inner: What keeps the publications.
    """

    def __init__(self, inner: Registry, /) -> None:
        super().__init__(inner, inner)
        self._inner = inner
        self._services: set[str] = set()
        self._strangers: list[Registration] = []

    def down(self) -> None:
        """Refuse everything until ``up``, and break what is under way."""
        self.cut()

    def silent(self) -> None:
        """Answer nothing until ``up``, as when its machine is dead."""
        self.stall()

    def slow(self, seconds: float, /) -> None:
        """Take so long for each answer until ``up``."""
        self.delay(seconds)

    def up(self) -> None:
        """Be well again."""
        self.restore()

    async def instances(self, service: str, /) -> Sequence[ServiceInstance]:
        """Return the instances that it holds, whatever state the line is in."""
        return await get_service(self._inner, service)

    async def lose(self, id: str | None = None, /) -> None:  # noqa: A002  the registry's word
        """Forget the instance of an id, or all of them, as a registry that restarts empty does."""
        for instance in await self.held():
            if id in (None, instance.id):
                # Whoever publishes an id has it, and may take it away.
                taken = await self._inner.register(instance)
                await taken.withdraw()

    async def take_over(self, id: str, /, **changes: Any) -> ServiceInstance:  # noqa: A002
        """Publish an instance under an id that somebody has, as a copy that was left running does.

        Args:
            id: Whose.
            changes: Fields in which it differs, such as ``version``.

        Raises:
            LookupError: There is no instance of that id.
        """
        for instance in await self.held():
            if instance.id == id:
                other = replace(instance, **changes)
                self._strangers.append(await self._inner.register(other))
                return other
        raise LookupError(f"the registry holds no instance {id!r}")

    async def empty(self) -> None:
        """Take away what ``take_over`` has published, as far as it is still there."""
        for stranger in self._strangers:
            await stranger.withdraw()
        self._strangers.clear()

    async def held(self) -> Sequence[ServiceInstance]:
        """Return all instances that it holds, whatever state the line is in."""
        return [each for name in sorted(self._services) for each in await self.instances(name)]

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance over the line."""
        self._services.add(instance.name)
        return await super().register(instance)
