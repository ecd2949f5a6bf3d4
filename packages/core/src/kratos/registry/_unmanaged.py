"""Registrars that keep their publications themselves."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import describe, shielded
from kratos.registry._instance import ServiceInstance
from kratos.registry._interface import Registrar, Registration, name_of

__all__ = ["SelfKeeping", "unmanaged"]

_CLEANUP: Final = 5.0  # seconds for taking back what a cancelled call may have published

_log = logging.getLogger("kratos.registry")


class SelfKeeping(Protocol):
    """A registrar of Go's shape: two methods, and its own heartbeat behind them."""

    async def register(self, instance: ServiceInstance, /) -> None:
        """Publish an instance and keep it published."""
        ...

    async def deregister(self, instance: ServiceInstance, /) -> None:
        """Take it back and stop keeping it."""
        ...


def unmanaged(registrar: SelfKeeping, *, clock: Clock = SYSTEM_CLOCK) -> Registrar:
    """Adapt a registrar that has its own heartbeat.

    The keeper then retries ``register`` until it works once, and trusts the object afterwards:
    it cannot see a loss. A changed instance is registered over the old one.

    Args:
        registrar: The object.
        clock: Time for cleaning up after a cancelled ``register``.
    """
    return _Unmanaged(registrar, clock)


class _Unmanaged:
    __slots__ = ("_clock", "_registrar")

    def __init__(self, registrar: SelfKeeping, clock: Clock) -> None:
        self._registrar = registrar
        self._clock = clock

    def __str__(self) -> str:
        return name_of(self._registrar)

    async def register(self, instance: ServiceInstance, /) -> Registration:
        try:
            await self._registrar.register(instance)
        except asyncio.CancelledError:
            # It may have been published, and with a heartbeat that would never end.
            await self._take_back(instance)
            raise
        return _Trusted(self._registrar, instance)

    async def _take_back(self, instance: ServiceInstance) -> None:
        undo = self._registrar.deregister(instance)
        try:
            await shielded(undo, clock=self._clock, timeout=_CLEANUP)
        except Exception as error:
            _log.warning("%s may still be registered at %s: %s", instance, self, describe(error))


class _Trusted:
    __slots__ = ("_instance", "_registrar", "_withdrawn")

    def __init__(self, registrar: SelfKeeping, instance: ServiceInstance) -> None:
        self._registrar = registrar
        self._instance = instance
        self._withdrawn = False

    @property
    def ttl(self) -> float | None:
        return None

    async def renew(self) -> None:
        """Do nothing: the object renews by itself."""

    async def lost(self) -> None:
        """Wait for ever: the object does not tell."""
        await asyncio.get_running_loop().create_future()

    async def withdraw(self) -> None:
        if not self._withdrawn:
            await self._registrar.deregister(self._instance)
            self._withdrawn = True
