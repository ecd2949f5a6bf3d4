"""The middleware that takes keys from requests."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.middleware import chain, keyed
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.transport import Call, CallOptions, Method, Side


async def key_of(request: Any, *, of: Method[Any, Any] = ECHO, given: str | None = None) -> Any:
    seen: list[Any] = []

    async def core(call: Call, _request: Any) -> None:
        seen.append(None if call.options is None else call.options.key)

    call = Call(of, side=Side.CLIENT, transport="test")
    call.options = None if given is None else CallOptions(key=given)
    await chain([keyed(lambda request: request.value)], of, core)(call, request)
    return seen[0]


@pytest.mark.parametrize("of", [ECHO, WATCH])
async def test_key_is_taken_from_the_request(of: Method[Any, Any]) -> None:
    assert await key_of(text("ada"), of=of) == "ada"


async def test_key_that_the_caller_gave_stays() -> None:
    assert await key_of(text("ada"), given="bob") == "bob"


async def test_empty_key_is_none() -> None:
    assert await key_of(text("")) is None


@pytest.mark.parametrize("of", [COLLECT, CHAT])
async def test_stream_of_requests_has_no_key(of: Method[Any, Any]) -> None:
    assert await key_of(iter([text("ada")]), of=of) is None
