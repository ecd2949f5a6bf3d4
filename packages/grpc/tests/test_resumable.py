"""Coroutines that outlive the waits for them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from kratos_grpc._grpcio.resumable import Resumable


@pytest.fixture
async def news() -> AsyncIterator[asyncio.Future[str]]:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    yield future
    future.cancel()


async def test_result_is_that_of_the_coroutine(news: asyncio.Future[str]) -> None:
    async def read() -> str:
        await asyncio.sleep(0)
        return await news

    reading = Resumable(read())
    waiting = asyncio.ensure_future(reading.wait())
    await asyncio.sleep(0)
    assert not reading.over
    news.set_result("it")
    assert await waiting == "it"
    assert reading.over


async def test_error_is_that_of_the_coroutine(news: asyncio.Future[str]) -> None:
    reading = Resumable(forward(news))
    news.set_exception(ValueError("bad news"))
    with pytest.raises(ValueError, match="bad news"):
        await reading.wait()
    assert reading.over


async def test_cancellation_of_what_it_waits_for_reaches_the_coroutine(
    news: asyncio.Future[str],
) -> None:
    reading = Resumable(forward(news))
    waiting = asyncio.ensure_future(reading.wait())
    await asyncio.sleep(0)
    news.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert reading.over


async def test_cancelled_wait_leaves_the_coroutine_for_the_next(news: asyncio.Future[str]) -> None:
    reading = Resumable(forward(news))
    for _ in range(3):
        waiting = asyncio.ensure_future(reading.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not news.cancelled()
    assert not reading.over
    news.set_result("still there")
    assert await reading.wait() == "still there"


async def test_result_that_comes_together_with_a_cancellation_is_kept(
    news: asyncio.Future[str],
) -> None:
    reading = Resumable(forward(news))
    waiting = asyncio.ensure_future(reading.wait())
    await asyncio.sleep(0)
    news.set_result("kept")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await reading.wait() == "kept"


async def test_close_ends_the_coroutine_where_it_stands(news: asyncio.Future[str]) -> None:
    ended: list[str] = []

    async def read() -> str:
        try:
            return await news
        finally:
            ended.append("here")

    reading = Resumable(read())
    waiting = asyncio.ensure_future(reading.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not ended
    reading.close()
    reading.close()
    assert ended == ["here"]
    assert not news.cancelled()


async def forward(news: asyncio.Future[str]) -> str:
    return await news


async def test_failure_after_the_end_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    futures: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future()]

    async def wait() -> None:
        await futures[0]

    resumable = Resumable(wait())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await resumable.wait()
    resumable.close()
    futures.pop().set_exception(RuntimeError("too late"))
    del resumable
    await asyncio.sleep(0)
    gc.collect()
    assert "never retrieved" not in caplog.text
