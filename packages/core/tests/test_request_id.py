"""One name for all that is done for a request."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.log.fields import current_fields
from kratos.middleware import current_request_id, request_id
from kratos.testing._guard import call_words
from kratos.testing.echo import ALL, ECHO, EchoService, text
from kratos.transport import Call, CallOptions, Method, local

NEW = re.compile(r"[0-9a-f]{32}")


class Noting(EchoService):
    """Notes what code of a handler sees."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    async def _answer(self, request: StringValue) -> StringValue:
        assert current_fields().get("request_id", "") == current_request_id()
        self.ids.append(current_request_id())
        return await super()._answer(request)


async def called(method: Method[Any, Any], service: Noting, *words: str, **options: Any) -> Call:
    """Call once, and return the client's call when it has ended."""
    ends: list[Call] = []
    headers: dict[str, str] = options.pop("headers", {})
    caller = local(service, middleware=[request_id(**options)])
    try:
        await call_words(
            caller, method, *words, options=CallOptions(headers=headers, on_end=ends.append)
        )
    finally:
        (end,) = ends
    return end


@pytest.mark.parametrize("method", ALL, ids=[method.arity.value for method in ALL])
async def test_id_of_the_caller_is_seen_everywhere(method: Method[Any, Any]) -> None:
    service = Noting()
    end = await called(method, service, "a", headers={"X-Request-Id": "abc-1"})
    assert set(service.ids) == {"abc-1"}
    assert end.reply_headers.values("x-request-id") == ["abc-1"]
    assert current_request_id() == ""


@pytest.mark.parametrize("method", ALL, ids=[method.arity.value for method in ALL])
async def test_call_without_one_gets_an_id(method: Method[Any, Any]) -> None:
    service = Noting()
    end = await called(method, service, "a")
    (given,) = end.reply_headers.values("x-request-id")
    assert NEW.fullmatch(given)
    assert set(service.ids) == {given}


@pytest.mark.parametrize(
    "given", ["", "a b", "größe", "x" * 129, 'a"b', "a;b", "<script>"], ids=range(7)
)
async def test_what_is_no_id_is_replaced(given: str) -> None:
    service = Noting()
    await called(ECHO, service, "a", headers={"x-request-id": given})
    assert NEW.fullmatch(service.ids[0])


async def test_strangers_may_not_choose_where_they_are_not_trusted() -> None:
    service = Noting()
    await called(ECHO, service, "a", headers={"x-request-id": "mine"}, trust=False)
    assert NEW.fullmatch(service.ids[0])


async def test_id_is_told_with_an_error_too() -> None:
    ends: list[Call] = []
    caller = local(EchoService(), middleware=[request_id()])
    options = CallOptions(headers={"x-request-id": "abc"}, on_end=ends.append)
    with pytest.raises(Error):
        await caller.unary(ECHO, text("fail"), options)
    assert ends[0].reply_headers.get("x-request-id") == "abc"


async def test_calls_made_for_a_request_have_its_id() -> None:
    backend = Noting()
    outbound = local(backend, middleware=[request_id()], client_middleware=[request_id()])

    class Front(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return await outbound.unary(ECHO, request)

        async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            yield await outbound.unary(ECHO, request)

    front = local(Front(), middleware=[request_id()])
    options = CallOptions(headers={"x-request-id": "outer"})
    await front.unary(ECHO, text("a"), options)
    await call_words(front, ALL[2], "b", options=options)
    await outbound.unary(ECHO, text("c"))
    await outbound.unary(ECHO, text("d"), CallOptions(headers={"x-request-id": "own"}))
    assert backend.ids[:2] == ["outer", "outer"]
    assert NEW.fullmatch(backend.ids[2])
    assert backend.ids[3] == "own"


async def test_header_and_form_may_be_chosen() -> None:
    service = Noting()
    end = await called(ECHO, service, "a", header="X-Trace", make=lambda: "made", max_length=3)
    assert end.reply_headers.get("x-trace") == "made"
    await called(ECHO, service, "a", header="X-Trace", headers={"x-trace": "abcd"}, max_length=3)
    assert NEW.fullmatch(service.ids[1])


def test_length_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="max_length is a whole number from 1, not 0"):
        request_id(max_length=0)


def test_header_must_be_one() -> None:
    with pytest.raises(ConfigError, match="header='x id'"):
        request_id(header="x id")
