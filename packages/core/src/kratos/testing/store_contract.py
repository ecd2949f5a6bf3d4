"""The contract of stores, as a suite that every adapter's tests run.

Derive a test class from ``StoreContract`` and give it a fixture ``backend``::

    class TestRedis(StoreContract):
        @pytest.fixture
        async def backend(self, url: str) -> AsyncIterator[StoreBackend]:
            store = RedisStore.from_url(url)
            yield StoreBackend(store=store, make=lambda: RedisStore.from_url(url))
            await store.aclose()

``pytest.register_assert_rewrite`` on this module, in a ``conftest.py``, makes failures speak.
"""

from __future__ import annotations

import asyncio
import math
import threading
import unittest
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pytest

from kratos.store import Entry, Store, get_many, set_many

__all__ = ["StoreBackend", "StoreContract"]

_LONG: Final = 3600.0
_EVERY_BYTE: Final = bytes(range(256))


@dataclass(kw_only=True)
class StoreBackend:
    """What an adapter's tests give to the suite.

    Attributes:
        store: The adapter under test.
        make: Makes one more client of the same contents; what it makes is closed by the suite.
        lapse: Lets so many seconds pass for the back end; ``None`` leaves out expiry.
    """

    store: Store
    make: Callable[[], Store]
    lapse: Callable[[float], Awaitable[None]] | None = None


