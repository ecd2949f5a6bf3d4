"""Registrars that keep their publications themselves."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from contextlib import suppress
from typing import Final, Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import Limit, describe, shielded
from kratos.registry._instance import ServiceInstance
from kratos.registry._interface import Registrar, Registration, name_of

__all__ = ["SelfKeeping", "unmanaged"]

_CLEANUP: Final = 5.0  # seconds for taking back what a cancelled call may have published
_ENDING: Final = 2.0  # of these, for that call to end by itself

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

    A ``register`` that is given up has 2 seconds to end, as what it has asked for could come after
    ``deregister``, which is called then; it is cancelled if it takes longer. An instance that stood
    before its change stays, and is registered once more by its next renewal. All that takes 5
    seconds at most; what may be left is logged.

    Args:
        registrar: The object.
        clock: Time for cleaning up after a cancelled ``register``.
    """
    return _Unmanaged(registrar, clock)


class _Unmanaged:
    def __init__(self, registrar: SelfKeeping, clock: Clock) -> None:
        self.registrar = registrar
        self.held: dict[tuple[str, str], _Trusted] = {}
        self._clock = clock

    def __str__(self) -> str:
        return name_of(self.registrar)

    async def register(self, instance: ServiceInstance, /) -> Registration:
        await self.publish(instance)
        registration = self.held[_key(instance)] = _Trusted(self, instance)
        return registration

    async def publish(self, instance: ServiceInstance) -> None:
        """Have it registered, and given back if the caller is cancelled."""
        registering = asyncio.ensure_future(self.registrar.register(instance))
        try:
            await asyncio.wait({registering})
            registering.result()
        except asyncio.CancelledError:
            # It may have been published, and with a heartbeat that would never end.
            await self._take_back(instance, registering)
            raise

    async def _take_back(self, instance: ServiceInstance, registering: Future[None]) -> None:
        registering.add_done_callback(_take_note)
        undo = self._undo(instance, registering)
        try:
            await shielded(undo, clock=self._clock, timeout=_CLEANUP)
        except Exception as error:
            self._warn(instance, describe(error))

    async def _undo(self, instance: ServiceInstance, registering: Future[None]) -> None:
        with suppress(TimeoutError):
            async with Limit(self._clock, _ENDING):
                await asyncio.wait({registering})
        if not registering.done():
            self._warn(instance, f"that did not end within {_ENDING:g} s after it was given up")
            registering.cancel()
            await asyncio.wait({registering})
        standing = self.held.get(_key(instance))
        if standing is None:
            await self.registrar.deregister(instance)
        else:
            standing.in_doubt = True

    def _warn(self, instance: ServiceInstance, why: str) -> None:
        _log.warning("%s may still be registered at %s: %s", instance, self, why)


class _Trusted:
    def __init__(self, over: _Unmanaged, instance: ServiceInstance) -> None:
        self._over = over
        self._instance = instance
        self._withdrawn = False
        self.in_doubt = False  # whether a change that was given up may stand in its place

    @property
    def ttl(self) -> float | None:
        return None

    async def renew(self) -> None:
        """Register it once more if it is in doubt; else the object renews by itself."""
        if self.in_doubt and self._is_held():
            await self._over.publish(self._instance)
            self.in_doubt = False

    async def lost(self) -> None:
        """Wait for ever: the object does not tell."""
        await asyncio.get_running_loop().create_future()

    async def withdraw(self) -> None:
        if self._is_held():
            del self._over.held[_key(self._instance)]
        if not self._withdrawn:
            await self._over.registrar.deregister(self._instance)
            self._withdrawn = True

    def _is_held(self) -> bool:
        return self._over.held.get(_key(self._instance)) is self


def _key(instance: ServiceInstance) -> tuple[str, str]:
    return instance.name, instance.id


def _take_note(registering: Future[None]) -> None:
    """Look at the outcome, so that it is not told as one that nobody has looked at."""
    if not registering.cancelled():
        registering.exception()
