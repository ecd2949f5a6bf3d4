"""What mocks answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error, is_not_found, not_found
from kratos.testing import Script, serving
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Caller

MISSING = not_found("NO_SUCH", "there is none")


class EchoMock(EchoService):
    """What the generator writes for such a service."""

    def __init__(self) -> None:
        super().__init__()
        self.on_echo = Script(ECHO)
        self.on_collect = Script(COLLECT)
        self.on_watch = Script(WATCH)
        self.on_chat = Script(CHAT)

    async def echo(self, request: StringValue, /) -> StringValue:
        return await self.on_echo.unary(request)

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        return await self.on_collect.client_stream(requests)

    def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        return self.on_watch.server_stream(request)

    def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        return self.on_chat.bidi_stream(requests)


async def echoed(caller: Caller) -> str:
    return (await caller.unary(ECHO, text("ask"), None)).value


async def test_calls_get_the_replies_in_turn_and_the_last_again() -> None:
    mock = EchoMock()
    mock.on_echo.returns(text("a"), text("b"))
    async with serving(mock) as caller:
        assert [await echoed(caller) for _ in range(3)] == ["a", "b", "b"]
    assert mock.on_echo.calls == 3
    assert mock.on_echo.requests == [text("ask")] * 3


async def test_an_error_comes_after_the_replies() -> None:
    mock = EchoMock()
    mock.on_echo.returns(text("a"))
    mock.on_echo.raises(MISSING)
    async with serving(mock) as caller:
        assert await echoed(caller) == "a"
        with pytest.raises(Error, check=is_not_found):
            await echoed(caller)
        mock.on_echo.returns(text("again"))
        assert await echoed(caller) == "again"


async def test_requests_of_a_stream_are_answered_together() -> None:
    mock = EchoMock()
    mock.on_collect.returns(text("done"))
    async with serving(mock) as caller:
        reply = await caller.client_stream(COLLECT, [text("a"), text("b")], None)
    assert reply.value == "done"
    assert mock.on_collect.requests == [text("a"), text("b")]


async def test_every_stream_gets_all_replies_and_then_the_error() -> None:
    mock = EchoMock()
    mock.on_watch.returns(text("a"), text("b"))
    mock.on_watch.raises(MISSING)
    async with serving(mock) as caller:
        for _ in range(2):
            async with caller.server_stream(WATCH, text("ask"), None) as replies:
                assert (await anext(replies)).value == "a"
                assert (await anext(replies)).value == "b"
                with pytest.raises(Error, check=is_not_found):
                    await anext(replies)
    assert mock.on_watch.requests == [text("ask")] * 2


async def test_a_talk_is_answered_when_it_has_ended() -> None:
    mock = EchoMock()
    mock.on_chat.returns(text("a"), text("b"))
    async with serving(mock) as caller, caller.bidi_stream(CHAT, None) as stream:
        await stream.send(text("one"))
        await stream.send(text("two"))
        await stream.end()
        assert [reply.value async for reply in stream] == ["a", "b"]
    assert mock.on_chat.requests == [text("one"), text("two")]


async def test_what_nothing_was_said_about_fails_with_what_to_call() -> None:
    async with serving(EchoMock()) as caller:
        with pytest.raises(Error, match=r"call on_echo\.returns\(\.\.\.\)") as raised:
            await echoed(caller)
    assert (raised.value.code, raised.value.reason) == (501, "UNSCRIPTED")
