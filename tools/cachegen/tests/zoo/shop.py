"""Interfaces whose caches are generated, over all kinds of stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.wrappers_pb2 import StringValue

import kratos_cachegen as cachegen
from kratos_cachegen import MARK, bts, mc, memory, redis

MINUTE: Final = 60.0


@dataclass(frozen=True)
class Product:
    id: int
    name: str
    tags: tuple[str, ...] = ()


def product_key(id: int) -> str:
    """Return the key that methods of one and of many products share."""
    return f"product/{id}"


class Products(Protocol):
    """Where products are."""

    @bts(singleflight=True, nullcache=MARK)
    @redis(key="product_key", expire=MINUTE, stale=30, null_expire=10)
    async def product(self, id: int) -> Product | None:
        """Return a product, if there is one."""
        ...

    @bts(singleflight=True, nullcache=MARK, batch=50, max_group=4, prefetch=100)
    @redis(key="product_key", expire=MINUTE, stale=30, null_expire=10, batch=100, max_group=2)
    async def products(self, ids: Sequence[int]) -> Mapping[int, Product]:
        """Return products."""
        ...

    @bts(nullcache=Product(-1, ""), check_null_code="$.id < 0", sync=True)
    @mc(expire="self.patience", encode="json|gzip", jitter=0.5)
    async def offer(self, id: int, country: str) -> Product | None: ...

    @bts(sync=True)
    @memory(expire=5, jitter=0)
    async def stock(self, id: int) -> int: ...

    @bts(nullcache=MARK, sync=True, batch_err="continue", batch=2, max_group=2)
    @memory(expire=5, jitter=0, encode="raw")
    async def prices(self, ids: Sequence[int], currency: str) -> dict[int, float]: ...

    @bts(nullcache=MARK, sync=True)
    @memory(expire=5, jitter=0)
    async def names(self) -> list[str]: ...

    @bts(sync=True, cache_err="break")
    @redis(expire=5, encode="pb", stale=5)
    async def label(self, id: int) -> StringValue | None: ...

    @property
    def patience(self) -> float:
        """Seconds for which offers are kept."""
        return 7.0


class Sessions(Protocol):
    """Single operations."""

    @mc(expire=MINUTE)
    async def get_session(self, token: str) -> Product | None:
        """Return who has a session."""
        ...

    @mc(expire=MINUTE, check_null_code="$.id == 0", null_expire=2)
    async def set_session(self, token: str, product: Product) -> None: ...

    @mc(expire=MINUTE, type="only_add", key="key_session")
    async def claim_session(self, token: str, product: Product) -> None: ...

    @mc(expire=MINUTE)
    async def replace_session(self, token: str, product: Product) -> None: ...

    @mc()
    async def del_session(self, token: str) -> None: ...

    @cachegen.mc(batch=2, max_group=2)
    async def cache_counts(self, ids: Sequence[int]) -> dict[int, int]: ...

    @cachegen.mc(expire=3)
    async def add_cache_counts(self, values: Mapping[int, int]) -> None: ...

    @cachegen.mc()
    async def del_cache_counts(self, ids: Sequence[int]) -> None: ...

    @memory()
    async def cache_total(self) -> int: ...

    @memory()
    async def add_cache_total(self, total: int) -> None: ...


class Rates(Protocol):
    """What one process loads for all."""

    @bts(singleflight=True, nullcache=MARK)
    @redis(expire=MINUTE, stale=30, jitter=0, lock=10)
    async def rate(self, id: int) -> Product | None:
        """Return a rate, if there is one."""
        ...

    @bts(cache_err="break")
    @redis(lock=10)
    async def draft(self, id: int) -> Product | None: ...

    @bts()
    @redis(lock=10, stale=5)
    async def total(self) -> int: ...
