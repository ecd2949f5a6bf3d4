"""The contract of middleware, held against a transport: one unchanged chain, four arities.

Subclass ``MiddlewareContract`` in a test module, or ``UnaryMiddlewareContract`` for a transport
that streams nothing, and give it a ``transport`` fixture.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.middleware import AnyMiddleware, every_request
from kratos.testing._arities import OfArities, client_stream_only, every_stream
from kratos.testing._guard import Guard, Limiter, Timing, call_words, eventually, until
from kratos.testing._served import Served, Transport
from kratos.testing.echo import CHAT, COLLECT, ECHO, NEVER, SHORT, WATCH, EchoService, text
from kratos.transport import (
    Arity,
    Call,
    Caller,
    CallOptions,
    Handler,
    Method,
    Side,
    server_call,
)

__all__ = [
    "Limiter",
    "MiddlewareContract",
    "Served",
    "Timing",
    "Transport",
    "UnaryMiddlewareContract",
]


class UnaryMiddlewareContract(OfArities):
    """What every transport has to show, on the arities that it carries.

    Provide a fixture ``transport``.
    """

    async def test_chain_sees_the_whole_of_a_call_that_succeeds(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            answers = await call_words(served.caller, method, "ok")
            await until(lambda: guard.timing.ended)
        assert answers == ["ok"]
        assert guard.limiter.most == 1
        assert service.call_was_current
        guard.assert_ended(200)

    async def test_refusal_before_next_keeps_the_handler_untouched(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(limit=0), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            with pytest.raises(Error) as refusal:
                await call_words(served.caller, method, "ok")
            await until(lambda: guard.timing.ended)
        assert (refusal.value.code, refusal.value.reason) == (429, "RATELIMIT")
        assert service.seen == []
        guard.assert_ended(429, "RATELIMIT")

    async def test_error_of_the_handler_arrives_whole_and_is_seen_once(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            with pytest.raises(Error) as failure:
                await call_words(served.caller, method, "fail")
            await until(lambda: guard.timing.ended)
        error = failure.value
        assert (error.code, error.reason, error.message) == (409, "BUSY", "try later")
        assert error.metadata == {"table": "7", "ünï": "cödé"}
        guard.assert_ended(409, "BUSY")

    async def test_unexpected_exception_becomes_an_error_that_tells_nothing(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard = Guard.make()
        async with transport(EchoService(), middleware=guard.chain) as served:
            with pytest.raises(Error) as failure:
                await call_words(served.caller, method, "crash")
            await until(lambda: guard.timing.ended)
        assert (failure.value.code, failure.value.reason) == (500, "UNKNOWN")
        assert "secret" not in str(failure.value)
        guard.assert_ended(500, "UNKNOWN")

    async def test_exception_without_recovery_is_presented_by_the_edge(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        async with transport(EchoService()) as served:
            with pytest.raises(Error) as failure:
                await call_words(served.caller, method, "crash")
        assert (failure.value.code, failure.value.reason) == (500, "UNKNOWN")
        assert "secret" not in str(failure.value)

    async def test_peer_that_goes_away_cancels_the_handler(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            calling = asyncio.create_task(call_words(served.caller, method, "hang"))
            await eventually(service.entered)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await eventually(service.left)
            await until(lambda: guard.timing.ended)
        assert service.interrupted == 1
        guard.assert_ended(499, "CLIENT_CLOSED", cancelled=True)

    async def test_time_limit_of_the_server_ends_the_call(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        for short in SHORT:
            guard, service = Guard.make(), EchoService()
            limits = {method.operation: short}
            async with transport(service, middleware=guard.chain, timeouts=limits) as served:
                with pytest.raises(Error) as failure:
                    await call_words(served.caller, method, "hang")
                if service.entered.is_set():
                    await until(lambda: guard.timing.ended)  # noqa: B023 - awaited here
                    assert failure.value.code == 504
                    assert service.interrupted == 1
                    guard.assert_ended(504, "DEADLINE_EXCEEDED")
                    return
        pytest.fail(NEVER)

    async def test_time_limit_of_the_caller_reaches_the_handler(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        for short in SHORT:
            service, options = EchoService(), CallOptions(timeout=short)
            async with transport(service) as served:
                with pytest.raises(Error) as failure:
                    await call_words(served.caller, method, "hang", options=options)
                if service.entered.is_set():
                    await eventually(service.left)
                    assert (failure.value.code, service.interrupted) == (504, 1)
                    return
        pytest.fail(NEVER)

    async def test_reply_that_comes_too_late_is_dropped(self, transport: Transport) -> None:
        for short in SHORT:
            guard, service = Guard.make(), EchoService()
            limits = {ECHO.operation: short}
            async with transport(service, middleware=guard.chain, timeouts=limits) as served:
                with pytest.raises(Error) as failure:
                    await call_words(served.caller, ECHO, "stubborn")
            if service.entered.is_set():
                assert failure.value.code == 504
                return
        pytest.fail(NEVER)

    async def test_draining_is_told_from_a_clean_end(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            calling = asyncio.create_task(call_words(served.caller, method, "hang"))
            await eventually(service.entered)
            await served.drain(0.0)
            with pytest.raises(Error) as failure:
                await calling
        assert failure.value.code == 503
        assert service.interrupted == 1
        guard.assert_ended(503, "DRAINING", cancelled=True)

    async def test_draining_waits_for_calls_in_flight(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        inside, release = asyncio.Event(), asyncio.Event()

        async def hold(call: Call, request: Any, next: Handler, /) -> Any:
            inside.set()
            await release.wait()
            return await next(call, request)

        async with transport(EchoService(), middleware=[hold]) as served:
            calling = asyncio.create_task(call_words(served.caller, method, "ok"))
            await eventually(inside)
            draining = asyncio.create_task(served.drain(10.0))
            await asyncio.sleep(0)
            release.set()
            assert await calling == ["ok"]
            await draining

    async def test_hooks_see_the_messages_of_streams_in_the_order_of_the_chain(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        def mark(name: str) -> AnyMiddleware:
            async def marking(call: Call, request: Any, next: Handler, /) -> Any:
                async def receive(message: Any) -> Any:
                    return text(message.value + f"<{name}")

                async def send(message: Any) -> Any:
                    return text(message.value + f">{name}")

                call.on_receive(receive)
                call.on_send(send)
                return await next(call, request)

            return marking

        chain = [mark("outer"), mark("inner")]
        async with transport(EchoService(), middleware=chain) as served:
            answers = await call_words(served.caller, method, "a", "b")
        came = "<outer<inner" if method.arity.client_streams else ""
        went = ">inner>outer" if method.arity.server_streams else ""
        want = {
            ECHO: ["a"],
            COLLECT: [f"a{came} b{came}"],
            WATCH: [f"a{went}", f"b{went}"],
            CHAT: [f"a{came}{went}", f"b{came}{went}"],
        }
        assert answers == want[method]

    async def test_check_on_every_request_refuses_arguments_and_streamed_messages_alike(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        async def check(call: Call, message: StringValue) -> None:
            if "bad" in message.value:
                raise Error(400, "VALIDATOR", "no bad words")

        guard, service = Guard.make(), EchoService()
        chain = [*guard.chain, every_request(check)]
        async with transport(service, middleware=chain) as served:
            with pytest.raises(Error) as failure:
                await call_words(served.caller, method, "bad")
            await until(lambda: guard.timing.ended)
        assert (failure.value.code, failure.value.reason) == (400, "VALIDATOR")
        assert service.seen == []
        guard.assert_ended(400, "VALIDATOR")

    async def test_middleware_may_answer_in_place_of_the_handler(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        async def answer(call: Call, request: Any, next: Handler, /) -> Any:
            if call.method.arity.server_streams:
                await call.send(text("cached"))
                return None
            return text("cached")

        service = EchoService()
        async with transport(service, middleware=[answer]) as served:
            if method is CHAT:
                async with served.caller.bidi_stream(CHAT, None) as stream:
                    answers = [reply.value async for reply in stream]
            else:
                answers = await call_words(served.caller, method, "ok")
        assert answers == ["cached"]
        assert service.seen == []

    async def test_headers_and_trailers_travel_with_all_their_values(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        seen: list[str] = []

        async def exchange(call: Call, request: Any, next: Handler, /) -> Any:
            seen.extend(call.headers.values("X-Md-Global-Color"))
            call.reply_headers.add("x-served-by", "one")
            call.reply_headers.add("X-Served-By", "two")
            call.reply_headers.add_bytes("x-raw-bin", b"\x00\xff")
            return await next(call, request)

        ends: list[Call] = []
        options = CallOptions(headers={"x-md-global-color": ["red", "blue"]}, on_end=ends.append)
        async with transport(EchoService(), middleware=[exchange]) as served:
            await call_words(served.caller, method, "ok", options=options)
        assert seen == ["red", "blue"]
        assert ends[0].reply_headers.values("x-served-by") == ["one", "two"]
        assert ends[0].reply_headers.get_bytes("x-raw-bin") == b"\x00\xff"

    async def test_context_variable_of_a_middleware_reaches_the_handler_and_can_be_reset(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        color: ContextVar[str] = ContextVar("color", default="none")
        seen: list[str] = []

        async def paint(call: Call, request: Any, next: Handler, /) -> Any:
            token = color.set("red")
            try:
                return await next(call, request)
            finally:
                color.reset(token)
                seen.append(color.get())

        class Painted(EchoService):
            async def _answer(self, request: StringValue) -> StringValue:
                seen.append(color.get())
                return request

        async with transport(Painted(), middleware=[paint]) as served:
            await call_words(served.caller, method, "ok")
            await until(lambda: len(seen) > 1)
        assert seen == ["red", "none"]
        assert server_call() is None

    async def test_calling_next_twice_on_a_server_is_refused(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        refused: list[BaseException] = []

        async def twice(call: Call, request: Any, next: Handler, /) -> Any:
            reply = await next(call, request)
            try:
                await next(call, request)
            except RuntimeError as error:
                refused.append(error)
            return reply

        async with transport(EchoService(), middleware=[twice]) as served:
            assert await call_words(served.caller, method, "ok") == ["ok"]
            await until(lambda: refused)
        assert "twice" in str(refused[0])

    async def test_hook_registered_too_late_is_refused(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        refused: list[BaseException] = []

        async def late(call: Call, request: Any, next: Handler, /) -> Any:
            reply = await next(call, request)

            async def hook(message: Any) -> Any:
                return message

            try:
                call.on_send(hook)
            except RuntimeError as error:
                refused.append(error)
            return reply

        async with transport(EchoService(), middleware=[late]) as served:
            await call_words(served.caller, method, "ok")
            await until(lambda: refused)

    async def test_same_chain_guards_the_client_side(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard = Guard.make()
        async with transport(EchoService(), client_middleware=guard.chain) as served:
            assert await call_words(served.caller, method, "ok") == ["ok"]
            guard.assert_ended(200)
            with pytest.raises(Error, match="BUSY"):
                await call_words(served.caller, method, "fail")
        ends = [(end.code, end.reason) for end in guard.timing.ended]
        assert ends == [(200, ""), (409, "BUSY")]
        assert guard.limiter.inside == 0

    async def test_refusal_on_the_client_side_sends_nothing(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, service = Guard.make(limit=0), EchoService()
        async with transport(service, client_middleware=guard.chain) as served:
            with pytest.raises(Error, match="RATELIMIT"):
                await call_words(served.caller, method, "ok")
        assert service.seen == []
        guard.assert_ended(429, "RATELIMIT")

    async def test_inner_client_call_keeps_what_is_left_of_the_deadline(
        self, transport: Transport
    ) -> None:
        left: list[float | None] = []

        class Relay(EchoService):
            caller: Caller

            async def _answer(self, request: StringValue) -> StringValue:
                if request.value == "inner":
                    call = server_call()
                    left.append(None if call is None else call.remaining())
                    return request
                return await self.caller.unary(ECHO, text("inner"), None)

        service = Relay()
        async with transport(service) as served:
            service.caller = served.caller
            await call_words(served.caller, ECHO, "outer", options=CallOptions(timeout=5.0))
            await call_words(served.caller, ECHO, "outer")
        assert left[0] is not None
        assert left[0] <= 5.0
        assert left[1] is None

    async def test_call_tells_its_middleware_who_it_is(self, transport: Transport) -> None:
        calls: dict[Side, Call] = {}

        async def note(call: Call, request: Any, next: Handler, /) -> Any:
            calls[call.side] = call
            return await next(call, request)

        async with transport(EchoService(), middleware=[note], client_middleware=[note]) as served:
            await call_words(served.caller, ECHO, "ok")
        assert calls[Side.SERVER].method is ECHO
        assert calls[Side.SERVER].peer
        assert calls[Side.CLIENT].transport == calls[Side.SERVER].transport
        assert "Echo" in repr(calls[Side.CLIENT])


class MiddlewareContract(UnaryMiddlewareContract):
    """What a transport of all arities has to show. Provide a fixture ``transport``."""

    arities = frozenset(Arity)

    @every_stream
    async def test_error_after_messages_is_no_clean_end(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard = Guard.make()
        async with transport(EchoService(), middleware=guard.chain) as served:
            with pytest.raises(Error, match="BUSY"):
                await call_words(served.caller, method, "one", "two", "fail", "three")
            await until(lambda: guard.timing.ended)
        assert guard.timing.sent == 2
        guard.assert_ended(409, "BUSY")

    @every_stream
    async def test_leaving_a_stream_early_cancels_the_handler(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        guard, client, service = Guard.make(), Guard.make(), EchoService()
        async with transport(
            service, middleware=guard.chain, client_middleware=client.chain
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
            await until(lambda: guard.timing.ended)
        guard.assert_ended(499, "CLIENT_CLOSED", cancelled=True)
        client.assert_ended(499, "CANCELLED", cancelled=True)

    @client_stream_only
    async def test_reply_before_the_end_of_the_requests_discards_the_rest(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        async def words() -> AsyncIterator[StringValue]:
            yield text("stop")
            while True:
                yield text("more")

        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            reply = await served.caller.client_stream(COLLECT, words(), None)
            await until(lambda: guard.timing.ended)
        assert reply.value == "stop"
        guard.assert_ended(200)

    @client_stream_only
    async def test_failing_source_of_requests_ends_the_call_with_its_own_exception(
        self, transport: Transport, method: Method[Any, Any]
    ) -> None:
        async def words() -> AsyncIterator[StringValue]:
            yield text("one")
            raise LookupError("no more words")

        guard, service = Guard.make(), EchoService()
        async with transport(service, middleware=guard.chain) as served:
            with pytest.raises(LookupError, match="no more words"):
                await served.caller.client_stream(COLLECT, words(), None)
            await until(lambda: guard.timing.ended)
        assert guard.limiter.inside == 0
        assert guard.timing.ended[0].code == 499