class StoreContract:
    """Tests of everything that the core relies on.

    Attributes:
        largest: Bytes of a value that has to fit.
        crowd: Tasks that race for one key.
    """

    largest: ClassVar[int] = 1024 * 1024
    crowd: ClassVar[int] = 100

    async def test_value_comes_back_as_it_was(self, backend: StoreBackend) -> None:
        """Any bytes, also those that look like text of some kind."""
        for value in (_EVERY_BYTE, b"1", b"\r\n", b"null", "grün".encode(), b"\x00"):
            key = _key()
            await backend.store.set(key, value, ttl=_LONG)
            assert await backend.store.get(key) == value

    async def test_absent_key_has_no_value(self, backend: StoreBackend) -> None:
        """And forgetting it is no error."""
        key = _key()
        assert await backend.store.get(key) is None
        assert not await backend.store.delete(key)

    async def test_empty_value_is_not_absence(self, backend: StoreBackend) -> None:
        """By no method."""
        store, key = backend.store, _key()
        await store.set(key, b"", ttl=_LONG)
        assert await store.get(key) == b""
        assert not await store.set_if_absent(key, b"other", ttl=_LONG)
        assert await store.replace(key, b"", expected=b"", ttl=_LONG)
        assert await store.delete(key, expected=b"")
        assert await store.get(key) is None

    async def test_later_value_replaces_the_earlier(self, backend: StoreBackend) -> None:
        """A shorter one, too."""
        key = _key()
        await backend.store.set(key, b"first, and longer", ttl=_LONG)
        await backend.store.set(key, b"second", ttl=_LONG)
        assert await backend.store.get(key) == b"second"

    @pytest.mark.parametrize(
        "suffix",
        ["", "\0", "\r\n", " ", "*?[a]", "{tag}", "größe/🙂", "\ud800", "x" * 4096],
        ids=["plain", "nul", "lines", "space", "glob", "tag", "unicode", "surrogate", "long"],
    )
    async def test_any_text_is_a_key_of_its_own(self, backend: StoreBackend, suffix: str) -> None:
        """Separators, patterns and lone surrogates included."""
        store, key = backend.store, _key() + suffix
        await store.set(key, b"this", ttl=_LONG)
        await store.set(key + "+", b"that", ttl=_LONG)
        assert await store.get(key) == b"this"
        assert await store.delete(key)
        assert await store.get(key + "+") == b"that"

    async def test_large_value_fits(self, backend: StoreBackend) -> None:
        """It comes back whole."""
        key, value = _key(), _EVERY_BYTE * (self.largest // 256)
        await backend.store.set(key, value, ttl=_LONG)
        assert await backend.store.get(key) == value

    async def test_first_of_many_wins_and_all_others_are_told(self, backend: StoreBackend) -> None:
        """Over several clients."""
        key, other = _key(), backend.make()
        clients = (backend.store, other)

        async def race(number: int) -> bool:
            return await clients[number % 2].set_if_absent(key, b"%d" % number, ttl=_LONG)

        won = await asyncio.gather(*map(race, range(self.crowd)))
        assert won.count(True) == 1
        assert await backend.store.get(key) == b"%d" % won.index(True)
        if other is not backend.store:
            await other.aclose()

    async def test_one_of_many_replacements_of_one_value_wins(self, backend: StoreBackend) -> None:
        """The others see another value than they expect."""
        store, key = backend.store, _key()
        await store.set(key, b"old", ttl=_LONG)

        async def race(number: int) -> bool:
            return await store.replace(key, b"%d" % number, expected=b"old", ttl=_LONG)

        won = await asyncio.gather(*map(race, range(self.crowd)))
        assert won.count(True) == 1
        assert await store.get(key) == b"%d" % won.index(True)

    async def test_replacement_leaves_another_value_alone(self, backend: StoreBackend) -> None:
        """So does it an absent one."""
        store, key = backend.store, _key()
        assert not await store.replace(key, b"new", expected=b"old", ttl=_LONG)
        assert await store.get(key) is None
        await store.set(key, b"theirs", ttl=_LONG)
        assert not await store.replace(key, b"new", expected=b"old", ttl=_LONG)
        assert await store.get(key) == b"theirs"

    async def test_deletion_of_an_expected_value_leaves_another_alone(
        self, backend: StoreBackend
    ) -> None:
        """Who has lost a lock does not take it from who has it now."""
        store, key = backend.store, _key()
        await store.set(key, _EVERY_BYTE, ttl=_LONG)
        assert not await store.delete(key, expected=b"mine")
        assert await store.delete(key, expected=_EVERY_BYTE)
        assert await store.get(key) is None
        assert not await store.delete(key, expected=_EVERY_BYTE)

    async def test_forgotten_key_can_be_taken_again(self, backend: StoreBackend) -> None:
        """At once."""
        store, key = backend.store, _key()
        assert await store.set_if_absent(key, b"first", ttl=_LONG)
        assert await store.delete(key)
        assert await store.set_if_absent(key, b"second", ttl=_LONG)
        assert await store.get(key) == b"second"

    async def test_many_keys_are_read_and_written_at_once(self, backend: StoreBackend) -> None:
        """Absent keys are left out, and empty values are not."""
        store, keys = backend.store, [_key() for _ in range(self.crowd)]
        values = {key: _EVERY_BYTE * (number % 3) for number, key in enumerate(keys)}
        assert await get_many(store, keys) == {}
        await set_many(store, {key: Entry(value, _LONG) for key, value in values.items()})
        assert await get_many(store, [*keys, _key()]) == values
        assert await store.get(keys[1]) == values[keys[1]]
        assert await store.delete(keys[0])
        assert await get_many(store, keys[:2]) == {keys[1]: values[keys[1]]}
        assert await get_many(store, []) == {}

    async def test_none_of_many_is_kept_without_a_time(self, backend: StoreBackend) -> None:
        """As with ``set``."""
        with pytest.raises(ValueError, match="ttl"):
            await set_many(backend.store, {_key(): Entry(b"value", 0)})

    async def test_clients_share_their_contents(self, backend: StoreBackend) -> None:
        """What one writes, all read."""
        key, other = _key(), backend.make()
        await other.set(key, b"shared", ttl=_LONG)
        assert await backend.store.get(key) == b"shared"
        if other is not backend.store:
            await other.aclose()

    @pytest.mark.parametrize("ttl", [0, -1.0, math.inf, math.nan])
    async def test_time_that_is_none_is_refused(self, backend: StoreBackend, ttl: float) -> None:
        """And nothing is kept."""
        store, key = backend.store, _key()
        for writing in (
            store.set(key, b"v", ttl=ttl),
            store.set_if_absent(key, b"v", ttl=ttl),
            store.replace(key, b"v", expected=b"v", ttl=ttl),
        ):
            with pytest.raises(ValueError, match="ttl="):
                await writing
        assert await store.get(key) is None

    @pytest.mark.parametrize("value", ["text", None, 1, bytearray(b"changes later")])
    async def test_what_is_not_bytes_is_refused(self, backend: StoreBackend, value: Any) -> None:
        """A text would come back as something else."""
        store, key = backend.store, _key()
        for writing in (
            store.set(key, value, ttl=_LONG),
            store.set_if_absent(key, value, ttl=_LONG),
            store.replace(key, value, expected=b"v", ttl=_LONG),
        ):
            with pytest.raises(TypeError, match="bytes"):
                await writing
        assert await store.get(key) is None

    async def test_value_is_gone_when_its_time_is_over(self, backend: StoreBackend) -> None:
        """For every method."""
        store, lapse, key = backend.store, _lapse(backend), _key()
        await store.set(key, b"short", ttl=10.0)
        await lapse(9.0)
        assert await store.get(key) == b"short"
        await lapse(2.0)
        assert await store.get(key) is None
        assert not await store.replace(key, b"new", expected=b"short", ttl=10.0)
        assert not await store.delete(key)
        assert await store.set_if_absent(key, b"next", ttl=10.0)

    async def test_each_write_begins_a_new_time(self, backend: StoreBackend) -> None:
        """What is replaced does not end the new value."""
        store, lapse = backend.store, _lapse(backend)
        set_again, renewed, kept = _key(), _key(), _key()
        for key in (set_again, renewed, kept):
            assert await store.set_if_absent(key, b"v", ttl=10.0)
        await lapse(6.0)
        await store.set(set_again, b"v", ttl=10.0)
        assert await store.replace(renewed, b"v", expected=b"v", ttl=10.0)
        assert not await store.set_if_absent(kept, b"w", ttl=10.0)
        await lapse(6.0)
        assert await store.get(set_again) == b"v"
        assert await store.get(renewed) == b"v"
        assert await store.get(kept) is None, "a refused write has prolonged the value"

    async def test_reading_does_not_prolong(self, backend: StoreBackend) -> None:
        """Otherwise a lock that others look at would never end."""
        store, lapse, key = backend.store, _lapse(backend), _key()
        await store.set(key, b"v", ttl=10.0)
        for _ in range(4):
            await lapse(3.0)
            await store.get(key)
        assert await store.get(key) is None

    async def test_shortest_time_is_a_time(self, backend: StoreBackend) -> None:
        """A fraction of the back end's unit is not rounded to none."""
        key = _key()
        await backend.store.set(key, b"v", ttl=1e-6)
        assert await backend.store.get(key) in (b"v", None)

    async def test_cancelled_operation_leaves_the_store_usable(self, backend: StoreBackend) -> None:
        """It was done whole, or not at all, and later ones get their own answers."""
        store = backend.store
        for turns in range(12):
            key = _key()
            writing = asyncio.ensure_future(store.set_if_absent(key, _EVERY_BYTE, ttl=_LONG))
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait({writing})
            assert await store.get(key) in (None, _EVERY_BYTE)
            other = _key()
            await store.set(other, b"%d" % turns, ttl=_LONG)
            assert await store.get(other) == b"%d" % turns

    async def test_nothing_is_left_running(self, backend: StoreBackend) -> None:
        """Neither tasks nor threads, and closing twice is as closing once."""
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        store, key = backend.make(), _key()
        await store.set(key, b"v", ttl=_LONG)
        assert await store.get(key) == b"v"
        await store.aclose()
        await store.aclose()
        assert asyncio.all_tasks() - tasks == set()
        assert {thread for thread in threading.enumerate() if thread not in threads} == set()


def _key() -> str:
    return f"contract/{uuid.uuid4()}"


def _lapse(backend: StoreBackend) -> Callable[[float], Awaitable[None]]:
    if backend.lapse is None:
        raise unittest.SkipTest("time cannot be moved for this back end")
    return backend.lapse
