from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.scope import call_scope, scope
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Call, Caller, Handler, Method, Side, local


class Journal:
    """What happened, in its order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: set[object] = set()

    @asynccontextmanager
    async def resource(self, name: str) -> AsyncGenerator[str]:
        self.note(f"open {name}")
        try:
            yield name
        except BaseException as error:
            self.note(f"abort {name} {type(error).__name__}")
            raise
        else:
            self.note(f"close {name}")

    @contextmanager
    def plain(self, name: str) -> Generator[str]:
        self.note(f"open {name}")
        yield name
        self.note(f"close {name}")

    def note(self, line: str) -> None:
        self.lines.append(line)
        self.tasks.add(asyncio.current_task())

    async def note_later(self, line: str) -> None:
        await asyncio.sleep(0)
        self.note(line)


class Borrowing(EchoService):
    """Opens a resource for each call before it does what its parent does."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def _act(self, request: StringValue, method: Method[Any, Any]) -> StringValue:
        await call_scope().enter(self.journal.resource("session"))
        self.journal.note("handle")
        return await super()._act(request, method)


@pytest.fixture
def journal() -> Journal:
    return Journal()


async def act(caller: Caller, method: Method[Any, Any], word: str = "word") -> None:
    if method is ECHO:
        await caller.unary(ECHO, text(word), None)
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text(word)], None)
    elif method is WATCH:
        async with caller.server_stream(WATCH, text(word), None) as replies:
            async for _ in replies:
                pass
    else:
        async with caller.bidi_stream(CHAT, None) as stream:
            await stream.send(text(word))
            await stream.end()
            async for _ in stream:
                pass


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
async def test_resource_is_closed_in_the_calls_task_before_the_call_ends(
    journal: Journal, method: Method[Any, Any]
) -> None:
    async def watching(call: Call, request: Any, next: Handler, /) -> Any:
        reply = await next(call, request)
        journal.note("ended")
        return reply

    caller = local(Borrowing(journal), middleware=[watching, scope()])
    await act(caller, method)
    assert journal.lines == ["open session", "handle", "close session", "ended"]
    assert len(journal.tasks) == 1


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
async def test_resource_sees_how_the_call_failed(
    journal: Journal, method: Method[Any, Any]
) -> None:
    caller = local(Borrowing(journal), middleware=[scope()])
    with pytest.raises(Error, match="try later"):
        await act(caller, method, "fail")
    assert journal.lines == ["open session", "handle", "abort session Error"]


async def test_resource_is_closed_when_the_call_is_cancelled(journal: Journal) -> None:
    service = Borrowing(journal)
    caller = local(service, middleware=[scope()])
    task = asyncio.create_task(act(caller, ECHO, "hang"))
    await service.entered.wait()
    task.cancel()
    await asyncio.wait({task})
    assert journal.lines == ["open session", "handle", "abort session CancelledError"]


