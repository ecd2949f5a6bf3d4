"""Values of one kind in a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar, cast

from kratos.errors import ConfigError
from kratos.options import require_methods, require_number
from kratos.store import Entry, Store, get_many, set_many
from kratos_cachegen.runtime import envelope
from kratos_cachegen.runtime.codec import Codec
from kratos_cachegen.runtime.flow import Flow
from kratos_cachegen.runtime.groups import in_groups
from kratos_cachegen.runtime.turn import Turn, Turns

if TYPE_CHECKING:
    from kratos_cachegen.runtime.aside import Aside

__all__ = ["Found", "Kept"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SIZED: Final = (str, bytes, list, dict, tuple)  # which may be empty; a message is, with defaults


class Found(NamedTuple, Generic[T_co]):
    """What a key has.

    Attributes:
        value: The value; ``None`` if it is kept that there is none.
        stale: Whether it is past its time, and to be loaded anew.
    """

    value: T_co | None
    stale: bool


class Kept(Generic[T]):
    """Reads and writes values of one kind.

    Args:
        aside: Whose they are.
        store: Where they are.
        codec: How they are written.
        name: What figures are shown under.
        expire: Seconds for which a value is kept.
        jitter: Part of these by which they are shortened at most.
        stale: Seconds after that in which a value still serves.
        null_expire: Seconds for which it is kept that there is none.
        is_null: Tells placeholders.
        marks: Whether to keep that there is none where ``None`` or something empty is written;
            else that is not written.
        batch: Most keys of one question; 0 for all.
        max_group: Most questions at the same time.
        go_on: Whether the other questions are asked after an error.
        lock: Seconds for which one process may load while others wait; 0 for no locks.

    Raises:
        ConfigError: There is no store, or a number is out of its range.
    """

    def __init__(
        self,
        aside: Aside,
        store: Store,
        codec: Codec[T],
        *,
        name: str,
        expire: float = 300.0,
        jitter: float = 0.0,
        stale: float = 0.0,
        null_expire: float = 300.0,
        is_null: Callable[[T], bool] | None = None,
        marks: bool = False,
        batch: int = 0,
        max_group: int = 0,
        go_on: bool = False,
        lock: float = 0.0,
    ) -> None:
        if cast("object", store) is None:
            raise ConfigError(f"{name} needs a store")
        require_methods("store", store, "a store", "get", "set")
        require_number("expire", expire, above=0, finite=True)
        require_number("null_expire", null_expire, above=0, finite=True)
        require_number("stale", stale, least=0, finite=True)
        require_number("lock", lock, least=0, finite=True)
        require_number("jitter", jitter, least=0)
        if jitter > 1:
            raise ConfigError(f"jitter is a part of the time, from 0 to 1, not {jitter!r}")
        self._aside = aside
        self._store = store
        self._codec = codec
        self._flow = Flow(aside, name)
        self._expire = expire
        self._jitter = jitter
        self._stale = stale
        self._null_expire = null_expire
        self._is_null = is_null
        self._marks = marks
        self._batch = batch
        self._max_group = max_group
        self._go_on = go_on
        self._turns: Turns[Found[T]] = Turns(aside, self._flow, store, lock=lock, read=self._found)

    async def get(self, key: str) -> Found[T] | None:
        """Return what a key has; ``None`` if that is nothing, or cannot be read.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        data = await self._store.get(self._aside.options.prefix + key)
        return None if data is None else self._found(data)

    async def get_many(self, keys: Mapping[K, str]) -> dict[K, Found[T]]:
        """Return what keys have, of those that have something; errors as ``get``."""

        async def ask(some: list[K]) -> dict[K, Found[T]]:
            names = {self._aside.options.prefix + keys[key]: key for key in some}
            found = await get_many(self._store, list(names))
            read = {names[name]: self._found(data) for name, data in found.items()}
            return {key: each for key, each in read.items() if each is not None}

        found, error = await in_groups(
            list(keys),
            ask,
            batch=self._batch,
            max_group=self._max_group,
            go_on=self._go_on,
        )
        if error is not None:
            raise error
        return found

    async def set(self, key: str, value: T | None) -> None:
        """Keep a value; nothing that is empty, unless that is marked.

        Raises:
            StoreUnavailable: The store does not answer.
            StoreFull: It has no room.
        """
        entry = self._entry(value)
        if entry is not None:
            name = self._aside.options.prefix + key
            await self._store.set(name, entry.value, ttl=entry.ttl)
            self._turns.wrote(name)

    async def set_many(self, values: Mapping[str, T | None]) -> None:
        """Keep values, as ``set``."""
        entries = {
            self._aside.options.prefix + key: entry
            for key, value in values.items()
            if (entry := self._entry(value)) is not None
        }
        await set_many(self._store, entries)

    async def add(self, key: str, value: T | None) -> None:
        """Keep a value if the key has none, as ``set``."""
        entry = self._entry(value)
        if entry is not None:
            name = self._aside.options.prefix + key
            await self._store.set_if_absent(name, entry.value, ttl=entry.ttl)

    async def replace(self, key: str, value: T | None) -> None:
        """Keep a value if the key has one, as ``set``; of two at the same time one does."""
        entry, name = self._entry(value), self._aside.options.prefix + key
        if entry is None:
            return
        before = await self._store.get(name)
        if before is not None:
            await self._store.replace(name, entry.value, expected=before, ttl=entry.ttl)

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget keys; errors as ``get``."""

        async def forget(some: list[str]) -> dict[str, None]:
            for key in some:
                await self._store.delete(self._aside.options.prefix + key)
            return {}

        _, error = await in_groups(keys, forget, batch=1, max_group=32)
        if error is not None:
            raise error

    def turn(self, key: str, found: Found[T] | None, *, asks: bool = True) -> Turn[Found[T]]:
        """Return the block in which a value is used, or loaded and kept; see ``Turn``.

        Args:
            key: Its key.
            found: What ``get`` has returned.
            asks: Whether that could be read.
        """
        return Turn(self._turns, self._aside.options.prefix + key, found, asks=asks)

    async def renew(self, key: str, load: Callable[[], Awaitable[object]]) -> None:
        """Load a value that is stale, unless another process does so, or has just done it.

        Args:
            key: Its key.
            load: Loads and keeps it.

        Raises:
            StoreUnavailable: The store does not answer; then the value would not be kept.
        """
        turn = self.turn(key, None)
        if not await turn.take():
            return
        try:
            found = await turn.look()
            if found is None or found.stale:
                await load()
        finally:
            await turn.leave()

    def _found(self, data: bytes) -> Found[T] | None:
        try:
            body, fresh = envelope.unpack(data)
            value = None if body is None else self._codec.decode(body)
        except ValueError as error:
            self._flow.failed("decode", error)
            return None
        return Found(value, fresh is not None and self._aside.options.clock.wall() >= fresh)

    def _entry(self, value: T | None) -> Entry | None:
        empty = value is None or (type(value) in _SIZED and not value)
        if empty and not self._marks:
            return None
        if value is None or empty:
            return Entry(envelope.pack(envelope.Kept(None)), self._shortened(self._null_expire))
        body = self._codec.encode(value)
        if self._is_null is not None and self._is_null(value):
            return Entry(envelope.pack(envelope.Kept(body)), self._shortened(self._null_expire))
        seconds = self._shortened(self._expire)
        fresh = self._aside.options.clock.wall() + seconds if self._stale else None
        return Entry(envelope.pack(envelope.Kept(body, fresh)), seconds + self._stale)

    def _shortened(self, seconds: float) -> float:
        return seconds * max(1 - self._jitter * self._aside.options.random(), 0.001)
