"""Generated caches on a real Redis and a real memcached, which are killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedProducts

from kratos.metrics import MemoryMeter
from kratos.store import Store, from_url
from kratos_cachegen import AsideOptions


class Shop(CachedProducts):
    def __init__(self, store: Store, meter: MemoryMeter) -> None:
        super().__init__(redis=store, mc=store, memory=store, options=AsideOptions(meter=meter))
        self.loads: list[int] = []

    async def raw_product(self, id: int) -> Product | None:
        self.loads.append(id)
        await asyncio.sleep(0.001)
        return Product(id, f"No. {id}") if id > 0 else None

    async def raw_products(self, ids: Sequence[int]) -> Mapping[int, Product]:
        self.loads += ids
        return {id: Product(id, f"No. {id}") for id in ids if id > 0}

    async def raw_offer(self, id: int, country: str) -> Product | None:
        return await self.raw_product(id)

    async def raw_stock(self, id: int) -> int:
        return id

    async def raw_prices(self, ids: Sequence[int], currency: str) -> Mapping[int, float]:
        return {id: id / 2 for id in ids}

    async def raw_names(self) -> list[str]:
        return ["größe", "🙂"]

    async def raw_label(self, id: int) -> StringValue | None:
        return StringValue(value=str(id))


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


@pytest.fixture
async def store(server: Any) -> AsyncIterator[Store]:
    made = from_url(f"{server.url}?timeout=5s")
    yield made
    await made.aclose()


@pytest.fixture
async def shop(store: Store, meter: MemoryMeter) -> AsyncIterator[Shop]:
    async with Shop(store, meter) as made:
        yield made


async def test_everything_comes_back_as_it_was(shop: Shop) -> None:
    for _ in range(2):
        assert await shop.product(1) == Product(1, "No. 1")
        assert await shop.product(-1) is None
        assert len(await shop.products([*range(-50, 200)])) == 199
        assert await shop.offer(3, "ch") == Product(3, "No. 3")
        assert await shop.stock(4) == 4
        assert await shop.prices([1, 2, 3], "größe") == {1: 0.5, 2: 1.0, 3: 1.5}
        assert await shop.names() == ["größe", "🙂"]
        assert await shop.label(1) == StringValue(value="1")
        await shop.drain()
    assert len(shop.loads) == len(set(shop.loads)) + 1  # an offer is no product


async def test_thousand_misses_make_one_load(shop: Shop) -> None:
    found = await asyncio.gather(*(shop.product(7) for _ in range(1000)))
    assert found == [Product(7, "No. 7")] * 1000
    assert shop.loads == [7]
    await shop.drain()
    assert await shop.product(7) == Product(7, "No. 7")
    assert shop.loads == [7]


async def test_two_processes_share_what_is_kept(shop: Shop, server: Any) -> None:
    await shop.prefetch_products(range(1, 301))
    await shop.drain()
    async with contextlib.aclosing(from_url(f"{server.url}?timeout=5s")) as other_store:
        other = Shop(other_store, MemoryMeter())
        assert len(await other.products(range(1, 301))) == 300
        assert other.loads == []


Callers: TypeAlias = "Callable[..., Awaitable[asyncio.subprocess.Process]]"


@pytest.fixture
async def callers(server: Any) -> AsyncIterator[Callers]:
    """Start processes that want one value, and wait until they are ready to ask for it."""
    made: list[asyncio.subprocess.Process] = []

    async def start(mode: str = "calm") -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.cachegen.tests.loading_process", server.url, mode),
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        made.append(process)
        assert await said(process) == "ready"
        return process

    yield start
    for process in made:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def go(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


@pytest.mark.slow
async def test_many_processes_make_one_load(callers: Callers) -> None:
    processes = [await callers() for _ in range(4)]
    for process in processes:
        go(process)
    told = [(await said(process)).split() for process in processes]
    assert [found for found, _ in told] == ["100"] * 4
    assert sorted(int(loads) for _, loads in told) == [0, 0, 0, 1]


@pytest.mark.slow
async def test_another_process_loads_when_the_one_that_loads_is_killed(callers: Callers) -> None:
    stuck = await callers("stuck")
    others = [await callers() for _ in range(2)]
    go(stuck)
    assert await said(stuck) == "loading"
    for process in others:
        go(process)
    stuck.kill()
    async with asyncio.timeout(60):  # the lock ends after 10 seconds; that of memcached up to 12
        told = [(await said(process)).split() for process in others]
    assert [found for found, _ in told] == ["100"] * 2
    assert sum(int(loads) for _, loads in told) in (1, 2)


@pytest.mark.slow
async def test_server_that_is_killed_in_the_middle_loses_nothing_but_speed(
    shop: Shop, server: Any, meter: MemoryMeter
) -> None:
    asked = killed = 0

    async def ask(worker: int) -> None:
        nonlocal asked
        for number in range(200):
            id = 1 + (worker * 7 + number) % 50
            assert await shop.product(id) == Product(id, f"No. {id}")
            ids = [id, id + 1, -1]
            found = await shop.products(ids)
            assert found == {each: Product(each, f"No. {each}") for each in ids[:2]}
            asked += 1

    async def kill() -> None:
        nonlocal killed
        while asked < 300:  # noqa: ASYNC110  the others work meanwhile
            await asyncio.sleep(0)
        server.kill()
        killed = asked

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kill())
        for worker in range(10):
            tasks.create_task(ask(worker))
    assert asked == 2000
    assert 300 <= killed < 2000
    errors = meter.value("cache_errors_total", name="bts:product", operation="read")
    assert errors > 0
    assert len(shop.loads) > 50  # without the cache, the source has all the work

    server.start()
    async with asyncio.timeout(30):
        while True:  # until the store asks the server again
            hits = meter.value("cache_hits_total", name="bts:product")
            assert await shop.product(1) is not None
            await shop.drain()
            if meter.value("cache_hits_total", name="bts:product") > hits:
                break
