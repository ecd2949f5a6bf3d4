"""Retries over gRPC, where a refused stream fails only as its first reply is read."""

from __future__ import annotations

from typing import Any

import pytest

from aegis import Backoff
from kratos.errors import Error
from kratos.middleware import retry
from kratos.testing.clock import InstantClock
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import Call, Handler, Method


class Refuser:
    """A server's middleware that refuses the first calls, and asks for time."""

    def __init__(self, times: int, pushback: str) -> None:
        self.times = times
        self.pushback = pushback
        self.seen = 0

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.seen += 1
        if self.seen <= self.times:
            call.trailers.set("grpc-retry-pushback-ms", self.pushback)
            raise Error(503, "BUSY")
        return await next(call, request)


def again(clock: InstantClock) -> Any:
    def always(_method: Method[Any, Any]) -> bool:
        return True

    backoff = Backoff(base=0.1, jitter="none")
    # Of real time, which a busy machine may need until the refusal has come.
    return retry(clock=clock, backoff=backoff, idempotent=always, stream_patience=10.0)


async def test_wait_that_a_server_asks_for_in_its_trailers_is_kept(serve: Any) -> None:
    refuser, clock = Refuser(2, "250"), InstantClock()
    async with serve(EchoService(), middleware=[refuser], client_middleware=[again(clock)]) as to:
        assert (await to.caller.unary(ECHO, text("x"))).value == "x"
    assert clock.waited == [0.35, 0.45]


async def test_server_may_forbid_retries_in_its_trailers(serve: Any) -> None:
    refuser, clock = Refuser(1, "-1"), InstantClock()
    async with serve(EchoService(), middleware=[refuser], client_middleware=[again(clock)]) as to:
        with pytest.raises(Error, match="BUSY"):
            await to.caller.unary(ECHO, text("x"))
    assert (refuser.seen, clock.waited) == (1, [])


async def test_stream_that_is_refused_is_opened_again(serve: Any) -> None:
    refuser, clock = Refuser(1, "0"), InstantClock()
    async with (
        serve(EchoService(), middleware=[refuser], client_middleware=[again(clock)]) as to,
        to.caller.server_stream(WATCH, text("a b")) as replies,
    ):
        assert [reply.value async for reply in replies] == ["a", "b"]
    assert refuser.seen == 2
