"""Calls with many requests and one reply, whatever carries them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, Protocol

from kratos.limit import cancel_and_wait
from kratos.transport import Call
from kratos.transport.client_stream import outgoing_requests
from kratos_grpc._codec import encode

__all__ = ["Sender", "collect"]


class Sender(Protocol):
    """What ``collect`` needs of an attempt."""

    @property
    def call(self) -> Call:
        """The call."""
        ...

    async def send(self, data: bytes, /) -> bool:
        """Send one request; tell whether the call takes any more."""
        ...

    async def half_close(self) -> None:
        """Say that no request follows."""
        ...

    def cancel(self) -> None:
        """Cancel the call at the peer, unless it has ended."""
        ...


async def collect(attempt: Sender, requests: Any, reply: Coroutine[Any, Any, Any]) -> Any:
    """Send a stream of requests and return the one reply.

    Args:
        attempt: The call.
        requests: What the caller sends.
        reply: Waits for the reply.

    Raises:
        Error: As ``reply``.
        Exception: Whatever the caller's iterator raised; it cancels the call.

    Cancellation: cancels the call at the peer and closes the iterator.
    """
    feeding = asyncio.get_running_loop().create_task(_feed(attempt, requests))
    feeding.add_done_callback(lambda task: _cancel_if_failed(task, attempt))
    try:
        return await reply
    except Exception:
        if feeding.done() and not feeding.cancelled():
            feeding.result()  # the caller's own exception says more than the cut-off call
        raise
    finally:
        if not feeding.done():
            await cancel_and_wait(feeding)


async def _feed(attempt: Sender, requests: Any) -> None:
    call = attempt.call
    async with aclosing(outgoing_requests(call, requests)) as messages:
        async for message in messages:
            if not await attempt.send(encode(call.method, call.method.request, message)):
                return
    await attempt.half_close()


def _cancel_if_failed(feeding: asyncio.Task[None], attempt: Sender) -> None:
    if not feeding.cancelled() and feeding.exception() is not None:
        attempt.cancel()
