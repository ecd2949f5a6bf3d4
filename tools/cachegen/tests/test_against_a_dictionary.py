"""A generated cache answers as a plain dictionary does, whatever is done in whatever order.

What is written is forgotten in the cache, as its README says; then nothing old is to be seen,
except what is stale, and no value that never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedProducts

from kratos.errors import StoreUnavailable
from kratos.store import MemoryStore
from kratos.testing.clock import FakeClock
from kratos_cachegen import AsideOptions

KEYS = st.integers(0, 5)
Step: TypeAlias = tuple[str, Any]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "remove", "one", "offer", "stock"]), KEYS),
        st.tuples(st.sampled_from(["many", "prices", "prefetch"]), st.lists(KEYS, max_size=8)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 8.0, 20.0, 100.0])),
        st.tuples(st.just("fail"), st.integers(0, 2)),
    ),
    max_size=30,
)


class Flaky(MemoryStore):
    """Does not answer while it is broken: 1 to reads, 2 to writes."""

    broken = 0

    async def get(self, key: str, /) -> bytes | None:
        if self.broken == 1:
            raise StoreUnavailable("away")
        return await super().get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        if self.broken == 2:
            raise StoreUnavailable("away")
        await super().set(key, value, ttl=ttl)


class Shop(CachedProducts):
    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        super().__init__(redis=store, mc=store, memory=store, options=AsideOptions(clock=clock))
        self.goods: dict[int, Product] = {}

    async def raw_product(self, id: int) -> Product | None:
        await asyncio.sleep(0)
        return self.goods.get(id)

    async def raw_products(self, ids: Sequence[int]) -> Mapping[int, Product]:
        return {id: self.goods[id] for id in ids if id in self.goods}

    async def raw_offer(self, id: int, country: str) -> Product | None:
        return self.goods.get(id)

    async def raw_stock(self, id: int) -> int:
        return len(self.goods[id].name) if id in self.goods else 0

    async def raw_prices(self, ids: Sequence[int], currency: str) -> Mapping[int, float]:
        return {id: len(self.goods[id].name) / 2 for id in ids if id in self.goods}

    async def raw_names(self) -> list[str]:
        return sorted(each.name for each in self.goods.values())

    async def raw_label(self, id: int) -> StringValue | None:
        return None

    async def change(self, id: int, value: Product | None) -> None:
        """Write to the source, and forget what the cache has."""
        self.goods.pop(id, None)
        if value is not None:
            self.goods[id] = value
        await self.del_cache_product(id)
        await self.del_cache_offer(id, "ch")
        await self.del_cache_stock(id)
        await self.del_cache_prices([id], "chf")
        await self.del_cache_names()


class Play:
    """Does the same with a cache and with a dictionary, and compares."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Flaky(clock=self.clock)
        self.shop = Shop(self.store, self.clock)
        self.goods: dict[int, Product] = {}
        self._written = 0

    async def write(self, id: int) -> None:
        self._written += 1
        self.goods[id] = Product(id, "x" * self._written)
        await self.shop.change(id, self.goods[id])

    async def remove(self, id: int) -> None:
        self.goods.pop(id, None)
        await self.shop.change(id, None)

    async def one(self, id: int) -> None:
        assert await self.shop.product(id) == self.goods.get(id)

    async def offer(self, id: int) -> None:
        assert await self.shop.offer(id, "ch") == self.goods.get(id)

    async def stock(self, id: int) -> None:
        assert await self.shop.stock(id) == (len(self.goods[id].name) if id in self.goods else 0)

    async def many(self, ids: list[int]) -> None:
        expected = {id: self.goods[id] for id in ids if id in self.goods}
        assert await self.shop.products(ids) == expected

    async def prices(self, ids: list[int]) -> None:
        expected = {id: len(self.goods[id].name) / 2 for id in ids if id in self.goods}
        assert await self.shop.prices(ids, "chf") == expected

    async def prefetch(self, ids: list[int]) -> None:
        assert await self.shop.prefetch_products(ids) == len(self.goods.keys() & set(ids))

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def fail(self, how: int) -> None:
        self.store.broken = how

    async def play(self, steps: list[Step]) -> None:
        for name, argument in steps:
            await getattr(self, name)(argument)
            await self.shop.drain()
            assert await self.shop.names() == sorted(each.name for each in self.goods.values())
        await self.shop.aclose()


@settings(max_examples=200)
@given(STEPS)
def test_cache_answers_as_a_dictionary(steps: list[Step]) -> None:
    asyncio.run(Play().play(steps))
