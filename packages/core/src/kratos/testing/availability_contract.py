"""The contract of limiters and breakers, held against a transport: each hears of every end once.

Subclass ``AvailabilityContract`` in a test module, or ``UnaryAvailabilityContract`` for a transport
that streams nothing, and give it a ``transport`` fixture. The chain is the same for every arity.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import pytest

from aegis.circuitbreaker import SreBreaker, WindowBreaker
from aegis.concurrency import Aimd, Bbr, Gradient2, Shedder, Vegas
from aegis.outcome import Outcome as Verdict
from kratos.errors import Error
from kratos.middleware import AnyMiddleware, bulkhead, circuitbreaker, ratelimit, recovery, shedding
from kratos.testing._arities import OfArities, every_stream
from kratos.testing._guard import call_words, eventually, until
from kratos.testing._served import Transport
from kratos.testing.echo import CHAT, NEVER, SHORT, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import Arity, Method, Side

__all__ = ["AvailabilityContract", "UnaryAvailabilityContract"]

_SUCCESS: Final = Verdict.SUCCESS
_FAILURE: Final = Verdict.FAILURE
_OVERLOAD: Final = Verdict.OVERLOAD
_IGNORED: Final = Verdict.IGNORED

_LIMITED: Final = (429, "RATELIMIT", "service unavailable due to rate limit exceeded")
_BROKEN: Final = (503, "CIRCUITBREAKER", "request failed due to circuit breaker triggered")


class _Guards:
    """Both breakers, every limiter of concurrency, a shedder, a bulkhead, one behind the other."""

    def __init__(self) -> None:
        self.breakers = [Ledger(SreBreaker.kratos3()), Ledger(WindowBreaker())]
        limiters = [Ledger(make()) for make in (Bbr, Gradient2, Vegas, Aimd)]
        shed = Ledger(Gradient2())
        self.limiters = [*limiters, shed]
        self.bulkhead = bulkhead(1)
        self.chain: tuple[AnyMiddleware, ...] = (
            recovery(),
            *(circuitbreaker(partial(_itself, breaker)) for breaker in self.breakers),
            *map(ratelimit, limiters),
            shedding(Shedder(shed)),
            self.bulkhead,
        )

    async def heard(self, method: Method[Any, Any], limiters: Verdict, breaker: Verdict) -> None:
        """Wait for the end of the one call, and check what everybody was told of it."""
        await until(lambda: self.breakers[0].outcomes)
        if method.arity is not Arity.UNARY:
            limiters = _IGNORED  # how long a stream is open says nothing of the load
        assert [ledger.outcomes for ledger in self.limiters] == [[limiters]] * len(self.limiters)
        assert [ledger.outcomes for ledger in self.breakers] == [[breaker]] * len(self.breakers)
        assert all(ledger.inside == 0 for ledger in (*self.limiters, *self.breakers))
        assert [stats.inflight for stats in self.bulkhead.stats().values()] == [0]


def _itself(ledger: Ledger) -> Ledger:
    return ledger


class UnaryAvailabilityContract(OfArities):
    """What limiters and breakers have to hear over every transport. Provide ``transport``."""

    async def test_good_end_is_a_success_to_everybody(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards = _Guards()
        async with transport(EchoService(), middleware=guards.chain) as served:
            assert await call_words(served.caller, method, "ok") == ["ok"]
            await guards.heard(method, _SUCCESS, _SUCCESS)

    async def test_error_that_blames_the_caller_is_an_answer(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards = _Guards()
        async with transport(EchoService(), middleware=guards.chain) as served:
            with pytest.raises(Error, match="BUSY"):
                await call_words(served.caller, method, "fail")
            await guards.heard(method, _SUCCESS, _SUCCESS)

    async def test_unexpected_exception_is_a_failure(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards = _Guards()
        async with transport(EchoService(), middleware=guards.chain) as served:
            with pytest.raises(Error, match="UNKNOWN"):
                await call_words(served.caller, method, "crash")
            await guards.heard(method, _FAILURE, _FAILURE)

    async def test_deadline_that_passes_is_a_failure_and_a_sign_of_overload(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        for short in SHORT:
            guards, service = _Guards(), EchoService()
            limits = {method.operation: short}
            async with transport(service, middleware=guards.chain, timeouts=limits) as served:
                with pytest.raises(Error) as failure:
                    await call_words(served.caller, method, "hang")
                if service.entered.is_set():
                    assert failure.value.code == 504
                    await guards.heard(method, _OVERLOAD, _FAILURE)
                    return
        pytest.fail(NEVER)

    async def test_peer_that_goes_away_frees_every_slot_and_says_nothing(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards, service = _Guards(), EchoService()
        async with transport(service, middleware=guards.chain) as served:
            calling = asyncio.create_task(call_words(served.caller, method, "hang"))
            await eventually(service.entered)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await guards.heard(method, _IGNORED, _IGNORED)

    async def test_draining_frees_every_slot_and_says_nothing(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards, service = _Guards(), EchoService()
        async with transport(service, middleware=guards.chain) as served:
            calling = asyncio.create_task(call_words(served.caller, method, "hang"))
            await eventually(service.entered)
            await served.drain(0.0)
            with pytest.raises(Error):
                await calling
            await guards.heard(method, _IGNORED, _IGNORED)

    async def test_call_above_the_limit_is_refused_as_go_refuses_it(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        service, ledger = EchoService(), Ledger(Gradient2(limit=1, max_limit=1))
        async with transport(service, middleware=[ratelimit(ledger)]) as served:
            held = asyncio.create_task(call_words(served.caller, method, "hang"))
            await eventually(service.entered)
            with pytest.raises(Error) as refusal:
                await call_words(served.caller, method, "ok")
            assert service.seen == ["hang"]
            held.cancel()
            with pytest.raises(asyncio.CancelledError):
                await held
            await until(lambda: ledger.outcomes)
            assert await call_words(served.caller, method, "ok") == ["ok"]
            await until(lambda: not ledger.inside)
        error = refusal.value
        assert (error.code, error.reason, error.message) == _LIMITED
        assert ledger.refused == 1

    async def test_seconds_to_wait_arrive_with_the_refusal(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        ledger = Ledger(retry_after=1.5)
        ledger.open = False
        async with transport(EchoService(), middleware=[ratelimit(ledger)]) as served:
            with pytest.raises(Error) as refusal:
                await call_words(served.caller, method, "ok")
        assert refusal.value.metadata == {"retry_after": "1.5"}

    @pytest.mark.parametrize("side", list(Side), ids=[side.value for side in Side])
    async def test_open_breaker_refuses_on_either_side_as_go_does(
        self, transport: Transport, method: Method[Any, Any], side: Side
    ) -> None:
        def eager() -> SreBreaker:
            return SreBreaker.kratos3(request=1, random=lambda: 0.0)

        service, chain = EchoService(), [circuitbreaker(eager)]
        async with transport(
            service,
            middleware=chain if side is Side.SERVER else (),
            client_middleware=chain if side is Side.CLIENT else (),
        ) as served:
            with pytest.raises(Error, match="UNKNOWN"):
                await call_words(served.caller, method, "crash")
            with pytest.raises(Error) as refusal:
                await call_words(served.caller, method, "ok")
        error = refusal.value
        assert (error.code, error.reason, error.message) == _BROKEN
        assert service.seen == ["crash"]

    async def test_client_side_hears_the_same_ends(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        breaker = Ledger(SreBreaker.kratos3())
        chain = [circuitbreaker(lambda: breaker)]
        async with transport(EchoService(), client_middleware=chain) as served:
            await call_words(served.caller, method, "ok")
            for word in ("fail", "crash"):
                with pytest.raises(Error):
                    await call_words(served.caller, method, word)
        assert breaker.outcomes == [_SUCCESS, _SUCCESS, _FAILURE]
        assert breaker.inside == 0


class AvailabilityContract(UnaryAvailabilityContract):
    """The same for a transport of all arities. Provide a fixture ``transport``."""

    arities = frozenset(Arity)

    @every_stream
    async def test_stream_that_is_left_early_frees_every_slot_on_both_sides(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards, client = _Guards(), _Guards()
        async with transport(
            EchoService(), middleware=guards.chain, client_middleware=client.chain
        ) as served:
            opening: Any
            if method is WATCH:
                opening = served.caller.server_stream(WATCH, text("one hang"), None)
            else:
                opening = served.caller.bidi_stream(CHAT, None)
            async with opening as stream:
                if method is CHAT:
                    await stream.send(text("one"))
                assert (await stream.__anext__()).value == "one"
                assert {ledger.inside for ledger in guards.limiters} == {1}
            await guards.heard(method, _IGNORED, _IGNORED)
            await client.heard(method, _IGNORED, _IGNORED)

    @every_stream
    async def test_error_after_messages_is_heard_as_the_end(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guards = _Guards()
        async with transport(EchoService(), middleware=guards.chain) as served:
            with pytest.raises(Error, match="UNKNOWN"):
                await call_words(served.caller, method, "one", "crash")
            await guards.heard(method, _IGNORED, _FAILURE)
