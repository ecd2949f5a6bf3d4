"""Bodies of JSON changed on their way."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.transform_pb2 import Transform
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware import Context
from kratos_gateway.middleware.documents import is_json, read_json, write_json
from kratos_gateway.middleware.steps import Steps, TooMuch
from kratos_gateway.middleware.testing import Backend, Headers, Pieces, behind, request_to

JSON = (b"content-type", b"application/json")
SENT = [("Content-Type", "application/json; charset=utf-8")]


LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text()


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(), inner)


DOCUMENTS: st.SearchStrategy[Any] = st.recursive(LEAVES, branches, max_leaves=20)


def options(**told: Any) -> Transform:
    return json_format.ParseDict(told, Transform())


def changing(backend: Backend, logger: MemoryLogger | None = None, **told: Any) -> Handler:
    context = Context(logger=logger or MemoryLogger())
    return behind(backend, "transform", options(**told), context=context)


def changed(document: Any, *steps: dict[str, Any], headers: Headers = ()) -> Any:
    made = Steps(options(request=list(steps)).request, name="request")
    return made.change(document, request_to("/a?page=2&page=3", headers=headers))


def put(path: str, value: Any) -> dict[str, Any]:
    return {"path": path, "value": value}


STEPS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"set": put("/a", 1)}, {"a": 0, "b": 0}, {"a": 1, "b": 0}),
    ({"set": put("/a/b", None)}, {}, {"a": {"b": None}}),
    ({"set": put("/a/b", True)}, {"a": "text"}, {"a": {"b": True}}),
    ({"set": put("/a/0", 1)}, {"a": [0, 0]}, {"a": [1, 0]}),
    ({"set": put("/a/2", 1)}, {"a": [0, 0]}, {"a": [0, 0]}),
    ({"set": put("/a/01", 1)}, {"a": [0, 0]}, {"a": [0, 0]}),
    ({"set": put("/a/-", 1)}, {"a": [0]}, {"a": [0, 1]}),
    ({"set": put("/a/*/b", [1.5])}, {"a": [{}, 3]}, {"a": [{"b": [1.5]}, 3]}),
    ({"set": put("/a/*", 0)}, {"a": [1, 2]}, {"a": [0, 0]}),
    ({"set": put("/a~1b/~0c", 1)}, {}, {"a/b": {"~c": 1}}),
    ({"set": put("/a", 1)}, "text", {"a": 1}),
    ({"set": put("", {"a": 1})}, [1], {"a": 1}),
    ({"add": put("/a", 1)}, {"a": None}, {"a": None}),
    ({"add": put("/a/b", 1)}, {}, {"a": {"b": 1}}),
    ({"add": put("/a/b", 1)}, {"a": "text"}, {"a": "text"}),
    ({"add": put("/a", 1)}, "text", "text"),
    ({"add": put("/-", 1)}, [0], [0, 1]),
    ({"remove": "/a/*/b"}, {"a": [{"b": 1, "c": 2}, 3]}, {"a": [{"c": 2}, 3]}),
    ({"remove": "/a/1"}, {"a": [1, 2, 3]}, {"a": [1, 3]}),
    ({"remove": "/a/*"}, {"a": [1, 2, 3]}, {"a": []}),
    ({"remove": "/b/c"}, {"a": 1}, {"a": 1}),
    ({"remove": "/*"}, {"a": 1, "*": 2}, {"a": 1}),
    ({"rename": {"path": "/a/b", "to": "c"}}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 1}}),
    ({"rename": {"path": "/*/b", "to": "c"}}, [{"b": 1}, {}], [{"c": 1}, {}]),
    ({"wrap": "data"}, [1], {"data": [1]}),
    ({"unwrap": "/data"}, {"data": [1], "more": 2}, [1]),
    ({"unwrap": "/data"}, {"more": 2}, {"more": 2}),
    ({"unwrap": "/items/1"}, {"items": [1, 2]}, 2),
]


@pytest.mark.parametrize(("step", "document", "wanted"), STEPS)
def test_step_changes_what_it_names(step: dict[str, Any], document: Any, wanted: Any) -> None:
    assert changed(document, step) == wanted


def test_steps_follow_each_other() -> None:
    steps = [{"unwrap": "/data"}, {"remove": "/secret"}, {"wrap": "order"}]
    assert changed({"data": {"id": 1, "secret": 2}}, *steps) == {"order": {"id": 1}}


def test_template_is_filled_of_the_request() -> None:
    template = "{method} {path} {{{query:page}}} {header:X-User}{header:x-none} {caller}"
    step = {"set": {"path": "/a", "template": template}}
    assert changed({}, step, headers=[("X-User", 'ad"a')]) == {"a": 'GET /a {2} ad"a '}


def test_value_that_is_put_is_put_anew_each_time() -> None:
    made = Steps(options(request=[{"set": put("/*", {"n": 0})}]).request, name="request")
    for _ in range(2):
        found: Any = made.change([1, 2], request_to())
        found[0]["n"] = 1
        assert found == [{"n": 1}, {"n": 0}]


async def test_request_is_changed_and_its_length_with_it() -> None:
    backend = Backend()
    handler = changing(backend, request=[{"set": put("/user", "ada")}, {"remove": "/admin"}])
    body = b'{"admin":true,"price":1.10}'
    headers = [*SENT, ("Content-Length", str(len(body))), ("Digest", "x"), ("Range", "bytes=0-")]
    await handler(request_to(method="POST", headers=headers, body=Pieces(body[:9], body[9:])))
    assert backend.last.body == b'{"price":1.10,"user":"ada"}'
    assert [name for name, _ in backend.last.headers] == [b"content-type", b"range"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        (SENT, b"{", 400, "BODY_NOT_JSON"),
        (SENT, b'{"a":NaN}', 400, "BODY_NOT_JSON"),
        (SENT, b"\xff", 400, "BODY_NOT_JSON"),
        (SENT, b"[" * 100_000, 400, "BODY_NOT_JSON"),
        ([*SENT, ("Content-Encoding", "gzip")], b"{}", 415, "BODY_ENCODED"),
        ([*SENT, ("Content-Length", "200001")], Pieces(b"{}"), 413, "BODY_TOO_LARGE"),
        (SENT, Pieces(b"[", b" " * 200_000), 413, "BODY_TOO_LARGE"),
    ],
)
async def test_request_that_cannot_be_changed_is_refused(
    headers: Headers, body: Any, status: int, reason: str
) -> None:
    backend = Backend()
    handler = changing(backend, request=[{"wrap": "a"}], maxBytes=200_000)
    answer = await handler(request_to(method="POST", headers=headers, body=body))
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["reason"]) == (status, reason)
    assert not backend.requests


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Type", "text/plain")], b"a"),
        ([("Content-Type", "application/grpc+json")], b"a"),
        ([("Content-Type", "application/x-ndjson")], b"{}\n{}\n"),
        ([], b"a"),
        (SENT, b""),
        (SENT, Pieces()),
    ],
)
async def test_request_of_another_type_or_without_a_body_passes(
    headers: Headers, body: Any
) -> None:
    backend = Backend()
    handler = changing(backend, request=[{"wrap": "a"}])
    await handler(request_to(method="POST", headers=headers, body=body))
    assert backend.last.body == (body if isinstance(body, bytes) else b"")


async def test_whoever_says_that_he_calls_grpc_is_changed_all_the_same() -> None:
    backend = Backend(Answer(200, [JSON], b'{"id":1,"secret":2}'))
    handler = changing(backend, response=[{"remove": "/secret"}], jsonOnly=True)
    headers = [("Content-Type", "application/grpc")]
    assert (await handler(request_to(headers=headers))).body == b'{"id":1}'
    refused = await handler(request_to(method="POST", headers=headers, body=b'{"role":"admin"}'))
    assert refused.status == 415
    calling = request_to(headers=headers, body=b"1", endpoint=Endpoint(path="/*", protocol=GRPC))
    assert (await handler(calling)).body == b'{"id":1,"secret":2}'


async def test_other_types_are_refused_where_json_is_asked_for() -> None:
    backend = Backend()
    handler = changing(backend, jsonOnly=True)
    plain = [("Content-Type", "text/plain")]
    assert (await handler(request_to(method="POST", headers=plain, body=b"{}"))).status == 415
    assert (await handler(request_to(method="POST", headers=SENT, body=b"{}"))).status == 200
    assert (await handler(request_to(method="GET"))).status == 200
    assert len(backend.requests) == 2


async def test_of_two_types_none_may_be_another_where_json_is_asked_for() -> None:
    backend = Backend()
    handler = changing(backend, jsonOnly=True)
    both = [*SENT, ("Content-Type", "application/xml")]
    assert (await handler(request_to(method="POST", headers=both, body=b"{}"))).status == 415
    assert not backend.requests


@pytest.mark.parametrize("path", ["/items/*/tenant", "/items/*/meta/tenant", "/items/*"])
async def test_what_a_client_sends_is_not_put_into_a_document_without_end(path: str) -> None:
    step = {"set": {"path": path, "template": "{header:x-tenant}"}}
    document: dict[str, Any] = {"items": [{} for _ in range(10_000)]}
    with pytest.raises(TooMuch):
        changed(document, step, headers=[("X-Tenant", "t" * 10_000)])
    changed(document, step, headers=[("X-Tenant", "t")])
    changed({"items": [{}]}, step, headers=[("X-Tenant", "t" * 10_000)])
    handler = changing(Backend(), request=[step])
    sent = [*SENT, ("X-Tenant", "t" * 10_000)]
    body = json.dumps({"items": [{}] * 10_000}).encode()
    assert (await handler(request_to(method="POST", headers=sent, body=body))).status == 413


async def test_answer_is_changed_and_what_its_bytes_were_told_by_is_gone() -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"21"),
        (b"etag", b'"1"'),
        (b"accept-ranges", b"bytes"),
        (b"content-digest", b"x"),
    ]
    backend = Backend(Answer(201, headers, Pieces(b'{"id":1,', b'"secret":2}')))
    step = {"set": {"path": "/status", "template": "{status}"}}
    handler = changing(backend, response=[{"remove": "/secret"}, step])
    sent = [("Accept-Encoding", "gzip"), ("Range", "bytes=0-1"), ("If-Range", '"1"'), ("A", "b")]
    answer = await handler(request_to(headers=sent))
    assert answer.body == b'{"id":1,"status":"201"}'
    assert answer.headers == [(b"content-type", b"application/problem+json"), (b"etag", b'W/"1"')]
    assert backend.last.headers == [(b"a", b"b")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(200, [JSON], b"{"), "is no JSON"),
        (Answer(200, [JSON, (b"content-encoding", b"br")], b"x"), "compressed"),
        (Answer(206, [JSON], b"{}"), "with a part"),
        (Answer(200, [JSON, (b"content-length", b"101")], Pieces(b"{}")), "more than 100 bytes"),
        (Answer(200, [JSON], Pieces(b"[", b" " * 100)), "more than 100 bytes"),
        (Answer(200, [JSON], b'"%b"' % (b"x" * 90)), "would have more than 100 bytes"),
    ],
)
async def test_answer_that_cannot_be_changed_is_not_passed_on(answer: Answer, why: str) -> None:
    logger = MemoryLogger()
    handler = changing(Backend(answer), logger, response=[{"wrap": "a" * 10}], maxBytes=100)
    told = await handler(request_to())
    assert told.status == 502
    assert why in str(told.body)
    assert logger.messages() == ["an answer cannot be changed"]
    if isinstance(answer.body, Pieces):
        assert answer.body.closed


async def test_answer_that_breaks_off_is_closed_and_the_error_goes_on() -> None:
    body = Pieces(b"{", ConnectionError("lost"))
    with pytest.raises(ConnectionError):
        await changing(Backend(Answer(200, [JSON], body)), response=[{"wrap": "a"}])(request_to())
    assert body.closed


async def test_errors_stay_as_they_are_unless_they_are_to_be_changed() -> None:
    error = Answer(404, [JSON], b'{"code":404}')
    handler = changing(Backend(error), response=[{"wrap": "a"}])
    assert (await handler(request_to())).body == error.body
    handler = changing(Backend(error), response=[{"wrap": "a"}], errors=True)
    assert (await handler(request_to())).body == b'{"a":{"code":404}}'


@pytest.mark.parametrize(
    ("method", "status", "headers", "left"),
    [
        ("HEAD", 200, [JSON, (b"content-length", b"9")], [JSON]),
        ("GET", 304, [(b"etag", b'"1"')], [(b"etag", b'W/"1"')]),
        ("GET", 204, [], []),
        ("GET", 200, [(b"content-type", b"text/html")], [(b"content-type", b"text/html")]),
        ("GET", 200, [JSON], [JSON]),
    ],
)
async def test_answer_without_a_body_of_json_has_none_afterwards(
    method: str,
    status: int,
    headers: list[tuple[bytes, bytes]],
    left: list[tuple[bytes, bytes]],
) -> None:
    handler = changing(Backend(Answer(status, headers)), response=[{"wrap": "a"}])
    answer = await handler(request_to(method=method))
    assert (answer.status, answer.headers, answer.body) == (status, left, b"")


async def test_a_large_body_is_changed_while_others_are_served() -> None:
    body = json.dumps(list(range(50_000))).encode()
    handler = changing(Backend(Answer(200, [JSON], body)), response=[{"wrap": "a"}])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    answer = await handler(request_to())
    task.cancel()
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {"a": list(range(50_000))}
    assert turns > 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "write steps in request or response"),
    ({"request": [{}]}, r"request\[0\] says nothing: write set"),
    ({"request": [{"remove": "a"}]}, r"request\[0\].remove is a JSON Pointer"),
    ({"request": [{"remove": ""}]}, r"request\[0\].remove is empty"),
    ({"request": [{"remove": "/~2"}]}, "~0 stands for a tilde"),
    ({"response": [{"set": {"path": "/a"}}]}, r"response\[0\].set has nothing to put"),
    ({"request": [{"wrap": ""}]}, "name a field"),
    ({"request": [{"rename": {"path": "/a", "to": "/b"}}]}, "the new name alone"),
    ({"request": [{"set": {"path": "/a", "template": "{status}"}}]}, "is none of header:"),
    ({"request": [{"set": {"path": "/a", "template": "{x"}}]}, "a { has no other"),
    ({"request": [{"set": {"path": "/a", "template": "{header:a b}"}}]}, "no name of a header"),
]


@pytest.mark.parametrize(("told", "complaint"), REFUSED)
def test_options_that_cannot_be_meant_are_refused(told: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        changing(Backend(), **told)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/vnd.api+json", True),
        (b"application/grpc+json", False),
        (b"application/json-seq", False),
        (b"text/json", False),
        (b"", False),
    ],
)
def test_media_types_of_one_document_are_known(kind: bytes, wanted: bool) -> None:
    assert is_json(kind) is wanted


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1.10,"b":[1e400,-0.0,12345678901234567890,0.1000000000000000055]}',
        '{"a":"\N{GRINNING FACE}ä"}'.encode(),
        b'{"a":"\\ud800"}',
        b'"1.5"',
        b"2.50",
    ],
)
def test_what_is_not_changed_says_the_same_afterwards(text: bytes) -> None:
    assert write_json(read_json(text)) == text


@given(DOCUMENTS)
def test_every_document_comes_back(document: Any) -> None:
    assert read_json(write_json(document)) == document
    assert read_json(json.dumps(document).encode()) == document
