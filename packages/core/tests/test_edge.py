"""The edges of a call: what surrounds the chain on a server and on a client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.middleware import AnyMiddleware, outcome, recovery, timeout
from kratos.testing.echo import COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import (
    Call,
    CallOptions,
    Cause,
    ChainCaller,
    Dispatcher,
    EnoughSent,
    Handler,
    Method,
    Send,
    Service,
    Side,
    duplex,
    local,
    server_call,
)


def server(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.SERVER, transport="test", **options)


def dispatcher(service: Service, **options: Any) -> Dispatcher:
    made = Dispatcher(transport="test", **options)
    made.add(service)
    return made


async def test_call_that_was_cancelled_before_it_ran_never_runs() -> None:
    service = EchoService()
    call = server()
    call.cancel(Cause.PEER_GONE)
    with pytest.raises(Error, match="CLIENT_CLOSED"):
        await dispatcher(service).operations[ECHO.operation].run(call, text("x"))
    assert service.seen == []


async def test_call_whose_deadline_has_passed_is_not_served() -> None:
    service = EchoService()
    late = server(deadline=asyncio.get_running_loop().time() - 1)
    with pytest.raises(Error, match="DEADLINE"):
        await dispatcher(service).operations[ECHO.operation].run(late, text("x"))
    assert service.seen == []


async def test_what_is_no_number_is_no_time_limit_either() -> None:
    wrong: Any = "2s"
    with pytest.raises(ConfigError, match="timeout must be a number of seconds or None, not '2s'"):
        dispatcher(EchoService(), timeouts={ECHO.operation: wrong})
    with pytest.raises(ConfigError, match="not '2s'"):
        local(EchoService(), timeout=wrong)


@pytest.mark.parametrize("seconds", [math.inf, math.nan, 0.0, -1.0])
async def test_what_limits_nothing_is_no_time_limit(seconds: float) -> None:
    left: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        left.append(call.remaining())
        return await next(call, request)

    caller = local(EchoService(), middleware=[note], timeout=seconds)
    await caller.unary(ECHO, text("x"))
    caller = local(EchoService(), middleware=[note], timeout=None)
    await caller.unary(ECHO, text("x"), CallOptions(timeout=seconds))
    made = dispatcher(EchoService(), middleware=[note], timeouts={ECHO.operation: seconds})
    await made.operations[ECHO.operation].run(server(), text("x"))
    assert left == [None] * 3


async def test_deadline_of_a_peer_may_be_infinite() -> None:
    made = dispatcher(EchoService(), timeout=None)
    operation = made.operations[ECHO.operation]
    assert (await operation.run(server(deadline=math.inf), text("x"))).value == "x"
    assert not made.calls


async def test_two_may_wait_for_one_drain() -> None:
    service = EchoService()
    made = dispatcher(service, timeout=None)
    running = asyncio.create_task(made.operations[ECHO.operation].run(server(), text("hang")))
    await service.entered.wait()
    patient = asyncio.create_task(made.drain())
    await asyncio.sleep(0)
    assert await made.drain(0.0) == 0
    assert await patient == 0
    with pytest.raises(Error, match="DRAINING"):
        await running


async def test_handler_that_cancels_its_own_call_leaves_the_task_alone_afterwards() -> None:
    class Closing(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            made.cancel(Cause.DRAINING)
            return request

    made = dispatcher(Closing())
    with pytest.raises(Error, match="DRAINING"):
        await made.operations[ECHO.operation].run(server(), text("x"))
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_handler_that_cancels_its_own_call_and_waits_is_cancelled() -> None:
    class Closing(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            made.cancel(Cause.DRAINING)
            return await super().echo(request)

    service = Closing()
    made = dispatcher(service)
    with pytest.raises(Error, match="DRAINING"):
        await made.operations[ECHO.operation].run(server(), text("hang"))
    assert service.interrupted == 1


async def test_interpreter_exit_is_not_taken_for_a_late_reply() -> None:
    class Leaving(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            call.cancel(Cause.DEADLINE)
            raise GeneratorExit

    with pytest.raises(GeneratorExit):
        await dispatcher(Leaving()).operations[ECHO.operation].run(server(), text("x"))
    with pytest.raises(GeneratorExit):
        await ChainCaller(_exits, transport="t").unary(ECHO, text("x"))


async def _exits(call: Call, request: Any) -> Any:
    call.cause = Cause.DEADLINE
    raise GeneratorExit


async def test_handler_that_awaits_something_cancelled_answers_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            await _cancelled()
            return request

    with pytest.raises(Error, match="CANCELLED"):
        await dispatcher(Broken()).operations[ECHO.operation].run(server(), text("x"))
    assert "_cancelled" in caplog.text


async def _cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_failing_on_end_is_logged_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(call: Call) -> None:
        raise LookupError("broken")

    caller = local(EchoService())
    assert (await caller.unary(ECHO, text("x"), CallOptions(on_end=broken))).value == "x"
    with pytest.raises(Error, match="DEADLINE"):
        await caller.unary(ECHO, text("hang"), CallOptions(on_end=broken, timeout=0.01))
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    assert caplog.text.count("LookupError: broken") == 2


async def _hangs(call: Call, request: Any) -> Any:
    await asyncio.get_running_loop().create_future()


async def test_attempt_has_a_deadline_of_its_own() -> None:
    ends: list[int] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        failure: BaseException | None = None
        try:
            return await next(call, request)
        except BaseException as error:
            failure = error
            raise
        finally:
            ends.append(outcome(call, failure).code)

    async def twice(call: Call, request: Any, next: Handler, /) -> Any:
        with pytest.raises(Error, match="DEADLINE"):
            await next(call.fork(), request)
        return await next(call.fork(), request)

    middleware: list[AnyMiddleware] = [twice, note, timeout(0.01)]
    caller = ChainCaller(_hangs, transport="t", middleware=middleware, timeout=None)
    with pytest.raises(Error, match="DEADLINE"):
        await caller.unary(ECHO, text("x"))
    assert ends == [504, 504]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_attempt_ends_with_the_call_and_for_the_same_reason() -> None:
    ends: list[int] = []

    async def retry(call: Call, request: Any, next: Handler, /) -> Any:
        attempt = call.fork()
        try:
            await next(attempt, request)
        except asyncio.CancelledError as error:
            ends.append(outcome(attempt, error).code)
            with pytest.raises(Error, match="DEADLINE"):
                await next(call.fork(), request)
            raise

    caller = ChainCaller(_hangs, transport="t", middleware=[retry], timeout=0.01)
    with pytest.raises(Error, match="DEADLINE"):
        await caller.unary(ECHO, text("x"))
    assert ends == [504]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_hook_cannot_end_a_stream_as_if_the_peer_had(side: str) -> None:
    async def stop(call: Call, request: Any, next: Handler, /) -> Any:
        async def hook(_message: Any) -> Any:
            raise StopAsyncIteration

        call.on_receive(hook)
        return await next(call, request)

    if side == "server":
        with pytest.raises(Error, match="unknown request error"):
            await local(EchoService(), middleware=[stop]).client_stream(COLLECT, [text("x")])
        return
    caller = local(EchoService(), client_middleware=[stop])
    async with caller.server_stream(WATCH, text("a b")) as replies:
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            await anext(aiter(replies))


async def test_nothing_can_be_sent_when_a_call_has_ended() -> None:
    sent: list[Any] = []
    kept: list[Send[StringValue]] = []

    class Keeps(EchoService):
        def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            async def body(_requests: AsyncIterator[Any], send: Send[StringValue]) -> None:
                await send(request)
                kept.append(send)

            return duplex(_none(), body)

    async def sink(message: Any) -> None:
        sent.append(message)

    operation = dispatcher(Keeps()).operations[WATCH.operation]
    await operation.run(server(WATCH, sink=sink), text("x"))
    with pytest.raises(RuntimeError, match=r"Echo/Watch has ended"):
        await kept[0](text("late"))
    assert len(sent) == 1


async def test_handler_ends_well_when_its_peer_has_enough() -> None:
    closed: list[bool] = []

    class Endless(EchoService):
        async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            try:
                while True:
                    yield request
            finally:
                closed.append(True)

    async def sink(_message: Any) -> None:
        raise EnoughSent

    call = server(WATCH, sink=sink)
    await dispatcher(Endless()).operations[WATCH.operation].run(call, text("x"))
    assert closed == [True]
    assert call.cause is None


@pytest.mark.parametrize("grouped", [False, True])
async def test_body_that_sends_by_itself_ends_well_when_its_peer_has_enough(
    *, grouped: bool
) -> None:
    class Endless(EchoService):
        def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            async def body(_requests: AsyncIterator[Any], send: Send[StringValue]) -> None:
                if not grouped:
                    await send(request)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_sent(send, request))

            return duplex(_none(), body)

    async def sink(_message: Any) -> None:
        raise EnoughSent

    await dispatcher(Endless()).operations[WATCH.operation].run(server(WATCH, sink=sink), text("x"))


async def test_call_ends_well_whose_middleware_sends_more_than_its_peer_wants() -> None:
    async def add(call: Call, request: Any, next: Handler, /) -> Any:
        await next(call, request)
        await call.send(text("more"))

    async def sink(message: Any) -> None:
        if message.value == "more":
            raise EnoughSent

    served = dispatcher(EchoService(), middleware=[recovery(), add])
    call = server(WATCH, sink=sink)
    assert await served.operations[WATCH.operation].run(call, text("x")) is None
    assert call.cause is None


async def _sent(send: Send[Any], message: Any) -> None:
    await send(message)


async def _none() -> AsyncIterator[Any]:
    nothing: tuple[Any, ...] = ()
    for message in nothing:
        yield message


@pytest.mark.parametrize("where", ["reply_headers", "trailers"])
def test_call_is_bare_until_it_has_something_to_say(where: str) -> None:
    call = server()
    assert len(getattr(call, where)) == 0
    assert call.is_bare
    getattr(call, where).add("x", "1")
    assert not call.is_bare
