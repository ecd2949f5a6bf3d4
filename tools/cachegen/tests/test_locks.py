"""Of several processes one loads: here classes that share a store, on a clock that stands still."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedRates

from kratos.errors import StoreFull, StoreUnavailable
from kratos.metrics import MemoryMeter
from kratos.store import MemoryStore
from kratos.testing.clock import FakeClock
from kratos_cachegen import AsideOptions
from kratos_cachegen.runtime import Aside, Kept, codec

LOCK = 10.0  # seconds, in the interface


class Rates(CachedRates):
    """Loads when it may, and tells how often."""

    def __init__(self, store: MemoryStore, clock: FakeClock, meter: MemoryMeter) -> None:
        options = AsideOptions(clock=clock, meter=meter, random=lambda: 0.5)
        super().__init__(redis=store, options=options)
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def raw_rate(self, id: int) -> Product | None:
        self.loads += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Product(id, f"No. {self.loads}") if id > 0 else None

    async def raw_draft(self, id: int) -> Product | None:
        return await self.raw_rate(id)

    async def raw_total(self) -> int:
        await self.raw_rate(1)
        return self.loads


class Store(MemoryStore):
    """Keeps nothing but locks, or fails."""

    keeps = True
    works = True

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        if not self.keeps:
            raise StoreFull("too large")
        await super().set(key, value, ttl=ttl)

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        if not self.works:
            raise StoreUnavailable("away")
        return await super().set_if_absent(key, value, ttl=ttl)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return Store(clock=clock)


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


@pytest.fixture
def processes(store: Store, clock: FakeClock, meter: MemoryMeter) -> list[Rates]:
    return [Rates(store, clock, meter) for _ in range(5)]


def loads(processes: Iterable[Rates]) -> int:
    return sum(each.loads for each in processes)


async def test_of_all_processes_one_loads_and_the_others_get_that(
    processes: list[Rates], store: Store, clock: FakeClock
) -> None:
    for each in processes:
        each.gate.clear()
    asked = [asyncio.ensure_future(each.rate(7)) for each in processes for _ in range(20)]
    await clock.advance(3)
    assert loads(processes) == 1
    assert not any(each.done() for each in asked)
    for each in processes:
        each.gate.set()
    await clock.advance(0.2)
    assert {each.result() for each in asked} == {Product(7, "No. 1")}
    assert loads(processes) == 1
    assert list(store) == ["rate:7"]  # no lock is left


async def test_what_was_kept_before_the_lock_was_had_is_not_loaded_again(
    processes: list[Rates], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = processes
    take = store.set_if_absent

    async def late(key: str, value: bytes, /, *, ttl: float) -> bool:
        monkeypatch.undo()
        await first.rate(7)
        await first.drain()
        return await take(key, value, ttl=ttl)

    monkeypatch.setattr(store, "set_if_absent", late)
    assert await second.rate(7) == Product(7, "No. 1")
    assert (first.loads, second.loads) == (1, 0)
    await second.drain()
    assert list(store) == ["rate:7"]


async def test_process_that_dies_while_it_loads_delays_others_by_a_lock_at_most(
    processes: list[Rates], clock: FakeClock
) -> None:
    dead, *others = processes
    dead.gate.clear()
    died = asyncio.ensure_future(dead.rate(7))
    await clock.settle()
    begin = clock.time()
    waiting = [asyncio.ensure_future(each.rate(7)) for each in others]
    await clock.advance(LOCK - 0.2)
    assert not any(each.done() for each in waiting)
    await clock.advance(0.4)
    assert all(each.result() is not None for each in waiting)
    assert clock.time() - begin < LOCK + 0.3
    assert loads(others) == 1
    died.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await died


async def test_nobody_waits_longer_than_for_one_lock(
    processes: list[Rates], store: Store, clock: FakeClock
) -> None:
    await store.set("rate:7%lock", b"of one that renews it for ever", ttl=1e6)
    waiting = [asyncio.ensure_future(each.rate(7)) for each in processes]
    await clock.advance(LOCK - 0.2)
    assert loads(processes) == 0
    await clock.advance(0.2)
    assert all(each.result() == Product(7, "No. 1") for each in waiting)
    assert await store.get("rate:7%lock") == b"of one that renews it for ever"


async def test_next_one_loads_when_loading_fails(processes: list[Rates], clock: FakeClock) -> None:
    first, second, *_ = processes
    first.error = OSError("source away")
    first.gate.clear()
    failing = asyncio.ensure_future(first.rate(7))
    await clock.settle()
    waiting = asyncio.ensure_future(second.rate(7))
    await clock.advance(1)
    first.gate.set()
    await clock.advance(0.2)
    assert isinstance(failing.exception(), OSError)
    assert waiting.result() == Product(7, "No. 1")


async def test_next_one_loads_when_the_one_that_loads_is_cancelled(
    processes: list[Rates], clock: FakeClock
) -> None:
    first, second, *_ = processes
    first.gate.clear()
    cancelled = asyncio.ensure_future(first.rate(7))
    await clock.settle()
    waiting = asyncio.ensure_future(second.rate(7))
    await clock.advance(1)
    cancelled.cancel()
    await clock.advance(0.2)
    assert cancelled.cancelled()
    assert waiting.result() == Product(7, "No. 1")


async def test_who_is_cancelled_while_the_lock_is_taken_gives_it_back(
    processes: list[Rates], store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = store.set_if_absent

    async def slow(key: str, value: bytes, /, *, ttl: float) -> bool:
        await take(key, value, ttl=ttl)
        await asyncio.Event().wait()  # the answer never comes
        return True

    monkeypatch.setattr(store, "set_if_absent", slow)
    asking = asyncio.ensure_future(processes[0].rate(7))
    await clock.settle()
    assert list(store) == ["rate:7%lock"]
    asking.cancel()
    await clock.settle()
    assert list(store) == []


async def test_nothing_is_remembered_of_whoever_is_cancelled_with_the_lock(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = Aside(options=AsideOptions(clock=clock))
    kept = Kept(aside, store, codec(int, "raw"), name="numbers", lock=LOCK)
    looking, never = asyncio.Event(), asyncio.Event()

    async def look(key: str, /) -> bytes | None:
        looking.set()
        await never.wait()
        return None

    monkeypatch.setattr(store, "get", look)

    async def take() -> None:
        async with kept.turn("a", None):
            pass

    taking = asyncio.create_task(take())
    await looking.wait()
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    await aside.drain()
    assert list(store) == []
    untyped: Any = kept
    assert untyped._turns._held == {}


async def test_lock_whose_answer_was_lost_is_known_again(
    processes: list[Rates], store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = store.set_if_absent

    async def lying(key: str, value: bytes, /, *, ttl: float) -> bool:
        await take(key, value, ttl=ttl)
        return False  # as the second try after a lost connection says

    monkeypatch.setattr(store, "set_if_absent", lying)
    asking = asyncio.ensure_future(processes[0].rate(7))
    await clock.advance(0.1)
    assert asking.result() == Product(7, "No. 1")
    assert list(store) == ["rate:7"]


async def test_mark_that_there_is_none_is_an_answer_for_all(
    processes: list[Rates], clock: FakeClock
) -> None:
    asked = [asyncio.ensure_future(each.rate(-1)) for each in processes]
    await clock.advance(0.2)
    assert [each.result() for each in asked] == [None] * 5
    assert loads(processes) == 1


@pytest.mark.parametrize("keeps", [True, False])
async def test_nobody_waits_for_what_cannot_be_kept(
    processes: list[Rates], store: Store, clock: FakeClock, *, keeps: bool
) -> None:
    store.keeps = keeps
    id = -1 if keeps else 7  # that there is none is not kept, without nullcache
    asked = [asyncio.ensure_future(each.draft(id)) for each in processes]
    await clock.advance(0.2)
    assert all(each.done() for each in asked)
    assert loads(processes) == len(processes)
    assert [key for key in store if not key.endswith("%lock")] == []


async def test_store_without_locks_loses_nothing_but_the_single_load(
    processes: list[Rates], store: Store, meter: MemoryMeter
) -> None:
    store.works = False
    for each in processes[:2]:
        assert await each.draft(7) == Product(7, "No. 1")
    assert meter.value("cache_errors_total", name="bts:draft", operation="lock") == 1
    assert [each.loads for each in processes[:2]] == [1, 0]  # what one has written others read


async def test_stale_value_is_loaded_anew_by_one_process(
    processes: list[Rates], clock: FakeClock
) -> None:
    assert await processes[0].rate(7) == Product(7, "No. 1")
    await clock.advance(61)
    for each in processes:
        each.loads = 1
        each.gate.clear()
        assert await each.rate(7) == Product(7, "No. 1")
    await clock.settle()
    assert loads(processes) == 5 + 1
    for each in processes:
        each.gate.set()
        await each.drain()
    assert {await each.rate(7) for each in processes} == {Product(7, "No. 2")}
    assert loads(processes) == 5 + 1


async def test_value_without_a_key_has_a_lock_too(processes: list[Rates], clock: FakeClock) -> None:
    asked = [asyncio.ensure_future(each.total()) for each in processes]
    await clock.advance(0.2)
    assert [each.result() for each in asked] == [1] * 5
    await clock.advance(287)
    assert await processes[0].total() == 1
    await processes[0].drain()
    assert loads(processes) == 2
