"""Processes that let one of them load answer as a plain dictionary does, whatever is broken.

They are classes that share a store, on a clock that stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedRates

from kratos.errors import StoreUnavailable
from kratos.store import MemoryStore
from kratos.testing.clock import FakeClock
from kratos_cachegen import AsideOptions

LOCK: Final = 10.0  # seconds, in the interface


class Flaky(MemoryStore):
    """Fails at what is broken; what was changed can be forgotten all the same."""

    broken: frozenset[str] = frozenset()

    def _ask(self, what: str) -> None:
        if what in self.broken:
            raise StoreUnavailable("away")

    async def get(self, key: str, /) -> bytes | None:
        self._ask("get")
        return await super().get(key)

    async def get_many(self, keys: Sequence[str], /) -> Mapping[str, bytes]:
        self._ask("get_many")
        return await super().get_many(keys)

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        self._ask("set")
        await super().set(key, value, ttl=ttl)

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        self._ask("set_if_absent")
        return await super().set_if_absent(key, value, ttl=ttl)

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        self._ask("replace")
        return await super().replace(key, value, expected=expected, ttl=ttl)

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        if expected is not None:
            self._ask("delete")
        return await super().delete(key, expected=expected)


class Shared(CachedRates):
    """One of several processes that share a source."""

    def __init__(self, store: MemoryStore, clock: FakeClock, source: dict[int, Product]) -> None:
        super().__init__(redis=store, options=AsideOptions(clock=clock))
        self.source = source

    async def raw_rate(self, id: int) -> Product | None:
        found = self.source.get(id)
        await self.options.clock.sleep(0.3)
        return found

    async def raw_draft(self, id: int) -> Product | None:
        return self.source.get(id)

    async def raw_total(self) -> int:
        return len(self.source)


OPERATIONS = ("get", "get_many", "set", "set_if_absent", "replace", "delete")
KEYS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), KEYS),
        st.tuples(st.just("remove"), KEYS),
        st.tuples(st.just("ask"), KEYS),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 20.0, 70.0])),
        st.tuples(st.just("break"), st.sets(st.sampled_from(OPERATIONS), max_size=3)),
    ),
    max_size=20,
)


async def play(steps: list[tuple[str, Any]]) -> None:
    clock = FakeClock()
    store, source = Flaky(clock=clock), dict[int, Product]()
    processes = [Shared(store, clock, source) for _ in range(3)]
    for number, (what, about) in enumerate(steps):
        if what == "write":
            source[about] = Product(about, f"{number}")
        elif what == "remove":
            source.pop(about, None)
        if what in ("write", "remove"):
            for key in (f"rate:{about}", f"draft:{about}", "total"):
                await store.delete(key)
        elif what == "wait":
            await clock.advance(about)
        elif what == "break":
            store.broken = frozenset(about)
        else:
            asked: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(ask(about))
                for each in processes
                for ask in (each.rate, each.rate, each.draft)
            ]
            asked += [asyncio.ensure_future(each.total()) for each in processes]
            await clock.advance(2 * LOCK)  # nobody waits for longer, whatever is broken
            answers: list[Any] = [None if each.exception() else each.result() for each in asked]
            able = "get" not in store.broken  # else those with cache_err="break" raise
            expected = source.get(about)
            assert answers[:2] == [expected, expected]
            assert all(each == expected or not able for each in answers[:9])
            assert all(each == len(source) for each in answers[9:])
    for each in processes:
        closing = asyncio.ensure_future(each.aclose())
        await clock.advance(60)
        await closing


@settings(max_examples=100)
@given(STEPS)
def test_processes_answer_as_a_dictionary_whatever_is_broken(steps: list[tuple[str, Any]]) -> None:
    asyncio.run(play(steps))
