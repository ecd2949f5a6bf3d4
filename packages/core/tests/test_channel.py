"""The channel between two tasks."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kratos.transport.channel import Channel, ChannelClosed


async def test_items_come_in_order_and_the_sender_waits_for_room() -> None:
    channel: Channel[int] = Channel(limit=2)

    async def produce() -> None:
        for number in range(10):
            await channel.send(number)
        channel.close()

    producing = asyncio.create_task(produce())
    await asyncio.sleep(0)
    assert not producing.done()
    assert [number async for number in channel] == list(range(10))
    await producing


async def test_failure_comes_after_the_last_item() -> None:
    channel: Channel[int] = Channel()
    await channel.send(1)
    channel.close(LookupError("lost"))
    assert await anext(channel) == 1
    with pytest.raises(LookupError, match="lost"):
        await anext(channel)
    with pytest.raises(LookupError, match="lost"):
        await channel.send(2)


async def test_sender_that_waits_learns_of_the_end() -> None:
    channel: Channel[int] = Channel()
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2))
    await asyncio.sleep(0)
    channel.close(discard=True)
    with pytest.raises(ChannelClosed):
        await sending


async def test_waiting_that_is_given_up_leaves_nothing_behind() -> None:
    channel: Channel[int] = Channel()

    async def give_up() -> None:
        waiting = asyncio.ensure_future(anext(channel))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    def futures() -> int:
        gc.collect()
        return sum(type(thing) is asyncio.Future for thing in gc.get_objects())

    before = futures()
    for _ in range(50):
        await give_up()
    assert futures() - before < 10
    await channel.send(1)
    assert await anext(channel) == 1
