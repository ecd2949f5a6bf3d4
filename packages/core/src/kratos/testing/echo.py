"""A service whose behaviour the caller chooses, for contract suites of transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.transport import Arity, HttpRule, Method, Service, server_call

__all__ = ["ALL", "CHAT", "COLLECT", "ECHO", "NEVER", "SHORT", "WATCH", "EchoService", "text"]

ECHO: Final = Method(
    operation="/kratos.testing.Echo/Echo",
    name="echo",
    arity=Arity.UNARY,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/kratos.testing/echo", body="*"),),
)
COLLECT: Final = Method(
    operation="/kratos.testing.Echo/Collect",
    name="collect",
    arity=Arity.CLIENT_STREAM,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/kratos.testing/collect", body="*"),),
)
WATCH: Final = Method(
    operation="/kratos.testing.Echo/Watch",
    name="watch",
    arity=Arity.SERVER_STREAM,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/kratos.testing/watch", body="*"),),
)
CHAT: Final = Method(
    operation="/kratos.testing.Echo/Chat",
    name="chat",
    arity=Arity.BIDI_STREAM,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/kratos.testing/chat", body="*"),),
)
ALL: Final = (ECHO, COLLECT, WATCH, CHAT)

SHORT: Final = (0.05, 0.5, 5.0)
"""Time limits, in seconds, to try one after the other until a call reached its handler in time:
the first suffices unless the machine is very busy."""
NEVER: Final = f"no call reached its handler within {SHORT[-1]} s"


def text(value: str) -> StringValue:
    """Make a message."""
    return StringValue(value=value)


class EchoService(Service):
    """Answers what it is sent; some words make it do something else.

    ``fail`` raises an ``Error``, ``crash`` an exception of its own, ``hang`` waits for ever,
    ``stubborn`` waits too, but swallows its cancellation and answers.

    Attributes:
        entered: Set when a handler runs.
        left: Set when a handler has ended, however it ended.
        interrupted: How many handlers were cancelled.
        seen: Every request message that a handler got.
        call_was_current: Whether ``server_call()`` was right in the last handler.
    """

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = ALL

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.interrupted = 0
        self.seen: list[str] = []
        self.call_was_current = False

    async def echo(self, request: StringValue, /) -> StringValue:
        """Answer with the request."""
        return await self._act(request, ECHO)

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        """Answer with all requests, joined; ``stop`` answers at once."""
        words: list[str] = []
        async for request in requests:
            words.append((await self._act(request, COLLECT)).value)
            if request.value == "stop":
                break
        return text(" ".join(words))

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        """Answer with each word of the request in turn."""
        for word in request.value.split():
            yield await self._act(text(word), WATCH)

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        """Answer each request with itself."""
        async for request in requests:
            yield await self._act(request, CHAT)

    async def _act(self, request: StringValue, method: Method[Any, Any]) -> StringValue:
        call = server_call()
        self.call_was_current = call is not None and call.method is method
        self.seen.append(request.value)
        self.entered.set()
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.interrupted += 1
            if request.value == "stubborn":
                return request
            raise
        finally:
            self.left.set()

    async def _answer(self, request: StringValue) -> StringValue:
        word = request.value
        if word == "fail":
            raise Error(409, "BUSY", "try later", {"table": "7", "ünï": "cödé"})
        if word == "crash":
            raise RuntimeError("an inner secret")
        if word in ("hang", "stubborn"):
            await asyncio.get_running_loop().create_future()
        return request
