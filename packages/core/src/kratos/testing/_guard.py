"""The chain that the contract of middleware holds against transports, and how it calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from kratos.errors import Error
from kratos.middleware import AnyMiddleware, Outcome, outcome, recovery
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.transport import Arity, Call, Caller, CallOptions, Handler, Method

__all__ = ["Guard", "Limiter", "Timing", "call_words", "eventually", "until"]


class Timing:
    """Notes how each call ended, once it has."""

    def __init__(self) -> None:
        self.ended: list[Outcome] = []
        self.sent = 0
        self.received = 0

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Note the end of the call."""
        error: BaseException | None = None
        try:
            return await next(call, request)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.ended.append(outcome(call, error))
            self.sent, self.received = call.sent, call.received


class Limiter:
    """Lets a number of calls in at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0
        self.most = 0

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Refuse the call or count it in and out."""
        if self.inside >= self.limit:
            raise Error(429, "RATELIMIT", "service unavailable due to rate limit exceeded")
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return await next(call, request)
        finally:
            self.inside -= 1


@dataclass
class Guard:
    """The three middlewares of the contract, the same objects for every arity."""

    timing: Timing
    limiter: Limiter

    @classmethod
    def make(cls, *, limit: int = 10) -> Guard:
        """Return fresh ones."""
        return cls(Timing(), Limiter(limit))

    @property
    def chain(self) -> tuple[AnyMiddleware, ...]:
        """All three, outermost first."""
        return (self.timing, recovery(), self.limiter)

    def assert_ended(self, code: int, reason: str = "", *, cancelled: bool = False) -> None:
        """Check that one call ended, how, and that nothing is still counted as inside."""
        ends = [(end.code, end.reason, end.cancelled) for end in self.timing.ended]
        assert ends == [(code, reason, cancelled)]
        assert self.limiter.inside == 0


async def call_words(
    caller: Caller, method: Method[Any, Any], *words: str, options: CallOptions | None = None
) -> list[str]:
    """Call a method of the echo service with words and return all that it answers."""
    messages = [text(word) for word in words]
    if method.arity is Arity.UNARY:
        return [(await caller.unary(ECHO, messages[0], options)).value]
    if method.arity is Arity.CLIENT_STREAM:
        return [(await caller.client_stream(COLLECT, messages, options)).value]
    if method.arity is Arity.SERVER_STREAM:
        async with caller.server_stream(WATCH, text(" ".join(words)), options) as replies:
            return [reply.value async for reply in replies]
    answers: list[str] = []
    async with caller.bidi_stream(CHAT, options) as stream:
        for message in messages:
            await stream.send(message)
            answers.append((await stream.__anext__()).value)
        await stream.end()
        return answers + [reply.value async for reply in stream]


async def eventually(event: asyncio.Event) -> None:
    """Wait for what the other side is about to set."""
    async with asyncio.timeout(10):
        await event.wait()


async def until(condition: Any) -> None:
    """Wait for what another task is about to do; the test's own time limit bounds it."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what a peer's task does sets no event here
            await asyncio.sleep(0)
