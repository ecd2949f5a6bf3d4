"""Many keys of a store at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from kratos.store._interface import Store

__all__ = ["BatchStore", "Entry", "get_many", "set_many"]

_AT_ONCE: Final = 32


class Entry(NamedTuple):
    """What a key is to have.

    Attributes:
        value: What to keep.
        ttl: Seconds for which it is kept.
    """

    value: bytes
    ttl: float


@runtime_checkable
class BatchStore(Protocol):
    """A store that takes many keys in one round trip, or in one for each server.

    Keys, values and errors as in ``Store``. Each key by itself is read or written atomically, all
    together are not.
    """

    async def get_many(self, keys: Sequence[str], /) -> Mapping[str, bytes]:
        """Return the values of those keys that have one."""
        ...

    async def set_many(self, entries: Mapping[str, Entry], /) -> None:
        """Keep values; if it raises, some may have been kept."""
        ...


async def get_many(store: Store, keys: Sequence[str], /) -> Mapping[str, bytes]:
    """Return the values of those keys that have one; a store that can is asked once.

    Args:
        store: Any store; one that is no ``BatchStore`` is asked for a few keys at a time.
        keys: Any texts.

    Raises:
        StoreUnavailable: As ``Store.get``.
    """
    if not keys:
        return {}
    if isinstance(store, BatchStore):
        return await store.get_many(keys)
    found: dict[str, bytes] = {}

    async def look(key: str) -> None:
        value = await store.get(key)
        if value is not None:
            found[key] = value

    await _few_at_once(look, keys)
    return found


async def set_many(store: Store, entries: Mapping[str, Entry], /) -> None:
    """Keep values; arguments and errors as ``get_many`` and ``Store.set``."""
    if not entries:
        return
    if isinstance(store, BatchStore):
        await store.set_many(entries)
        return

    async def keep(key: str) -> None:
        value, ttl = entries[key]
        await store.set(key, value, ttl=ttl)

    await _few_at_once(keep, tuple(entries))


async def _few_at_once(work: Callable[[str], Awaitable[None]], keys: Sequence[str]) -> None:
    """Work on each key; the first error ends all."""
    left = iter(keys)

    async def take() -> None:
        for key in left:
            await work(key)

    tasks = [asyncio.ensure_future(take()) for _ in range(min(_AT_ONCE, len(keys)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