class Scripted(EchoService):
    """Runs a script in the place of a handler."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    async def echo(self, request: StringValue, /) -> StringValue:
        await self.script()
        return request


def scripted(script: Any) -> Caller:
    return local(Scripted(script), middleware=[scope()])


async def test_resources_close_newest_first_whatever_their_kind(journal: Journal) -> None:
    async def handler() -> None:
        current = call_scope()
        assert await current.enter(journal.resource("async")) == "async"
        assert await current.enter(journal.plain("plain")) == "plain"
        current.push(journal.note, "callback")
        current.push(journal.note_later, line="async callback")

    await act(scripted(handler), ECHO)
    assert journal.lines == [
        "open async",
        "open plain",
        "async callback",
        "callback",
        "close plain",
        "close async",
    ]


async def test_failing_close_fails_the_call_and_rolls_back_what_is_outside(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise Error(409, "CONFLICT", "cannot commit")

    async def handler() -> None:
        await call_scope().enter(journal.resource("outer"))
        call_scope().push(refuse)

    with pytest.raises(Error, match="cannot commit"):
        await act(scripted(handler), ECHO)
    assert journal.lines == ["open outer", "abort outer Error"]
    assert "/kratos.testing.Echo/Echo: closing a resource failed" in caplog.text


async def test_error_of_the_handler_wins_over_errors_of_closing(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise ValueError("cannot close")

    async def handler() -> None:
        call_scope().push(journal.note, "still closed")
        call_scope().push(refuse)
        raise Error(404, "GONE", "no such thing")

    with pytest.raises(Error, match="no such thing"):
        await act(scripted(handler), ECHO)
    assert journal.lines == ["still closed"]
    assert "cannot close" in caplog.text


async def test_resource_cannot_hide_the_error_of_the_call() -> None:
    @contextmanager
    def swallowing() -> Generator[None]:
        try:
            yield
        except Error:
            return

    async def handler() -> None:
        await call_scope().enter(swallowing())
        raise Error(404, "GONE", "no such thing")

    with pytest.raises(Error, match="no such thing"):
        await act(scripted(handler), ECHO)


async def test_resource_that_raises_what_it_was_given_has_not_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Raising(AbstractContextManager[None]):
        def __enter__(self) -> None:
            return None

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            assert error is not None
            raise error

    async def handler() -> None:
        await call_scope().enter(Raising())
        raise Error(404, "GONE", "no such thing")

    with pytest.raises(Error, match="no such thing"):
        await act(scripted(handler), ECHO)
    assert caplog.records == []


async def test_cancellation_while_closing_after_an_error_is_not_lost() -> None:
    closing = asyncio.Event()

    async def hang() -> None:
        closing.set()
        await asyncio.get_running_loop().create_future()

    async def handler(_call: Call, _request: Any) -> Any:
        call_scope().push(hang)
        raise ValueError("first")

    call: Any = Call(ECHO, side=Side.SERVER, transport="test")
    task = asyncio.ensure_future(scope()(call, text(""), handler))
    await closing.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_cancellation_while_closing_after_a_failure_to_close_is_not_lost() -> None:
    closing = asyncio.Event()

    async def hang() -> None:
        closing.set()
        await asyncio.get_running_loop().create_future()

    def fail() -> None:
        raise ValueError("first")

    async def handler(_call: Call, request: Any) -> Any:
        call_scope().push(hang)
        call_scope().push(fail)
        return request

    call: Any = Call(ECHO, side=Side.SERVER, transport="test")
    task = asyncio.ensure_future(scope()(call, text(""), handler))
    await closing.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_resource_that_cannot_be_opened_is_not_closed(journal: Journal) -> None:
    class Broken(AbstractContextManager[None]):
        def __enter__(self) -> None:
            raise Error(503, "DOWN", "no session")

        def __exit__(self, *outcome: object) -> None:
            journal.note("closed")

    async def handler() -> None:
        await call_scope().enter(journal.resource("first"))
        await call_scope().enter(Broken())

    with pytest.raises(Error, match="no session"):
        await act(scripted(handler), ECHO)
    assert journal.lines == ["open first", "abort first Error"]


async def test_scope_of_an_ended_call_is_refused(journal: Journal) -> None:
    kept: list[Any] = []

    async def handler() -> None:
        kept.append(call_scope())

    await act(scripted(handler), ECHO)
    with pytest.raises(RuntimeError, match="Echo/Echo has ended"):
        kept[0].push(journal.note, "late")
    with pytest.raises(RuntimeError, match="Echo/Echo has ended"):
        await kept[0].enter(journal.resource("late"))
    assert journal.lines == []


async def test_without_the_middleware_the_error_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"add kratos\.scope\.scope\(\) to the middleware"):
        call_scope()


async def test_client_calls_leave_the_scope_of_the_served_call_alone(journal: Journal) -> None:
    inner = local(EchoService(), client_middleware=[scope()])

    async def handler() -> None:
        outer = call_scope()
        await act(inner, ECHO)
        assert call_scope() is outer

    await act(scripted(handler), ECHO)
