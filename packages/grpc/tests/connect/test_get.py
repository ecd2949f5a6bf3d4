"""Calls without side effects by GET."""

from __future__ import annotations

import base64
import zlib
from typing import Any, ClassVar

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from packages.grpc.tests.connect.conftest import Speak

from kratos.definition.metadata import LIST_SERVICES
from kratos.testing.echo import EchoService
from kratos.transport import Arity, HttpRule, Method, Service
from kratos.transport.safe import is_safe
from kratos_http.connect_query import Query

LOOK = "/lab.Catalogue/Look"


class Catalogue(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        Method(
            operation=LOOK,
            name="look",
            arity=Arity.UNARY,
            request=StringValue,
            reply=StringValue,
            idempotent=True,
            http=(HttpRule(verb="GET", path="/catalogue"),),
        ),
    )

    async def look(self, request: StringValue, /) -> StringValue:
        return StringValue(value=f"{request.value}!")


def proto(word: str) -> bytes:
    return StringValue(value=word).SerializeToString()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        "message=%22a+b%22&encoding=json",
        "encoding=json&unknown=1&message=%22a%20b%22&connect=v1",
        "message=ImEgYiI&encoding=json&base64=1",
        "message=ImEgYiI=&encoding=json&base64=1",
        "message=ImEgYiI%3D&encoding=json&base64=1",
        "message=%22a%20b%22&encoding=json&base64=0&compression=identity",
    ],
)
async def test_the_message_is_in_the_query(speak: Speak, query: str) -> None:
    async with speak(Catalogue()) as peer:
        answer = await peer.request("GET", f"{LOOK}?{query}")
        assert (answer.status, answer.body) == (200, b'"a b!"')
        assert answer.header("content-type") == "application/json"


async def test_the_message_may_be_protobuf_and_compressed(speak: Speak) -> None:
    async with speak(Catalogue()) as peer:
        query = f"connect=v1&base64=1&encoding=proto&message={encoded(proto('a'))}"
        answer = await peer.request("GET", f"{LOOK}?{query}")
        assert answer.body == proto("a!")
        packed = encoded(zlib.compress(proto("a"), wbits=31))
        query = f"compression=gzip&base64=1&encoding=proto&message={packed}"
        assert (await peer.request("GET", f"{LOOK}?{query}")).body == proto("a!")


async def test_an_empty_message_is_one(speak: Speak) -> None:
    async with speak(Catalogue()) as peer:
        answer = await peer.request("GET", f"{LOOK}?message=&encoding=proto&compression=gzip")
        assert answer.body == proto("!")


async def test_head_is_answered_as_get_without_its_body(speak: Speak) -> None:
    async with speak(Catalogue()) as peer:
        answer = await peer.request("HEAD", f"{LOOK}?message=%22a%22&encoding=json")
        assert (answer.status, answer.header("content-length"), answer.body) == (200, "4", b"")


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("encoding=json", 400, "no parameter 'message'"),
        ("message=%21&encoding=json&base64=1", 400, "no URL-safe base64"),
        ("message=1&encoding=json&connect=v2", 400, "has to be 1"),
        ("message=1&encoding=json", 400, "in JSON"),
        ("message=1&encoding=xml", 415, "proto, json"),
        ("message=1", 415, "proto, json"),
        ("message=1&encoding=json&compression=lzw", 501, "lzw"),
        (f"message={'1' * 101}&encoding=json", 429, "exceeds 100"),
    ],
)
async def test_a_wrong_query_is_refused_with_what_is_wrong(
    speak: Speak, query: str, status: int, problem: str
) -> None:
    async with speak(Catalogue(), max_receive=100) as peer:
        answer = await peer.request("GET", f"{LOOK}?{query}")
        assert answer.status == status
        assert problem in answer.body.decode()


async def test_the_version_is_asked_for_in_the_query(speak: Speak) -> None:
    async with speak(Catalogue(), require_version=True) as peer:
        query = "message=%22a%22&encoding=json"
        assert (await peer.request("GET", f"{LOOK}?{query}")).status == 400
        assert (await peer.request("GET", f"{LOOK}?{query}&connect=v1")).status == 200


async def test_caches_are_told_what_a_compressed_answer_depends_on(speak: Speak) -> None:
    async with speak(Catalogue(), compression="gzip") as peer:
        query = f"message=%22{'a' * 2000}%22&encoding=json"
        headers = [("Accept-Encoding", "gzip")]
        answer = await peer.request("GET", f"{LOOK}?{query}", headers=headers)
        assert answer.header("content-encoding") == "gzip"
        assert answer.header("vary") == "accept-encoding"


async def test_a_method_that_changes_something_has_no_get(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("GET", "/kratos.testing.Echo/Echo?message=1&encoding=json")
        assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_the_other_verbs_are_told_of_a_method_that_has_get(speak: Speak) -> None:
    async with speak(Catalogue()) as peer:
        answer = await peer.request("PUT", LOOK)
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")


def test_methods_are_safe_by_their_definition() -> None:
    assert is_safe(LIST_SERVICES)


def test_the_first_of_two_parameters_counts() -> None:
    assert Query(b"message=a&message=b&encoding=json").message() == b"a"
