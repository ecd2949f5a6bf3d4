"""Many scrapers cost no more than one, and none gets what is older than its question."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from kratos.limit import cancel_and_wait
from kratos.metrics import Snapshot
from kratos_prometheus import PrometheusMeter


class Source:
    """What a meter includes; it answers when a test says so."""

    def __init__(self, meter: PrometheusMeter) -> None:
        self.begun = 0
        self.open = False
        self.failure: Exception | None = None
        self._begins: asyncio.Queue[int] = asyncio.Queue()
        self._turns = asyncio.Semaphore(0)
        meter.include(self._answer)

    def let_go(self) -> None:
        self._turns.release()

    async def has_begun(self, count: int) -> None:
        """Return when it is asked for the so-manieth time; ask for each of them."""
        assert await self._begins.get() == count

    async def _answer(self) -> Snapshot:
        self.begun += 1
        if self.open:
            return ()
        self._begins.put_nowait(self.begun)
        await self._turns.acquire()
        if self.failure is not None:
            raise self.failure
        return ()


@pytest.fixture
def meter() -> PrometheusMeter:
    return PrometheusMeter(registry=CollectorRegistry())


async def test_those_who_ask_while_an_answer_is_made_share_the_next(
    meter: PrometheusMeter,
) -> None:
    source, calls = Source(meter), meter.counter("calls_total")
    first = asyncio.create_task(meter.render())
    await source.has_begun(1)
    calls.inc()  # the answer that is being made has read it, or not
    late = [asyncio.create_task(meter.render()) for _ in range(50)]
    source.let_go()
    await first
    await source.has_begun(2)
    calls.inc()
    source.let_go()
    bodies = set(await asyncio.gather(*late))
    assert source.begun == 2
    assert len(bodies) == 1
    assert b"calls_total 2.0" in bodies.pop()


async def test_formats_are_written_one_after_another(meter: PrometheusMeter) -> None:
    source = Source(meter)
    plain = asyncio.create_task(meter.render())
    other = asyncio.create_task(meter.render_as("application/openmetrics-text;version=1.0.0"))
    await source.has_begun(1)
    source.let_go()
    assert not (await plain).endswith(b"# EOF\n")
    await source.has_begun(2)
    source.let_go()
    assert (await other)[0].endswith(b"# EOF\n")


async def test_scraper_that_leaves_takes_nothing_from_the_others(meter: PrometheusMeter) -> None:
    source = Source(meter)
    leaving, staying = (asyncio.create_task(meter.render()) for _ in range(2))
    await source.has_begun(1)
    await cancel_and_wait(leaving)
    source.let_go()
    assert isinstance(await staying, bytes)
    assert source.begun == 1


async def test_failure_is_that_of_all_who_asked_and_of_nobody_later(
    meter: PrometheusMeter,
) -> None:
    source = Source(meter)
    source.failure = LookupError("no luck today")
    asking = [asyncio.create_task(meter.render()) for _ in range(2)]
    await source.has_begun(1)
    source.let_go()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(each) for each in told] == ["no luck today"] * 2
    source.failure, source.open = None, True
    assert isinstance(await meter.render(), bytes)


async def test_failure_that_nobody_waits_for_any_more_is_no_noise(meter: PrometheusMeter) -> None:
    noise: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: noise.append(told))
    source = Source(meter)
    source.failure = LookupError("no luck today")
    leaving = asyncio.create_task(meter.render())
    await source.has_begun(1)
    await cancel_and_wait(leaving)
    source.let_go()
    me = asyncio.current_task()
    await asyncio.wait([task for task in asyncio.all_tasks() if task is not me])
    gc.collect()
    assert noise == []


@pytest.mark.parametrize("how", ["answered", "abandoned"])
def test_meter_outlives_its_event_loop(meter: PrometheusMeter, how: str) -> None:
    sources: list[Source] = []

    async def abandon() -> None:
        sources.append(source := Source(meter))
        asyncio.create_task(meter.render())  # noqa: RUF006  it is the point that nobody waits
        await source.has_begun(1)
        asyncio.create_task(meter.render())  # noqa: RUF006

    ask: Callable[[], Any] = meter.render if how == "answered" else abandon
    asyncio.run(ask())
    for source in sources:
        source.open = True
    assert isinstance(asyncio.run(meter.render()), bytes)


if sys.version_info >= (3, 12):

    async def test_tasks_that_begin_at_once_answer_each_scrape_as_others_do(
        meter: PrometheusMeter,
    ) -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        source, calls = Source(meter), meter.counter("calls_total")
        first = asyncio.create_task(meter.render())
        await source.has_begun(1)
        calls.inc()
        late = asyncio.create_task(meter.render())
        source.let_go()
        await first
        await source.has_begun(2)
        source.let_go()
        assert b"calls_total 1.0" in (await late)
