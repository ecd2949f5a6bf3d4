"""One call of any arity, from JSON to JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message

from kratos import Client
from kratos.limit import cancel_and_wait
from kratos.transport import Arity, CallOptions, Method
from kratos_cli.calling.messages import many, one

__all__ = ["conduct"]


async def conduct(
    client: Client,
    method: Method[Any, Any],
    text: str | None,
    options: CallOptions,
    show: Callable[[Message], None],
) -> None:
    """Call a method, and show each reply as it comes.

    Args:
        client: Open.
        method: What to call.
        text: JSON of the request, or of requests; see ``one`` and ``many``.
        options: Of the call.
        show: Told each reply.

    Raises:
        CommandFailure: The text does not fit the method.
        Error: What the service answered.
    """
    if method.arity is Arity.UNARY:
        show(await client.unary(method, await one(text, method.request), options))
    elif method.arity is Arity.SERVER_STREAM:
        request = await one(text, method.request)
        async with client.server_stream(method, request, options) as replies:
            async for reply in replies:
                show(reply)
    elif method.arity is Arity.CLIENT_STREAM:
        async with aclosing(_Noting(many(text, method.request))) as requests:
            try:
                show(await client.client_stream(method, requests, options))
            except Exception:
                # The client tells that its input failed; the user wants to know by what.
                if requests.failure is not None:
                    raise requests.failure from None
                raise
    else:
        await _converse(client, method, text, options, show)


async def _converse(
    client: Client,
    method: Method[Any, Any],
    text: str | None,
    options: CallOptions,
    show: Callable[[Message], None],
) -> None:
    """Send and show side by side: neither direction waits for the other."""
    async with client.bidi_stream(method, options) as stream:

        async def send() -> None:
            async for request in many(text, method.request):
                await stream.send(request)
            await stream.end()

        async def receive() -> None:
            async for reply in stream:
                show(reply)

        sending, receiving = asyncio.create_task(send()), asyncio.create_task(receive())
        try:
            done, _ = await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            if sending in done and sending.exception() is not None and not receiving.done():
                await sending
            await receiving
        finally:
            await cancel_and_wait(sending, receiving)


class _Noting(AsyncIterator[Message]):
    """Messages of a generator, and what it failed with."""

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self._messages: Any = messages
        self.failure: BaseException | None = None

    async def __anext__(self) -> Message:
        try:
            message: Message = await anext(self._messages)
        except Exception as error:
            if not isinstance(error, StopAsyncIteration):
                self.failure = error
            raise
        return message

    async def aclose(self) -> None:
        """Close the generator."""
        await self._messages.aclose()
