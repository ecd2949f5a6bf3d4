"""Answers in a store that somebody else writes to as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.middleware import Handler, cache, chain, idempotency
from kratos.store import MemoryStore
from kratos.testing.echo import ECHO, text
from kratos.transport import Arity, Call, Header, HttpRule, Method, Side

GET = Method(
    operation="/test.Kept/Get",
    name="get",
    arity=Arity.UNARY,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="GET", path="/get"),),
)
NAMES = st.sampled_from(("v", "mark", "lock", "headers", "error", "dropped", "made", "fresh"))
ERRORS = st.sampled_from(("code", "reason", "message", "metadata", "grpc", "details"))
LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from((0, 1, -1, 99, 10**400, 0.5, float("nan"), float("inf")))
    | st.sampled_from(("", "etag", "a\r\nset-cookie: b", "\ud800", "AA==", "A"))
)
CONTENT = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(ERRORS, inner) | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
HEADS = st.dictionaries(NAMES, CONTENT)
BODIES = st.sampled_from((b"", b"\n\x03abc", b"\n\x09abc", b"\xff\xff"))


async def work(call: Call, _request: Any) -> Any:
    call.reply_headers.set("etag", '"1"')
    return text("made")


async def failing(_call: Call, _request: Any) -> Any:
    raise Error(410, "SOLD", "it is sold").with_metadata({"book": "1"})


def call(method: Method[Any, Any], /, **headers: str) -> Call:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Call(method, side=Side.SERVER, transport="test", headers=Header.of(pairs))


async def outcome(handler: Handler) -> Any:
    """Return the reply of a call with a key, or its error."""
    try:
        return await handler(call(ECHO, idempotency_key="1"), text("a"))
    except Error as error:
        return error


async def overwrite(store: MemoryStore, head: dict[str, Any], body: bytes | None) -> None:
    """Change what the one entry of a store says."""
    (key,) = store
    data = await store.get(key)
    assert data is not None
    line, _, old = data.partition(b"\n")
    changed = json.dumps({**json.loads(line), **head}).encode()
    await store.set(key, changed + b"\n" + (old if body is None else body), ttl=60.0)


@given(head=HEADS, body=st.none() | BODIES)
async def test_cache_takes_no_reply_that_it_cannot_read(
    head: dict[str, Any], body: bytes | None
) -> None:
    store = MemoryStore()
    handler = chain([cache(store)], GET, work)
    await handler(call(GET), text("a"))
    await overwrite(store, head, body)
    answered = call(GET)
    assert isinstance(await handler(answered, text("a")), StringValue)
    assert "set-cookie" not in answered.reply_headers


@pytest.mark.parametrize("first", [work, failing])
@given(head=HEADS, body=st.none() | BODIES)
async def test_repeated_call_gets_no_outcome_that_cannot_be_read(
    first: Handler, head: dict[str, Any], body: bytes | None
) -> None:
    async def never(_call: Call, _request: Any) -> Any:
        raise AssertionError("a call with a key runs once")

    store = MemoryStore(evict=False)
    with_key = idempotency(store)
    await outcome(chain([with_key], ECHO, first))
    await overwrite(store, head, body)
    assert isinstance(await outcome(chain([with_key], ECHO, never)), StringValue | Error)


async def test_store_cannot_give_answers_headers_that_are_not_kept() -> None:
    store = MemoryStore()
    handler = chain([cache(store)], GET, work)
    await handler(call(GET), text("a"))
    await overwrite(store, {"headers": [["set-cookie", "a=b"], ["etag", '"2"']]}, None)
    answered = call(GET)
    await handler(answered, text("a"))
    assert answered.reply_headers.get("etag") == '"2"'
    assert "set-cookie" not in answered.reply_headers


@pytest.mark.parametrize(
    "head", [{"headers": 1}, {"headers": [["etag", "a\r\nb: c"]]}, {"error": {"code": "x"}}]
)
async def test_call_whose_outcome_cannot_be_read_is_refused_and_does_not_run(
    head: dict[str, Any],
) -> None:
    store = MemoryStore(evict=False)
    handler = chain([idempotency(store, on_outage="run")], ECHO, work)
    await handler(call(ECHO, idempotency_key="1"), text("a"))
    await overwrite(store, head, None)
    assert (await outcome(handler)).reason == "IDEMPOTENCY_UNAVAILABLE"
