"""Faults between a program and a back end, made to order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config import KeyValue, Source
from kratos.errors import RegistryUnavailable
from kratos.limit import cancel_and_wait, shielded
from kratos.registry import Discovery, Registrar, Registration, ServiceInstance
from kratos.testing._line import Line
from kratos.watch import Versioned, Watcher

__all__ = ["Faults", "FaultyRegistry", "FaultySource"]

T = TypeVar("T")

_CLEANUP: Final = 5.0  # seconds


class Faults(Protocol):
    """A line that can be disturbed: a proxy before a server, or a wrapper around an object."""

    def cut(self) -> None:
        """Break what is under way, and refuse everything until ``restore``."""
        ...

    def reset(self) -> None:
        """Break what is under way, once."""
        ...

    def stall(self) -> None:
        """Let nothing through and say nothing until ``restore``, as a dead router does."""
        ...

    def delay(self, seconds: float, /) -> None:
        """Hold up everything for so long until ``restore``."""
        ...

    def restore(self) -> None:
        """Be a good line again."""
        ...


class _Disturbed(Line):
    """A line that calls go over.

    Args:
        clock: Time for ``delay``.
        broken: Makes the error of a disturbed call.
    """

    def __init__(self, clock: Clock, broken: Callable[[str], Exception]) -> None:
        super().__init__(clock)
        self._broken = broken
        self._running: set[asyncio.Future[None]] = set()

    def cut(self) -> None:
        """Break what is under way, and refuse everything until ``restore``."""
        self._is_cut = True
        self._open.set()
        self.reset()

    def reset(self) -> None:
        """Break what is under way, once."""
        for broken in list(self._running):
            if not broken.done():
                broken.set_result(None)

    async def watcher(self, watch: Callable[[], Awaitable[Watcher[T]]]) -> Watcher[T]:
        """Open a watcher over the line."""
        made: list[Watcher[T]] = []

        async def opened() -> None:
            made.append(await watch())

        try:
            await self.through(opened)
        except asyncio.CancelledError:
            for late in made:
                await shielded(late.aclose(), clock=self._clock, timeout=_CLEANUP)
            raise
        return _FaultyWatcher(self, made[0])

    async def through(self, call: Callable[[], Awaitable[T]], *, pushed: bool = False) -> T:
        """Make a call over the line; a ``pushed`` result needs the line once more to arrive."""
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.add(broken)
        task = asyncio.create_task(self._carry(call, pushed=pushed))
        try:
            either: list[asyncio.Future[Any]] = [task, broken]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._broken("the line broke")
        finally:
            self._running.discard(broken)
            await cancel_and_wait(task)

    async def _carry(self, call: Callable[[], Awaitable[T]], *, pushed: bool) -> T:
        await self._open.wait()
        if self._is_cut:
            raise self._broken("the line is cut")
        if self._delay:
            await self._clock.sleep(self._delay)
        result = await call()
        if pushed:
            await self._open.wait()
        return result


class FaultyRegistry(_Disturbed):
    """A registry behind a line that can be disturbed, for registries without a network.

    A disturbed call raises ``RegistryUnavailable`` and does not reach the registry.

    Args:
        registrar: Where publications go.
        discovery: Where watchers come from.
        clock: Time for ``delay``.
    """

    def __init__(
        self, registrar: Registrar, discovery: Discovery, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(clock, RegistryUnavailable)
        self._registrar = registrar
        self._discovery = discovery

    def __str__(self) -> str:
        return f"{self._registrar} (faulty)"

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance over the line."""
        made: list[Registration] = []

        async def register() -> None:
            made.append(await self._registrar.register(instance))

        try:
            await self.through(register)
        except asyncio.CancelledError:
            for late in made:
                await shielded(late.withdraw(), clock=self._clock, timeout=_CLEANUP)
            raise
        return _FaultyRegistration(self, made[0])

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Open a watcher over the line."""
        return await self.watcher(lambda: self._discovery.watch(name))

    async def aclose(self) -> None:
        """Leave both ends open: they have owners."""


class FaultySource(_Disturbed):
    """A source of configuration behind a line that can be disturbed.

    A disturbed call raises ``ConnectionError`` and does not reach the source.

    Args:
        source: Where watchers come from.
        clock: Time for ``delay``.
    """

    def __init__(self, source: Source, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock, ConnectionError)
        self._source = source

    def __str__(self) -> str:
        return f"{self._source} (faulty)"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher over the line."""
        return await self.watcher(self._source.watch)


class _FaultyRegistration:
    def __init__(self, line: _Disturbed, inner: Registration) -> None:
        self._line = line
        self._inner = inner

    @property
    def ttl(self) -> float | None:
        return self._inner.ttl

    async def renew(self) -> None:
        await self._line.through(self._inner.renew)

    async def lost(self) -> None:
        await self._line.through(self._inner.lost, pushed=True)

    async def withdraw(self) -> None:
        await self._line.through(self._inner.withdraw)


class _FaultyWatcher(Generic[T]):
    def __init__(self, line: _Disturbed, inner: Watcher[T]) -> None:
        self._line = line
        self._inner = inner

    async def read(self) -> Versioned[T]:
        return await self._line.through(self._inner.read)

    async def changed(self, since: object, /) -> Versioned[T] | None:
        return await self._line.through(lambda: self._inner.changed(since), pushed=True)

    async def aclose(self) -> None:
        await self._inner.aclose()
