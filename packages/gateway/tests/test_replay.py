"""What is kept of bodies for further attempts, over all requests."""

from __future__ import annotations

import asyncio

import pytest

from kratos.errors import ConfigError
from kratos.transport.http import Head, Wire
from kratos_gateway.proxy import ReplayMemory
from kratos_gateway.testing import backend, proxied, say
from kratos_http.testing import eventually

SIZE = 200_000


def to(address: str) -> dict[str, object]:
    retry = {"attempts": 2, "conditions": [{"byStatusCode": "503"}]}
    return {"path": "/*", "timeout": "5s", "backends": [{"target": address}], "retry": retry}


def test_a_memory_that_is_less_than_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit"):
        ReplayMemory(-1)


def test_room_that_was_given_back_is_taken_again() -> None:
    memory = ReplayMemory(10)
    assert memory.take(6)
    assert not memory.take(5)
    memory.give_back(6)
    assert memory.take(10)
    assert (memory.used, memory.refused) == (10, 1)


@pytest.mark.parametrize(("limit", "attempts"), [(SIZE, 2), (SIZE - 1, 1), (0, 1)])
async def test_a_body_that_finds_no_room_is_sent_once(limit: int, attempts: int) -> None:
    got: list[int] = []

    async def failing(_head: Head, wire: Wire) -> None:
        got.append(len(await say(wire, 503)))

    memory = ReplayMemory(limit)
    async with (
        backend(failing) as node,
        proxied(to(node.address), retry_memory=memory) as gateway,
    ):
        answer = await (await gateway.connect()).request("POST", "/", body=b"x" * SIZE)
        assert answer.status == 503
        assert got == [SIZE] * attempts
        await eventually(lambda: memory.used == 0)


async def test_requests_share_the_memory() -> None:
    memory = ReplayMemory(SIZE + SIZE // 2)
    got: list[int] = []
    both = asyncio.Barrier(2)

    async def failing(_head: Head, wire: Wire) -> None:
        size = 0
        while piece := await wire.read():
            size += len(piece)
        got.append(size)
        if len(got) <= 2:
            await both.wait()  # so that the bodies of both are there at once
        await say(wire, 503)

    async with (
        backend(failing) as node,
        proxied(to(node.address), retry_memory=memory) as gateway,
    ):
        peers = [await gateway.connect() for _ in range(2)]
        answers = await asyncio.gather(
            *(peer.request("POST", "/", body=b"x" * SIZE) for peer in peers)
        )
        await eventually(lambda: memory.used == 0)
    assert [answer.status for answer in answers] == [503, 503]
    assert got == [SIZE] * 3  # one of them had a second attempt
    assert memory.refused == 1


async def test_nothing_is_kept_while_a_good_answer_goes_on() -> None:
    memory = ReplayMemory(2 * SIZE)
    held: list[int] = []
    go = asyncio.Event()

    async def streaming(_head: Head, wire: Wire) -> None:
        while await wire.read():
            pass
        held.append(memory.used)
        wire.start(200, [(b"content-type", b"text/event-stream")])
        await wire.write(b"data: 1\n\n")
        await go.wait()
        await wire.finish()

    async with (
        backend(streaming) as node,
        proxied(to(node.address), retry_memory=memory) as gateway,
    ):
        peer = await gateway.connect()
        asking = asyncio.create_task(peer.request("POST", "/", body=b"x" * SIZE))
        await eventually(lambda: bool(held) and memory.used == 0)
        assert held == [SIZE]
        assert not asking.done()
        go.set()
        assert (await asking).status == 200
