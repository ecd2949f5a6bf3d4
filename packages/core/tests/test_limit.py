from __future__ import annotations

import asyncio

import pytest

from kratos.limit import Limit, cancel_and_wait, describe, shielded
from kratos.testing.clock import FakeClock


async def test_block_within_its_limit_keeps_its_result() -> None:
    clock = FakeClock()

    async with Limit(clock, 5) as limit:
        await asyncio.sleep(0)

    assert not limit.expired
    assert clock.sleepers == 0


async def test_block_beyond_its_limit_is_cancelled() -> None:
    clock = FakeClock()
    limit = Limit(clock, 5)

    async def run() -> None:
        async with limit:
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await clock.advance(4.9)
    assert not running.done()
    await clock.advance(0.1)

    with pytest.raises(TimeoutError):
        await running
    assert limit.expired


async def test_no_limit_lets_the_block_take_its_time() -> None:
    async with Limit(FakeClock(), None) as limit:
        await asyncio.sleep(0)

    assert not limit.expired


async def test_cancellation_from_outside_passes_through() -> None:
    clock = FakeClock()

    async def run() -> None:
        async with Limit(clock, 5):
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await clock.settle()
    await cancel_and_wait(running)

    assert running.cancelled()
    await clock.settle()
    assert clock.sleepers == 0


async def test_time_out_inside_the_block_is_not_the_limit() -> None:
    limit = Limit(FakeClock(), 5)

    with pytest.raises(TimeoutError, match="inner"):
        async with limit:
            raise TimeoutError("inner")

    assert not limit.expired


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("bad"), "ValueError: bad"), (TimeoutError(), "TimeoutError")],
)
def test_errors_are_described_by_kind_and_text(error: Exception, text: str) -> None:
    assert describe(error) == text


async def test_shielded_work_ends_before_the_cancellation_takes_effect() -> None:
    clock = FakeClock()
    step, done = asyncio.Event(), asyncio.Event()

    async def clean_up() -> None:
        await step.wait()
        done.set()

    running = asyncio.create_task(shielded(clean_up(), clock=clock, timeout=5))
    for _ in range(3):
        await clock.settle()
        running.cancel()
    await clock.settle()
    assert not running.done()

    step.set()
    await asyncio.wait([running])

    assert running.cancelled()
    assert done.is_set()


async def test_what_shielded_work_failed_with_is_told_though_its_caller_is_cancelled() -> None:
    async def clean_up() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    running = asyncio.create_task(shielded(clean_up(), clock=FakeClock(), timeout=5))
    await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError) as told:
        await running
    assert isinstance(told.value.__cause__, OSError)


async def test_shielded_work_gives_its_result() -> None:
    async def clean_up() -> int:
        return 7

    assert await shielded(clean_up(), clock=FakeClock(), timeout=5) == 7


async def test_shielded_work_is_bounded() -> None:
    clock = FakeClock()
    running = asyncio.create_task(shielded(asyncio.Event().wait(), clock=clock, timeout=5))

    await clock.advance(5)

    with pytest.raises(TimeoutError):
        await running


async def test_shielded_work_with_limits_of_its_own_needs_none() -> None:
    clock = FakeClock()
    running = asyncio.create_task(shielded(clock.sleep(1000), clock=clock, timeout=None))

    await clock.advance(999)
    assert not running.done()
    await clock.advance(1)

    await running


async def test_nothing_to_cancel_is_nothing_to_wait_for() -> None:
    await cancel_and_wait()
