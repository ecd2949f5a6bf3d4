"""A lock in a store that ends by itself, unless who holds it renews it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final

from kratos.clock import Clock
from kratos.errors import StoreUnavailable
from kratos.limit import shielded
from kratos.store import Store

__all__ = ["Lease"]

_log = logging.getLogger("kratos.middleware.idempotency")

_RENEWALS: Final = 3  # in the time of one lease
_TRIES: Final = 15  # in the time of one lease, when they fail
_PATIENCE: Final = 5.0  # seconds for a write that has to be made, though its call was cancelled


class Lease:
    """What one call holds of a key: it alone may work, until it settles, releases or loses it.

    As a context manager it renews itself. When another call has taken the key meanwhile, because
    this process was stopped or cut off for longer than the lease, the block is cancelled, and
    raises ``TimeoutError``; then ``lost`` is true.

    Args:
        store: Where the lock is.
        name: The key in the store.
        lock: The value that is this call's own.
        seconds: For which the lock stands when it is not renewed.
        clock: Time.

    Attributes:
        found: What the key had when it could not be taken; ``None`` if that has ended since.
        interrupted: A cancellation that came when the block had ended, and is to be raised when
            its outcome is written.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_limit",
        "_lock",
        "_name",
        "_renewing",
        "_seconds",
        "_store",
        "found",
        "interrupted",
    )

    def __init__(
        self, store: Store, name: str, lock: bytes, *, seconds: float, clock: Clock
    ) -> None:
        self._store = store
        self._name = name
        self._lock = lock
        self._seconds = seconds
        self._clock = clock
        self._limit = asyncio.timeout(None)
        self.found: bytes | None = None
        self.interrupted: asyncio.CancelledError | None = None
        self._ended = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether another call holds the key, and the block was cancelled for it."""
        return self._limit.expired()

    async def acquire(self) -> bool:
        """Take the key, and tell whether it was free.

        Cancellation: the key is free again, or is when the lease is over.
        """
        store, name, lock = self._store, self._name, self._lock
        try:
            if await store.set_if_absent(name, lock, ttl=self._seconds):
                return True
            # A client that repeats what was not answered may find its own lock.
            self.found = await store.get(name)
        except asyncio.CancelledError:
            await self.release()  # it may have been taken already
            raise
        return self.found == lock

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._renewing = asyncio.create_task(self._renew())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        interrupted = await _end(self._renewing)
        await self._limit.__aexit__(kind, error, trace)
        if not self.lost:  # else it was the limit
            self.interrupted = interrupted

    async def settle(self, value: bytes, *, ttl: float) -> None:
        """Put the outcome in place of the lock, whatever happens to the call meanwhile.

        Raises:
            StoreUnavailable: It could not be written; the lock ends with its lease.

        Cancellation: takes effect when it is written.
        """
        await self._surely(self._settle(value, ttl))

    async def release(self) -> None:
        """Free the key, whatever happens to the call meanwhile; a failure is logged.

        Cancellation: takes effect when it is free.
        """
        try:
            await self._surely(self._store.delete(self._name, expected=self._lock))
        except StoreUnavailable as error:
            _log.warning("a key stays locked for up to %s s: %s", self._seconds, error)

    async def _settle(self, value: bytes, ttl: float) -> None:
        store, name = self._store, self._name
        if await store.replace(name, value, expected=self._lock, ttl=ttl):
            return
        if await store.set_if_absent(name, value, ttl=ttl):
            return
        if await store.get(name) != value:  # a client that repeats may find its own
            _log.error("the outcome of a call is not kept: its lease ended, and another holds it")

    async def _surely(self, writing: Coroutine[Any, Any, object]) -> None:
        try:
            await shielded(writing, clock=self._clock, timeout=_PATIENCE)
        except TimeoutError as error:
            raise StoreUnavailable(f"the store did not answer within {_PATIENCE:g} s") from error

    async def _renew(self) -> None:
        tries = _RENEWALS
        while not self._ended:  # which is looked at, as a client may swallow a cancellation
            await self._clock.sleep(self._seconds / tries)
            try:
                if not await self._is_renewed():
                    self._limit.reschedule(asyncio.get_running_loop().time())
                    return
                tries = _RENEWALS
            except StoreUnavailable as error:
                _log.warning("a lease could not be renewed: %s", error)
                tries = _TRIES

    async def _is_renewed(self) -> bool:
        """Renew the lock; if it has ended and nobody has taken it, take it again."""
        store, name, lock = self._store, self._name, self._lock
        if await store.replace(name, lock, expected=lock, ttl=self._seconds):
            return True
        return await store.set_if_absent(name, lock, ttl=self._seconds)


async def _end(task: asyncio.Task[None] | None) -> asyncio.CancelledError | None:
    """End a task, and return a cancellation of the caller that came meanwhile."""
    interrupted: asyncio.CancelledError | None = None
    if task is None:
        return None
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            interrupted = error
    return interrupted
