"""Clients that go away do no harm to the calls of others on the connections to nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from kratos.transport.http import Head, Wire
from kratos_gateway.backend.http1 import Http1Connection
from kratos_gateway.exchange import Answer
from kratos_gateway.testing import backend, proxied, say
from kratos_http.testing import eventually


def to(address: str) -> dict[str, Any]:
    backends = [{"target": address}]
    return {"path": "/*", "protocol": "GRPC", "timeout": "60s", "backends": backends}


async def test_calls_that_are_cancelled_do_not_wear_out_the_connection_of_others() -> None:
    cancelled: Counter[str] = Counter()
    begun: asyncio.Queue[None] = asyncio.Queue()
    go = asyncio.Event()

    async def script(head: Head, wire: Wire) -> None:
        begun.put_nowait(None)
        if head.path == b"/long":
            await go.wait()
            await say(wire, 200, b"at last")
            return
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[head.peer] += 1

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect_http2()
        long = peer.begin("GET", "/long", end=True)
        await begun.get()
        for _ in range(300):
            call = peer.begin("GET", "/", end=True)
            await begun.get()
            call.reset()
        await eventually(lambda: cancelled.total() == 300)
        assert max(cancelled.values()) <= 100
        assert len(cancelled) > 2
        go.set()
        assert (await long.answer()).body == b"at last"


class Line(asyncio.Transport):
    """Takes everything, and notes whether it was cut off."""

    cut = False

    def write(self, data: Any) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.cut

    def abort(self) -> None:
        self.cut = True

    def close(self) -> None:
        self.cut = True


async def test_a_caller_who_leaves_as_his_answer_comes_does_not_cut_off_the_next_one() -> None:
    connection = Http1Connection(max_head=1024, freed=lambda _: None)
    connection.connection_made(Line())

    def ask() -> asyncio.Task[Answer]:
        asked = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", length=None, head_only=False)
        return asyncio.ensure_future(asked)

    first = ask()
    await asyncio.sleep(0)  # it has been sent
    second = ask()  # begins after the answer has come, and before the first caller is told of it
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    connection.data_received(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
    assert (await second).status == 201


async def test_body_that_follows_an_answer_to_head_is_nobody_elses_answer() -> None:
    connection = Http1Connection(max_head=1024, freed=lambda _: None)
    connection.connection_made(Line())
    asked = connection.exchange(b"HEAD / HTTP/1.1\r\n\r\n", b"", length=None, head_only=True)
    answer = asyncio.ensure_future(asked)
    await asyncio.sleep(0)  # it has been sent
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\nHTTP/1.1 200 ")
    assert (await answer).status == 200
    assert not connection.reusable
