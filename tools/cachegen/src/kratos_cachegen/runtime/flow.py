"""What one generated method does besides its own steps: counting, joining, writing later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from kratos.flight import Flights, Landing
from kratos.transport import server_call
from kratos_cachegen.runtime.fanout import Job
from kratos_cachegen.runtime.groups import partial_result

if TYPE_CHECKING:
    from kratos_cachegen.runtime.aside import Aside

__all__ = ["Flow"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_log = logging.getLogger("kratos_cachegen")

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Made:
    value: Any


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class _Next:
    """The leader was cancelled, or its time was over: one of the others leads."""


_NEXT: Final = _Next()
_Outcome: TypeAlias = "_Made | _Failed | _Next"


class Flow:
    """Of one method.

    Args:
        aside: Whose method it is.
        name: What figures are shown under, such as ``bts:article``.
    """

    def __init__(self, aside: Aside, name: str) -> None:
        counters = aside.counters
        self._aside = aside
        self._name = name
        self._hits = counters.hits.labels(name)
        self._misses = counters.misses.labels(name)
        self._joined = counters.joined.labels(name)
        self._stale = counters.stale.labels(name)
        self._dropped = counters.dropped.labels(name)
        self._flights: Flights[Hashable, _Outcome] = Flights()
        self._writing: dict[Hashable, asyncio.Future[None]] = {}
        self._renewing: set[Hashable] = set()
        self._fails = False

    def hit(self, count: int = 1) -> None:
        """Note values that were in the cache, also that there is none."""
        if count:
            self._fails = False
            self._hits.inc(count)

    def miss(self, count: int = 1) -> None:
        """Note values that have to be loaded."""
        self._misses.inc(count)

    def failed(self, operation: str, error: Exception) -> None:
        """Note that the cache could not be used; the first of several in a row is a warning."""
        self._aside.counters.errors.labels(self._name, operation).inc()
        level = logging.DEBUG if self._fails else logging.WARNING
        _log.log(level, "%s goes on without the cache: %s failed: %s", self._name, operation, error)
        self._fails = True

    async def once(self, key: Hashable, run: Callable[[], Awaitable[V]]) -> V:
        """Return what ``run`` returns; of those with one key at the same time, one runs it.

        All get the same value, or the same error. If the one that runs is cancelled, or the call
        that it works for is out of time, another one runs.
        """
        while (outcome := await self._flights.join(key)) is not None:
            if isinstance(outcome, _Made):
                self._joined.inc()
                value: V = outcome.value
                return value
            if isinstance(outcome, _Failed):
                self._joined.inc()
                raise outcome.error
        with self._flights.lead(key, _NEXT) as flight:
            await self._written((key,))
            try:
                made = await run()
            except Exception as error:
                flight.outcome = _for_others(error)
                raise
            flight.outcome = _Made(made)
            return made

    async def once_each(
        self,
        keys: Mapping[K, Hashable],
        run: Callable[[list[K]], Awaitable[Mapping[K, V]]],
    ) -> dict[K, V]:
        """Return what ``run`` returns, as ``once``, for each key by itself.

        Args:
            keys: What is wanted, and for each what is the same for all who want it.
            run: Returns some of it.
        """
        result: dict[K, V] = {}
        left = list(keys)
        while left:
            others = {
                key: flight
                for key in left
                if (flight := self._flights.joining(keys[key])) is not None
            }
            mine = {key: keys[key] for key in left if key not in others}
            if mine:
                result.update(await self._lead_each(mine, run))
            left.clear()
            for key, flight in others.items():
                outcome = await flight
                if isinstance(outcome, _Failed):
                    self._joined.inc()
                    raise outcome.error
                if isinstance(outcome, _Made):
                    self._joined.inc()
                    if outcome.value is not _ABSENT:
                        result[key] = outcome.value
                else:  # nobody works on it any more
                    left.append(key)
        return result

    async def _lead_each(
        self,
        keys: Mapping[K, Hashable],
        run: Callable[[list[K]], Awaitable[Mapping[K, V]]],
    ) -> Mapping[K, V]:
        with ExitStack() as stack:
            flights: dict[K, Landing[_Outcome]] = {
                key: stack.enter_context(self._flights.lead(name, _NEXT))
                for key, name in keys.items()
            }
            await self._written(keys.values())
            try:
                found = await run(list(keys))
            except Exception as error:
                partial = partial_result(error)
                for key, flight in flights.items():
                    flight.outcome = _Made(partial[key]) if key in partial else _for_others(error)
                raise
            for key, flight in flights.items():
                flight.outcome = _Made(found.get(key, _ABSENT))
            return found

    async def write(self, keys: Collection[Hashable], job: Job, *, sync: bool) -> None:
        """Write to the cache, now or later; that it fails is counted, and nothing else.

        Args:
            keys: Who wants one of these by ``once`` waits for the write before it reads.
            job: Writes.
            sync: Whether to wait for it.
        """
        if sync:
            await self._run("write", job)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def write() -> None:
            try:
                await self._run("write", job)
            finally:
                self._end_of_writing(keys, done)

        def drop() -> None:
            self._dropped.inc()
            self._end_of_writing(keys, done)

        self._writing.update(dict.fromkeys(keys, done))
        if not self._aside.later(write, drop):
            drop()

    def renew(
        self, keys: Mapping[K, Hashable], run: Callable[[list[K]], Awaitable[object]]
    ) -> None:
        """Load what is stale, later; what is being loaded is not loaded twice.

        Args:
            keys: What is stale, and for each what is the same for all who find it so.
            run: Loads it, and writes it to the cache.
        """
        self._stale.inc(len(keys))
        mine = [key for key, name in keys.items() if name not in self._renewing]
        names = [keys[key] for key in mine]
        if not mine:
            return

        async def renew() -> None:
            try:
                await self._run("renew", lambda: run(mine))
            finally:
                self._renewing.difference_update(names)

        def drop() -> None:
            self._dropped.inc()
            self._renewing.difference_update(names)

        self._renewing.update(names)
        if not self._aside.later(renew, drop):
            drop()

    async def _run(self, operation: str, job: Callable[[], Awaitable[object]]) -> None:
        try:
            await job()
        except Exception as error:
            self.failed(operation, error)

    async def _written(self, keys: Iterable[Hashable]) -> None:
        pending = {self._writing[key] for key in keys if key in self._writing}
        if pending:
            await asyncio.wait(pending)

    def _end_of_writing(self, keys: Collection[Hashable], done: asyncio.Future[None]) -> None:
        for key in keys:
            if self._writing.get(key) is done:
                del self._writing[key]
        done.set_result(None)


def _for_others(error: Exception) -> _Outcome:
    """Return what an error is to those that wait: not theirs, if the leader's time was over."""
    call = server_call()
    if call is not None and (call.cause is not None or call.remaining() == 0):
        return _NEXT
    return _Failed(error)
