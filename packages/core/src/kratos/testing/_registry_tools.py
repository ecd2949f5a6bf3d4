"""Tools of the registry contract: back ends to test, and waiting for what is to happen."""

from __future__ import annotations

import asyncio
import unittest
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Final

from aegis.backoff import Backoff
from kratos.errors import RegistrationLost
from kratos.registry import (
    Discovery,
    Keeper,
    Registrar,
    RegistrationState,
    RegistrationStatus,
    Registry,
    ServiceInstance,
    same_instances,
)
from kratos.testing.faults import Faults
from kratos.watch import Feed

__all__ = ["Backend", "RegistryTools", "Sightings", "some_instance", "unique"]

_QUICK: Final = Backoff(base=0.2, cap=0.5)


def _small() -> float:
    # Delays near zero, as the suite waits for them, but no tight loops.
    return 0.05


@dataclass(kw_only=True)
class Backend:
    """What an adapter's tests give to the suite.

    Attributes:
        registry: The adapter under test, over the line that ``faults`` disturbs.
        peer: A second client of the same back end, undisturbed: what others see.
        make: Makes one more undisturbed client.
        faults: The line; ``None`` leaves out the tests of faults.
        lapse: Lets so many seconds pass for the back end; ``None`` leaves out expiry.
    """

    registry: Registry
    peer: Registry
    make: Callable[[], Registry]
    faults: Faults | None = None
    lapse: Callable[[float], Awaitable[None]] | None = None


@dataclass
class Sightings:
    """All states of a service that a feed has published."""

    patience: float
    states: list[Sequence[ServiceInstance]] = field(default_factory=list[Sequence[ServiceInstance]])
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, instances: Sequence[ServiceInstance]) -> None:
        """Note a state."""
        self.states.append(instances)
        self._moved.set()

    async def until(self, *expected: ServiceInstance) -> None:
        """Return when the newest state is exactly these instances."""
        try:
            async with asyncio.timeout(self.patience):
                while not self.states or not same_instances(self.states[-1], expected):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"expected {expected}, saw {self.states}") from None


class _Kept:
    """A keeper whose states can be waited for."""

    def __init__(
        self, registrar: Registrar, instance: ServiceInstance, *, patience: float, limit: float
    ) -> None:
        self._patience = patience
        self._moved = asyncio.Event()
        self.keeper = Keeper(
            registrar,
            instance,
            timeout=limit,
            verify_every=0.2,
            backoff=_QUICK,
            random=_small,
            on_change=self._see,
        )

    def _see(self, status: RegistrationStatus) -> None:
        self._moved.set()

    async def until(self, state: RegistrationState) -> None:
        await self._until(lambda status: status.state is state, str(state))

    async def until_failure(self) -> None:
        await self._until(lambda status: status.failures > 0, "a failure")

    async def _until(self, holds: Callable[[RegistrationStatus], bool], what: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while not holds(self.keeper.status):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"expected {what}, is {self.keeper.status}") from None


class RegistryTools:
    """What the tests of the contract are written with.

    Attributes:
        patience: Seconds to wait for the back end before a test fails.
        limit: Seconds for one call of the keeper and of the watch loop.
    """

    patience: ClassVar[float] = 15.0
    limit: ClassVar[float] = 0.5

    def faults(self, backend: Backend) -> Faults:
        """Return the line, or leave the test out."""
        if backend.faults is None:
            raise unittest.SkipTest("there is no line to disturb")
        return backend.faults

    @asynccontextmanager
    async def watching(self, discovery: Discovery, name: str) -> AsyncGenerator[Sightings]:
        """Watch a service for the length of a block."""
        feed: Feed[Sequence[ServiceInstance]] = Feed(
            lambda: discovery.watch(name),
            name=name,
            backoff=_QUICK,
            timeout=self.limit,
            same=same_instances,
            random=_small,
        )
        seen = Sightings(self.patience)
        feed.subscribe(seen.see)
        try:
            yield seen
        finally:
            await feed.aclose()

    @asynccontextmanager
    async def keeping(
        self, registrar: Registrar, instance: ServiceInstance
    ) -> AsyncGenerator[_Kept]:
        """Keep an instance registered for the length of a block."""
        kept = _Kept(registrar, instance, patience=self.patience, limit=self.limit)
        await kept.keeper.start()
        try:
            yield kept
        finally:
            await kept.keeper.aclose()

    async def gone(self, left: Callable[[], set[asyncio.Task[object]]]) -> None:
        """Wait until no tasks are left: those of a client library may have to see calls end."""
        try:
            async with asyncio.timeout(self.patience):
                while left():  # noqa: ASYNC110  no event tells of the end of others' tasks
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"left running: {left()}") from None

    async def raises_lost(self, renewing: Awaitable[None]) -> None:
        """Assert that a renewal says that the publication is lost."""
        try:
            await renewing
        except RegistrationLost:
            return
        raise AssertionError("renew() did not notice that the publication is gone")


def unique(name: str) -> str:
    """Return a name that no other test has used."""
    return f"{name}-{uuid.uuid4().hex}"


def some_instance() -> ServiceInstance:
    """Return an instance of a service of its own."""
    return ServiceInstance(
        id=unique("one"),
        name=unique("contract"),
        version="v1.2.3",
        metadata={"weight": "10", "zone": "a"},
        endpoints=("grpc://10.0.0.1:9000", "http://10.0.0.1:8000"),
    )
