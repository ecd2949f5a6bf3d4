"""What grpc.aio leaves its callers to find out by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kratos.testing.echo import CHAT
from kratos.transport import Call, Side
from kratos_grpc._grpcio.attempt import Attempt


class EndedUnseen:
    """A call of grpc.aio whose time was over before its headers left: nobody is told."""

    def __init__(self) -> None:
        self.cancelled = False
        self.callback: Callable[[Any], None] | None = None

    async def wait_for_connection(self) -> None:
        await asyncio.Event().wait()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.callback = callback

    def cancel(self) -> None:
        self.cancelled = True


def attempt_on(rpc: EndedUnseen) -> Attempt:
    def stub(**_options: object) -> EndedUnseen:
        return rpc

    return Attempt(Call(CHAT, Side.CLIENT, "grpc"), stub)


async def started(work: Any, rpc: EndedUnseen) -> asyncio.Task[bool]:
    task: asyncio.Task[bool] = asyncio.ensure_future(work)
    while rpc.callback is None:  # noqa: ASYNC110  a fake sets no event
        await asyncio.sleep(0)
    return task


async def test_sending_on_a_call_that_ends_before_it_begins_does_not_wait_for_ever() -> None:
    rpc = EndedUnseen()
    sending = await started(attempt_on(rpc).send(b"x"), rpc)

    assert rpc.callback is not None
    rpc.callback(rpc)

    assert await sending is False


async def test_sending_that_is_cancelled_before_the_call_begins_cancels_it() -> None:
    rpc = EndedUnseen()
    sending = await started(attempt_on(rpc).send(b"x"), rpc)

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    assert rpc.cancelled
