"""Requests of those who have a key."""

from __future__ import annotations

import json
import re

import pytest

from kratos.errors import ConfigError
from kratos.middleware import hashed_api_key
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.keyauth_pb2 import KeyAuth
from kratos_gateway.middleware.callers import caller_of
from kratos_gateway.middleware.testing import Backend, behind, request_to

CALL, OF_GRPC = [("content-type", "application/grpc")], Endpoint(protocol=GRPC)
ADA, BOB = "ada's key is long enough", "bob's key is long enough"
KEYS = [KeyAuth.Key(name="ada", key=ADA), KeyAuth.Key(name="bob", sha256=hashed_api_key(BOB))]


@pytest.mark.parametrize(("key", "name"), [(ADA, "ada"), (BOB, "bob")])
async def test_who_has_a_key_is_let_in_by_name_and_without_the_key(key: str, name: str) -> None:
    backend = Backend()
    options = KeyAuth(keys=KEYS, subject_header="X-Consumer")
    sent = [("X-Api-Key", key), ("X-Consumer", "root"), ("X-A", "1")]
    assert (await behind(backend, "keyauth", options)(request_to(headers=sent))).status == 200
    assert backend.last.headers == [(b"x-a", b"1"), (b"x-consumer", name.encode())]
    who = caller_of(backend.last)
    assert who is not None
    assert (who.subject, who.scheme) == (name, "api_key")


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("X-Api-Key", "")],
        [("X-Api-Key", "wrong")],
        [("X-Api-Key", ADA), ("X-Api-Key", ADA)],
        [("X-Api-Key", "x" * 600)],
        [("Authorization", ADA)],
    ],
)
async def test_whoever_has_none_is_not_let_in(sent: list[tuple[str, str]]) -> None:
    backend = Backend()
    answer = await behind(backend, "keyauth", KeyAuth(keys=KEYS))(request_to(headers=sent))
    assert answer.status == 401
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["reason"] == "UNAUTHORIZED"
    assert not backend.requests


async def test_call_of_grpc_without_a_key_hears_so_by_a_status_of_grpc() -> None:
    request = request_to(headers=CALL, endpoint=OF_GRPC)
    answer = await behind(Backend(), "keyauth", KeyAuth(keys=KEYS))(request)
    assert (answer.status, answer.header(b"grpc-status")) == (200, b"16")
    assert answer.header(b"grpc-message") == b"an API key is needed"


async def test_whoever_only_says_that_he_calls_hears_it_by_a_status_of_http() -> None:
    answer = await behind(Backend(), "keyauth", KeyAuth(keys=KEYS))(request_to(headers=CALL))
    assert answer.status == 401


async def test_key_may_be_in_another_header_or_in_the_query_and_may_be_passed_on() -> None:
    backend = Backend()
    options = KeyAuth(keys=KEYS, header="X-Token", query="key")
    handler = behind(backend, "keyauth", options)
    target = "/a?b=1&key=" + ADA.replace(" ", "%20") + "&c=%20"
    assert (await handler(request_to(target))).status == 200
    assert backend.last.query == "b=1&c=%20"
    options.forward = True
    handler = behind(backend, "keyauth", options)
    assert (await handler(request_to(headers=[("X-Token", ADA)]))).status == 200
    assert backend.last.header(b"x-token") == ADA.encode()


async def test_nobody_is_let_in_where_a_key_is_optional_but_no_wrong_key() -> None:
    backend = Backend()
    options = KeyAuth(keys=KEYS, optional=True, subject_header="X-Consumer")
    handler = behind(backend, "keyauth", options)
    assert (await handler(request_to(headers=[("X-Consumer", "root")]))).status == 200
    assert backend.last.headers == []
    assert caller_of(backend.last) is None
    assert (await handler(request_to(headers=[("X-Api-Key", "wrong")]))).status == 401


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ([], "would let nobody in"),
        ([KeyAuth.Key(key=ADA)], "keys[0] has no name"),
        ([KeyAuth.Key(name="a", key="short")], "16 to 512 characters; this one has 5"),
        ([KeyAuth.Key(name="a", sha256="abc")], "64 digits"),
        ([*KEYS, KeyAuth.Key(name="eve", key=ADA)], "keys[2] is given before, to 'ada'"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(keys: list[KeyAuth.Key], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)) as raised:
        behind(Backend(), "keyauth", KeyAuth(keys=keys))
    assert ADA not in str(raised.value)
