"""Streams as their caller holds them."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.middleware import every_request
from kratos.testing.echo import CHAT, COLLECT, WATCH, EchoService, text
from kratos.transport import (
    Call,
    CallOptions,
    Handler,
    local,
)


async def test_stream_that_could_not_be_opened_is_not_reported_as_left_open() -> None:
    options = CallOptions(headers={"no token": "x"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="no token"):
            async with local(EchoService()).bidi_stream(CHAT, options):
                pass
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_hook_that_refuses_a_message_to_send_ends_the_call() -> None:
    ends: list[BaseException] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except BaseException as error:
            ends.append(error)
            raise

    async def check(call: Call, message: StringValue) -> None:
        if message.value == "bad":
            raise Error(400, "VALIDATOR")

    service = EchoService()
    caller = local(service, client_middleware=[note, every_request(check)])
    async with caller.bidi_stream(CHAT) as stream:
        await stream.send(text("good"))
        assert (await anext(aiter(stream))).value == "good"
        with pytest.raises(Error, match="VALIDATOR"):
            await stream.send(text("bad"))
        assert [getattr(end, "reason", end) for end in ends] == ["VALIDATOR"]
        with pytest.raises(Error, match="VALIDATOR"):
            await anext(aiter(stream))
    assert service.seen == ["good"]


async def test_sender_learns_that_its_call_has_failed() -> None:
    ended = asyncio.Event()
    options = CallOptions(timeout=0.01, on_end=lambda _call: ended.set())
    async with local(EchoService()).bidi_stream(CHAT, options) as stream:
        await stream.send(text("hang"))
        await ended.wait()
        await asyncio.sleep(0)
        with pytest.raises(Error, match="DEADLINE"):
            await stream.send(text("late"))


async def test_sender_without_an_end_does_not_hold_up_the_loop() -> None:
    class Deaf(EchoService):
        async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
            yield text("enough")

    async with local(Deaf()).bidi_stream(CHAT) as stream:

        async def send() -> None:
            while True:
                await stream.send(text("more"))

        sending = asyncio.create_task(send())
        assert [reply.value async for reply in stream] == ["enough"]
        with pytest.raises(RuntimeError, match="has ended"):
            await sending


async def test_reader_of_a_stream_that_another_task_left_gets_an_error() -> None:
    service = EchoService()
    async with local(service).server_stream(WATCH, text("hang")) as replies:
        reading = asyncio.ensure_future(anext(aiter(replies)))
        await service.entered.wait()
    with pytest.raises(Error, match="CANCELLED"):
        await reading
    with pytest.raises(Error, match="CANCELLED"):
        await anext(aiter(replies))


async def test_second_consumer_is_refused_while_a_hook_has_the_message() -> None:
    refused: list[str] = []

    async def pause(call: Call, request: Any, next: Handler, /) -> Any:
        async def hook(message: Any) -> Any:
            with pytest.raises(RuntimeError, match="one consumer") as refusal:
                await anext(requests[0])
            refused.append(str(refusal.value))
            return message

        call.on_receive(hook)
        requests.append(request)
        return await next(call, request)

    requests: list[AsyncIterator[Any]] = []
    words = [text("one"), text("two")]
    await local(EchoService(), middleware=[pause]).client_stream(COLLECT, words)
    assert len(refused) == 2


async def test_coroutine_in_place_of_a_stream_is_closed() -> None:
    class Wrong(EchoService):
        def watch(self, request: StringValue, /) -> Any:
            return asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with local(Wrong()).server_stream(WATCH, text("x")) as replies:
            with pytest.raises(Error, match="unknown request error"):
                await anext(aiter(replies))
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
