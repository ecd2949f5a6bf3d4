"""Generated caches over stores in the process, on a clock that stands still."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedProducts, CachedSessions

from kratos.errors import ConfigError, StoreUnavailable
from kratos.metrics import MemoryMeter
from kratos.store import MemoryStore, Store
from kratos.testing.clock import FakeClock
from kratos_cachegen import AsideOptions


class Shop(CachedProducts):
    """Has products by number, and notes which were loaded."""

    def __init__(self, store: Store, options: AsideOptions) -> None:
        super().__init__(redis=store, mc=store, memory=store, options=options)
        self.goods = {id: Product(id, f"No. {id}", ("new",)) for id in range(1, 500)}
        self.loads: list[int] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def _load(self, *ids: int) -> dict[int, Product]:
        self.loads += ids
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {id: self.goods[id] for id in ids if id in self.goods}

    async def raw_product(self, id: int) -> Product | None:
        return (await self._load(id)).get(id)

    async def raw_products(self, ids: Sequence[int]) -> Mapping[int, Product]:
        return await self._load(*ids)

    async def raw_offer(self, id: int, country: str) -> Product | None:
        return (await self._load(id)).get(id)

    async def raw_stock(self, id: int) -> int:
        return len(await self._load(id))

    async def raw_prices(self, ids: Sequence[int], currency: str) -> Mapping[int, float]:
        return {id: id + 0.5 for id in await self._load(*ids)}

    async def raw_names(self) -> list[str]:
        return [each.name for each in (await self._load(*self.goods)).values()]

    async def raw_label(self, id: int) -> StringValue | None:
        found = await self._load(id)
        return StringValue(value=found[id].name) if id in found else None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


@pytest.fixture
def options(clock: FakeClock, meter: MemoryMeter) -> AsideOptions:
    return AsideOptions(meter=meter, clock=clock, random=lambda: 0.0)


@pytest.fixture
def shop(store: MemoryStore, options: AsideOptions) -> Shop:
    return Shop(store, options)


async def test_value_is_loaded_once_and_kept_for_its_time(shop: Shop, clock: FakeClock) -> None:
    for _ in range(3):
        assert await shop.product(1) == Product(1, "No. 1", ("new",))
        await shop.drain()
    assert shop.loads == [1]
    await clock.advance(91)  # 60 fresh, 30 stale
    assert await shop.product(1) == Product(1, "No. 1", ("new",))
    assert shop.loads == [1, 1]


async def test_absent_value_is_marked_for_a_shorter_time(shop: Shop, clock: FakeClock) -> None:
    for _ in range(3):
        assert await shop.product(999) is None
        await shop.drain()
        assert await shop.products([999]) == {}
    assert shop.loads == [999]
    await clock.advance(10.1)
    assert await shop.product(999) is None
    assert shop.loads == [999, 999]


async def test_stale_value_serves_while_it_is_loaded_anew(
    shop: Shop, clock: FakeClock, meter: MemoryMeter
) -> None:
    await shop.products([1, 2])
    await shop.drain()
    shop.goods[1] = Product(1, "changed")
    await clock.advance(61)
    shop.gate = asyncio.Event()
    before = await asyncio.gather(*(shop.product(1) for _ in range(100)))
    assert {each.name for each in before if each} == {"No. 1"}
    assert (await shop.products([1, 2]))[2].name == "No. 2"
    await asyncio.sleep(0)
    shop.gate.set()
    await shop.drain()
    assert await shop.product(1) == Product(1, "changed")
    assert shop.loads.count(1) <= 3  # at first, by `product`, and by `products`
    assert meter.value("cache_stale_total", name="bts:product") >= 1
    assert meter.value("cache_misses_total", name="bts:product") == 0


async def test_renewal_that_fails_leaves_the_old_value_and_is_tried_again(
    shop: Shop, clock: FakeClock, meter: MemoryMeter
) -> None:
    await shop.product(1)
    await shop.drain()
    await clock.advance(61)
    shop.error = LookupError("away")
    for tries in (1, 2):
        assert await shop.product(1) is not None
        await shop.drain()
        failed = meter.value("cache_errors_total", name="bts:product", operation="renew")
        assert failed == tries


async def test_thousand_misses_make_one_load_also_of_a_source_that_never_waits(
    shop: Shop,
) -> None:
    found = await asyncio.gather(*(shop.product(7) for _ in range(1000)))
    assert found == [shop.goods[7]] * 1000
    assert shop.loads == [7]


async def test_methods_of_one_and_of_many_share_what_is_kept(shop: Shop) -> None:
    await shop.products([1, 2, 3])
    await shop.drain()
    assert await shop.product(2) == shop.goods[2]
    assert shop.loads == [1, 2, 3]


async def test_changed_value_is_forgotten(shop: Shop) -> None:
    await shop.products([1, 2])
    await shop.drain()
    await shop.del_cache_product(1)
    await shop.del_cache_products([2, 3])
    await shop.products([1, 2])
    assert shop.loads == [1, 2, 1, 2]


async def test_cache_is_filled_in_advance_in_shards(shop: Shop) -> None:
    assert await shop.prefetch_products([*range(1, 251), 999]) == 250
    await shop.drain()
    shop.loads.clear()
    assert len(await shop.products([*range(1, 251), 999])) == 250
    assert shop.loads == []


async def test_jitter_shortens_the_time_and_never_prolongs_it(
    store: MemoryStore, clock: FakeClock
) -> None:
    numbers = iter([0.0, 0.5, 0.999])
    shop = Shop(store, AsideOptions(clock=clock, random=lambda: next(numbers)))
    for id in (1, 2, 3):  # kept for 7 s, less up to a half
        await shop.offer(id, "ch")
    left: list[list[int]] = []
    for seconds in (3.4, 1.8, 1.7, 0.2):
        await clock.advance(seconds)
        here = [id for id in (1, 2, 3) if await store.get(f"offer:{id}:ch") is not None]
        left.append(here)
    assert left == [[1, 2, 3], [1, 2], [1], []]


async def test_placeholder_in_a_store_is_no_value(shop: Shop, store: MemoryStore) -> None:
    assert await shop.offer(999, "ch") is None
    assert await store.get("offer:999:ch") is not None
    assert await shop.offer(999, "ch") is None
    assert shop.loads == [999]


async def test_zero_is_a_value_of_numbers(shop: Shop) -> None:
    assert [await shop.stock(999) for _ in range(2)] == [0, 0]
    assert shop.loads == [999]


async def test_basic_values_are_kept_as_text_for_other_languages(
    shop: Shop, store: MemoryStore
) -> None:
    assert await shop.prices([1, 2, 999], "chf") == {1: 1.5, 2: 2.5}
    assert await store.get("prices:1:chf") == b"1.5"
    assert await shop.stock(3) == 1
    assert await store.get("stock:3") == b"1"
    assert await shop.prices([1, 2, 999], "chf") == {1: 1.5, 2: 2.5}
    assert shop.loads == [1, 2, 999, 3]


async def test_empty_list_is_marked(shop: Shop) -> None:
    shop.goods.clear()
    assert await shop.names() == []
    shop.goods = {1: Product(1, "late")}
    assert await shop.names() == []
    await shop.del_cache_names()
    assert await shop.names() == ["late"]


async def test_what_cannot_be_read_is_loaded_anew_and_counted(
    shop: Shop, store: MemoryStore, meter: MemoryMeter
) -> None:
    for garbage in (b"{", b'{"id":"one"}', b"\x00kc1", b"[]", b"\xff"):
        await store.set("product/1", garbage, ttl=60)
        assert await shop.product(1) == shop.goods[1]
        await shop.drain()
    assert meter.value("cache_errors_total", name="bts:product", operation="decode") == 5
    assert len(shop.loads) == 5


class Away(MemoryStore):
    """A store that does not answer."""

    async def get(self, key: str, /) -> bytes | None:
        raise StoreUnavailable("away")

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        raise StoreUnavailable("away")


async def test_store_that_is_away_is_counted_and_warned_of_once(
    options: AsideOptions, meter: MemoryMeter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kratos_cachegen")
    shop = Shop(Away(), options)
    for _ in range(5):
        assert await shop.product(1) == shop.goods[1]
        assert len(await shop.products([1, 2])) == 2
    with pytest.raises(StoreUnavailable):
        await shop.label(1)  # which has cache_err="break"
    assert meter.value("cache_errors_total", name="bts:product", operation="read") == 5
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


async def test_writes_for_which_there_is_no_room_are_dropped_and_counted(
    store: MemoryStore, meter: MemoryMeter
) -> None:
    shop = Shop(store, AsideOptions(meter=meter, workers=1, waiting=2))
    for id in range(1, 11):
        await shop.product(id)
    await shop.drain()
    assert len(store) == 2
    assert meter.value("cache_dropped_total", name="bts:product") == 8


async def test_end_of_the_application_waits_for_writes(store: MemoryStore) -> None:
    async with Shop(store, AsideOptions()) as shop:
        await shop.product(1)
        assert len(store) == 0
    assert len(store) == 1
    await shop.product(2)  # goes on, and is not kept
    await shop.aclose()
    assert len(store) == 1


async def test_write_that_never_ends_is_given_up_at_the_end(meter: MemoryMeter) -> None:
    class Stuck(MemoryStore):
        async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
            await asyncio.Event().wait()

    shop = Shop(Stuck(), AsideOptions(meter=meter, patience=0, workers=1))
    for id in (1, 2, 3):
        await shop.product(id)
    await asyncio.sleep(0)
    await shop.aclose()
    assert meter.value("cache_dropped_total", name="aclose") == 1
    assert meter.value("cache_dropped_total", name="bts:product") == 2
    for id in (1, 2, 3):  # nobody waits for a write that will not be
        assert await shop.product(id) == shop.goods[id]


async def test_cancelled_write_leaves_the_others_to_another_worker(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = store.set

    async def cancel_first(key: str, value: bytes, /, *, ttl: float) -> None:
        if key == "product/1":
            raise asyncio.CancelledError
        await keep(key, value, ttl=ttl)

    monkeypatch.setattr(store, "set", cancel_first)
    shop = Shop(store, AsideOptions(workers=1))
    for id in (1, 2, 3):
        await shop.product(id)
    await shop.drain()
    assert sorted(store) == ["product/2", "product/3"]


async def test_all_keys_begin_with_the_prefix(store: MemoryStore) -> None:
    async with Shop(store, AsideOptions(prefix="v2:")) as shop:
        await shop.product(1)
        await shop.prices([1], "chf")
    assert sorted(store) == ["v2:prices:1:chf", "v2:product/1"]


async def test_different_parts_make_different_keys(shop: Shop) -> None:
    assert shop.key_offer(1, "a:b") != shop.key_offer(1, "a%3Ab")
    assert shop.key_offer(1, "ch") == "offer:1:ch"


async def test_messages_are_kept_as_messages(shop: Shop) -> None:
    assert await shop.label(1) == StringValue(value="No. 1")
    await shop.drain()
    assert await shop.label(1) == StringValue(value="No. 1")
    assert shop.loads == [1]


@pytest.fixture
def sessions(store: MemoryStore, options: AsideOptions) -> CachedSessions:
    return CachedSessions(mc=store, memory=store, options=options)


async def test_single_operations_do_what_their_names_say(
    sessions: CachedSessions, clock: FakeClock
) -> None:
    one, two = Product(1, "one"), Product(2, "two")
    assert await sessions.get_session("t") is None
    await sessions.replace_session("t", one)
    assert await sessions.get_session("t") is None
    await sessions.claim_session("t", one)
    await sessions.claim_session("t", two)
    assert await sessions.get_session("t") == one
    await sessions.replace_session("t", two)
    assert await sessions.get_session("t") == two
    await sessions.del_session("t")
    await sessions.del_session("t")
    assert await sessions.get_session("t") is None
    await sessions.set_session("t", Product(0, ""))  # a placeholder
    await clock.advance(2.1)
    assert await sessions.get_session("t") is None


async def test_single_operations_of_many_keys(sessions: CachedSessions) -> None:
    await sessions.add_cache_counts({1: 10, 2: 0, 3: 30})
    assert await sessions.cache_counts([1, 2, 3, 4]) == {1: 10, 2: 0, 3: 30}
    await sessions.del_cache_counts([1, 3])
    assert await sessions.cache_counts([1, 2, 3, 4]) == {2: 0}


async def test_absent_number_is_zero(sessions: CachedSessions) -> None:
    assert await sessions.cache_total() == 0
    await sessions.add_cache_total(7)
    assert await sessions.cache_total() == 7


def test_what_is_no_store_is_refused(options: AsideOptions) -> None:
    with pytest.raises(ConfigError, match="store is a store, with get, set"):
        CachedSessions(mc=object(), memory=MemoryStore(), options=options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a store"):
        CachedSessions(mc=None, memory=MemoryStore())  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"waiting": 0}, {"patience": -1}])
def test_wrong_options_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AsideOptions(**wrong)  # type: ignore[arg-type]
