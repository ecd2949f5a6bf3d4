"""Building chains, and the edge around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any, ClassVar, cast

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from kratos.errors import Error, StartupError
from kratos.middleware import AnyMiddleware, Middleware, PerMethod, chain, on_type, recovery
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import (
    Call,
    CallOptions,
    Cause,
    Dispatcher,
    Duplexed,
    Handler,
    Method,
    Missing,
    Opening,
    Send,
    Service,
    Side,
    detached,
    duplex,
    local,
    server_call,
)


def server(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.SERVER, transport="test", **options)


def recorder(log: list[str], name: str) -> Middleware:
    async def record(call: Call, request: Any, next: Handler, /) -> Any:
        log.append(f"+{name}")
        try:
            return await next(call, request)
        finally:
            log.append(f"-{name}")

    return record


async def core(call: Call, request: Any) -> Any:
    return request


async def test_first_middleware_is_outermost() -> None:
    log: list[str] = []
    linked = chain([recorder(log, n) for n in "abc"], ECHO, core)
    assert await linked(server(), "x") == "x"
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_middleware_specialises_per_method_when_the_chain_is_built() -> None:
    log: list[str] = []
    asked: list[str] = []

    class Chosen:
        def bind(self, method: Method[Any, Any], /) -> Middleware | None:
            asked.append(method.name)
            return recorder(log, "chosen") if method is ECHO else None

    chosen = Chosen()
    assert isinstance(chosen, PerMethod)
    for method in (ECHO, WATCH):
        linked = chain([chosen], method, core)
        await linked(server(method), "x")
        await linked(server(method), "x")
    assert asked == ["echo", "watch"]
    assert log == ["+chosen", "-chosen"] * 2


class Unbound:
    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        return None


@pytest.mark.parametrize("wrong", [recovery, "recovery", EchoService, Unbound, None])
def test_what_is_no_middleware_is_named_when_the_chain_is_built(wrong: Any) -> None:
    with pytest.raises(StartupError, match=r"no middleware"):
        chain([wrong], ECHO, core)


async def test_middleware_that_yields_is_refused_when_the_chain_is_built() -> None:
    async def yielding(call: Call, request: Any, next: Handler, /) -> Any:
        yield await next(call, request)

    class Yielding:
        async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
            yield await next(call, request)

    for wrong in (yielding, partial(yielding), Yielding()):
        with pytest.raises(StartupError, match=r"ielding.* is no middleware: it yields"):
            chain([cast("Any", wrong)], ECHO, core)


class Forgetful:
    def __call__(self, call: Call, request: Any, next: Handler, /) -> None:
        """Forget the call."""


def forgetful(_call: Call, _request: Any, _next: Handler, /) -> None:
    """Forget the call."""


@pytest.mark.parametrize("wrong", [forgetful, partial(forgetful), Forgetful()])
async def test_middleware_that_returns_no_awaitable_is_named_by_its_first_call(wrong: Any) -> None:
    linked = chain([wrong], ECHO, core)
    with pytest.raises(TypeError, match=r"(?i)forgetful.* must be async def.*NoneType"):
        await linked(server(), "x")


def passing(call: Call, request: Any, next: Handler, /) -> Awaitable[Any]:
    return next(call, request)


class Passing:
    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        return await next(call, request)


@pytest.mark.parametrize("right", [passing, partial(passing), Passing(), Passing().__call__])
async def test_middleware_is_whatever_returns_an_awaitable(right: Any) -> None:
    assert await chain([right], ECHO, core)(server(), "x") == "x"


async def test_middleware_for_one_type_is_left_out_of_other_methods() -> None:
    seen: list[str] = []

    async def check(call: Call, message: StringValue) -> None:
        seen.append(message.value)

    other = Method(
        operation="/t.T/Other", name="other", arity=ECHO.arity, request=Int64Value, reply=Int64Value
    )
    middleware: list[AnyMiddleware] = [on_type(StringValue, check)]
    await chain(middleware, ECHO, core)(server(), text("x"))
    await chain(middleware, other, core)(server(other), Int64Value(value=1))
    assert seen == ["x"]


class Nothing(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (ECHO,)


def dispatcher(service: Any, **options: Any) -> Dispatcher:
    made = Dispatcher(transport="test", **options)
    made.add(service)
    return made


def test_service_without_a_method_is_refused_by_name() -> None:
    with pytest.raises(StartupError, match=r"Nothing\.echo is not implemented"):
        dispatcher(Nothing())


async def test_service_without_a_method_may_answer_501() -> None:
    made = dispatcher(Nothing(), missing=Missing.UNIMPLEMENTED)
    with pytest.raises(Error) as failure:
        await made.operations[ECHO.operation].run(server(), text("x"))
    assert (failure.value.code, failure.value.reason) == (501, "UNIMPLEMENTED")


@pytest.mark.parametrize("wrong", [EchoService, object(), Service(), None])
def test_what_is_no_service_is_named(wrong: Any) -> None:
    with pytest.raises(StartupError, match="is no service"):
        dispatcher(wrong)


def test_operation_served_twice_is_named() -> None:
    made = dispatcher(EchoService())
    with pytest.raises(StartupError, match=r"Echo/Echo is served twice"):
        made.add(EchoService())


def test_generator_where_one_reply_is_due_is_refused() -> None:
    class Wrong(EchoService):
        async def echo(self, request: StringValue, /) -> Any:
            yield request

    with pytest.raises(StartupError, match=r"Wrong\.echo must return one reply"):
        dispatcher(Wrong())


def test_coroutine_where_replies_are_streamed_is_refused() -> None:
    class Wrong(EchoService):
        async def watch(self, request: StringValue, /) -> Any:  # type: ignore[override]
            return request

    with pytest.raises(StartupError, match=r"Wrong\.watch must stream replies"):
        dispatcher(Wrong())


async def test_plain_function_in_place_of_a_coroutine_is_named_at_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Wrong(EchoService):
        def echo(self, request: StringValue, /) -> Any:
            return request

    with pytest.raises(Error):
        await local(Wrong()).unary(ECHO, text("x"))
    assert caplog.records[0].exc_info is not None
    assert "Wrong.echo must be async def" in str(caplog.records[0].exc_info[1])


async def test_function_that_returns_an_awaitable_is_as_good_as_a_coroutine() -> None:
    class Delegating(EchoService):
        def echo(self, request: StringValue, /) -> Awaitable[StringValue]:  # type: ignore[override]
            return super().echo(request)

    assert (await local(Delegating()).unary(ECHO, text("x"))).value == "x"


async def test_foreign_cancellation_passes_the_edge_untranslated() -> None:
    service = EchoService()
    operation = dispatcher(service).operations[ECHO.operation]
    running = asyncio.create_task(operation.run(server(), text("hang")))
    await service.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_foreign_cancellation_wins_over_one_with_a_cause() -> None:
    service = EchoService()
    made = dispatcher(service)
    running = asyncio.create_task(made.operations[ECHO.operation].run(server(), text("hang")))
    await service.entered.wait()
    made.cancel(Cause.DRAINING)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_task_can_go_on_after_a_call_was_cancelled_with_a_cause() -> None:
    service = EchoService()
    made = dispatcher(service)

    async def engine() -> str:
        with pytest.raises(Error, match="DRAINING"):
            await made.operations[ECHO.operation].run(server(), text("hang"))
        await asyncio.sleep(0)
        return "alive"

    running = asyncio.create_task(engine())
    await service.entered.wait()
    made.cancel(Cause.DRAINING)
    assert await running == "alive"
    assert running.cancelling() == 0


async def test_drain_leaves_a_stubborn_call_behind_and_names_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()
    entered = asyncio.Event()

    class Deaf(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            entered.set()
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return request

    made = dispatcher(Deaf(), timeout=None, cancel_grace=0.01)
    running = asyncio.create_task(made.operations[ECHO.operation].run(server(), text("x")))
    await entered.wait()
    assert await made.drain(0.0) == 1
    assert "Echo/Echo ignored its cancellation" in caplog.text
    release.set()
    with pytest.raises(Error, match="DRAINING"):
        await running


async def test_draining_server_refuses_new_calls() -> None:
    made = dispatcher(EchoService())
    assert await made.drain() == 0
    with pytest.raises(Error, match="DRAINING"):
        await made.operations[ECHO.operation].run(server(), text("x"))


async def test_nearer_of_two_deadlines_holds() -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    class Asks(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            left = call.remaining()
            assert left is not None
            seen.append(left)
            return request

    operation = dispatcher(Asks(), timeout=50.0).operations[ECHO.operation]
    await operation.run(server(deadline=loop.time() + 5), text("x"))
    await operation.run(server(deadline=loop.time() + 500), text("x"))
    assert 0 < seen[0] <= 5
    assert 5 < seen[1] <= 50


async def test_detached_block_leaves_the_deadline_behind() -> None:
    left: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        left.append(call.remaining())
        return await next(call, request)

    inner = local(EchoService(), client_middleware=[note], timeout=None)

    class Relay(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            await inner.unary(ECHO, request)
            with detached():
                await inner.unary(ECHO, request)
            return request

    await local(Relay(), timeout=30).unary(ECHO, text("x"))
    assert left[0] is not None
    assert left[1] is None


async def test_call_whose_deadline_has_passed_is_not_sent() -> None:
    service = EchoService()

    class Late(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            call.deadline = asyncio.get_running_loop().time() - 1
            with pytest.raises(Error, match="DEADLINE"):
                await local(service).unary(ECHO, request)
            call.deadline = None
            return request

    await local(Late()).unary(ECHO, text("x"))
    assert service.seen == []


async def test_wrong_message_type_is_refused_before_it_is_sent() -> None:
    caller: Any = local(EchoService())
    with pytest.raises(TypeError, match="Echo/Echo takes StringValue, not Int64Value"):
        await caller.unary(ECHO, Int64Value())
    with pytest.raises(TypeError, match="takes StringValue"):
        await caller.client_stream(COLLECT, [Int64Value()])
    async with caller.bidi_stream(CHAT) as stream:
        with pytest.raises(TypeError, match="takes StringValue"):
            await stream.send(Int64Value())


async def test_duplex_body_sends_from_inside_a_task_group() -> None:
    class Grouped(EchoService):
        def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
            async def body(requests: AsyncIterator[StringValue], send: Send[StringValue]) -> None:
                async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                    async for request in requests:
                        group.create_task(_send(send, request.value))

            return duplex(requests, body)

    async def _send(send: Send[StringValue], word: str) -> None:
        await send(text(word.upper()))

    async with local(Grouped()).bidi_stream(CHAT) as stream:
        for word in ("a", "b"):
            await stream.send(text(word))
        await stream.end()
        assert sorted([reply.value async for reply in stream]) == ["A", "B"]


async def test_iterator_without_aclose_is_accepted() -> None:
    class Once:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Once:
            return self

        async def __anext__(self) -> StringValue:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return text("x")

    class Plain(EchoService):
        def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            return Once()

    async with local(Plain()).server_stream(WATCH, text("")) as replies:
        assert len([reply async for reply in replies]) == 2


async def test_generator_of_the_handler_is_closed_in_the_task_of_the_call() -> None:
    closed: list[asyncio.Task[Any] | None] = []

    class Closing(EchoService):
        async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            mine = asyncio.current_task()
            try:
                while True:
                    yield request
            finally:
                assert asyncio.current_task() is mine
                closed.append(mine)

    async with local(Closing()).server_stream(WATCH, text("x")) as replies:
        await anext(aiter(replies))
    assert len(closed) == 1


async def test_second_consumer_of_replies_is_refused() -> None:
    async with local(EchoService()).server_stream(WATCH, text("hang")) as replies:
        reading = asyncio.ensure_future(anext(aiter(replies)))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one consumer"):
            await anext(aiter(replies))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_second_consumer_of_requests_is_refused() -> None:
    class Greedy(EchoService):
        async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
            first = asyncio.ensure_future(anext(requests))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="one consumer"):
                await anext(requests)
            return await first

    async def words() -> AsyncIterator[StringValue]:
        await asyncio.sleep(0)
        yield text("one")

    assert (await local(Greedy()).client_stream(COLLECT, words())).value == "one"


async def test_stream_is_opened_once() -> None:
    opening = local(EchoService()).server_stream(WATCH, text("a"))
    async with opening as replies:
        assert [reply.value async for reply in replies] == ["a"]
    with pytest.raises(RuntimeError, match="opened once"):
        await opening.__aenter__()


async def test_sending_after_the_end_of_a_call_is_refused() -> None:
    async with local(EchoService()).bidi_stream(CHAT) as stream:
        await stream.end()
        assert [reply async for reply in stream] == []
        with pytest.raises(RuntimeError, match="has ended"):
            await stream.send(text("late"))
        await stream.end()


async def test_stream_that_was_never_entered_is_reported() -> None:
    opening: Any = local(EchoService()).server_stream(WATCH, text("x"))
    with pytest.warns(ResourceWarning, match="Echo/Watch was not closed"):
        del opening


async def test_stream_that_was_never_left_is_reported() -> None:
    opening: Opening[Duplexed[StringValue, StringValue]]
    opening = local(EchoService()).bidi_stream(CHAT)
    stream = await opening.__aenter__()
    with pytest.warns(ResourceWarning, match="Echo/Chat was not closed"):
        opening.__del__()  # type: ignore[attr-defined]
    await opening.__aexit__(None, None, None)
    del stream


async def test_retry_forks_a_call_that_delivered_nothing() -> None:
    attempts: list[Call] = []

    class Flaky(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            if call.headers.get("attempt") == "1":
                raise Error(503, "BUSY")
            return request

    async def retry(call: Call, request: Any, next: Handler, /) -> Any:
        for number in ("1", "2"):
            attempt = call.fork()
            attempt.headers.set("attempt", number)
            attempts.append(attempt)
            try:
                reply = await next(attempt, request)
            except Error:
                continue
            call.adopt(attempt)
            return reply
        raise AssertionError("the second attempt works")

    ended: list[Call] = []
    caller = local(Flaky(), client_middleware=[retry])
    options = CallOptions(headers={"x": "y"}, on_end=ended.append)
    assert (await caller.unary(ECHO, text("a"), options)).value == "a"
    assert [call.headers.get("x") for call in attempts] == ["y", "y"]
    assert ended[0].peer == "local"


async def test_calling_next_twice_with_one_call_is_refused_on_a_client() -> None:
    async def twice(call: Call, request: Any, next: Handler, /) -> Any:
        await next(call, request)
        return await next(call, request)

    caller = local(EchoService(), client_middleware=[twice])
    with pytest.raises(RuntimeError, match="twice"):
        await caller.unary(ECHO, text("a"))


async def test_message_cannot_be_sent_where_replies_do_not_stream() -> None:
    with pytest.raises(RuntimeError, match="does not stream replies"):
        await server().send(text("x"))


async def test_encoded_transport_gives_the_handler_a_message_of_its_own() -> None:
    class Scribbles(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            request.value = "scribbled"
            return request

    request = text("clean")
    await local(Scribbles(), encode=True).unary(ECHO, request)
    assert request.value == "clean"
    await local(Scribbles()).unary(ECHO, request)
    assert request.value == "scribbled"


async def test_method_of_another_service_is_not_served() -> None:
    other = Method(
        operation="/o.O/M", name="m", arity=ECHO.arity, request=StringValue, reply=StringValue
    )
    with pytest.raises(Error) as failure:
        await local(EchoService()).unary(other, text("x"))
    assert failure.value.code == 501


async def test_unexpected_exception_is_logged_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(Error):
        await local(EchoService()).unary(ECHO, text("crash"))
    assert "an inner secret" in caplog.text
