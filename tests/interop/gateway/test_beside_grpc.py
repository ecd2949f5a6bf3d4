"""The same calls, over gRPC and as JSON through the transcoder.

See ``wanted.py`` for what differs on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import grpc
import pytest
from tests.interop.gateway.beside import BOTH, Both, Running
from tests.interop.gateway.node_grpc import grpc_node
from tests.interop.gateway.wanted import WANTED

pytestmark = [
    pytest.mark.go,
    pytest.mark.slow,
    pytest.mark.outside("KRATOS_GO_GATEWAY_SRC", "Go's gateway"),
]

TYPE = "'@type': type.googleapis.com/gateway.middleware"
CONFIG = f"""
name: both
middlewares: [{{name: transcoder}}]
endpoints:
  - path: /both.Both/*
    method: POST
    protocol: GRPC
    timeout: 60s
    backends: [{{target: '%(grpc)s'}}]
  - path: /both.Slow/*
    protocol: GRPC
    timeout: 0.5s
    backends: [{{target: '%(grpc)s'}}]
    middlewares:
      - {{name: rewrite, options: {{{TYPE}.rewrite.v1.Rewrite, pathRewrite: /both.Both/Hang}}}}
  - path: /both.Dead/*
    protocol: GRPC
    timeout: 60s
    backends: [{{target: '127.0.0.1:1'}}]
  - path: /both.Broken/*
    protocol: GRPC
    timeout: 60s
    backends: [{{target: '%(grpc)s'}}]
    middlewares:
      - {{name: circuitbreaker, options: {{{TYPE}.circuitbreaker.v1.CircuitBreaker, ratio: 0}}}}
"""
ODD = "größe 100%"


class Outcome(NamedTuple):
    """What came of a call.

    Attributes:
        replies: Messages that came.
        code: The status.
        details: Its text.
        metadata: What came before and after, without what engines add.
    """

    replies: list[bytes]
    code: grpc.StatusCode
    details: str
    metadata: dict[str, Any]


def call(gateway: Running, method: str, message: bytes) -> Outcome:
    with grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        open_channel: Any = channel  # its stubs leave messages open
        ask = open_channel.unary_stream(method)
        replies: list[bytes] = []
        stream: Any = ask(message, timeout=60, metadata=(("x-mine", "m"),))
        try:
            replies.extend(stream)
        except grpc.RpcError as error:
            stream = error
        found = {**dict(stream.initial_metadata()), **dict(stream.trailing_metadata())}
        for name in ("date", "content-length", "grpc-accept-encoding"):
            found.pop(name, None)
        return Outcome(replies, stream.code(), stream.details(), found)


@pytest.fixture(scope="module")
def calls(started: Callable[..., AbstractContextManager[Both]]) -> Iterator[Both]:
    with grpc_node() as address, started(CONFIG.replace("%(grpc)s", address)) as both:
        yield both


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("/both.Both/Echo", b"\x00message\xff" * 1000),
        ("/both.Both/Echo", b""),
        ("/both.Both/Fail", ODD.encode()),
        ("/both.Both/Details", b""),
        ("/both.Both/Watch", b"again"),
        ("/both.Both/Unknown", b""),
        ("/nowhere/Unknown", b""),
    ],
)
def test_calls_have_the_same_outcome(calls: Both, method: str, message: bytes) -> None:
    go, ours = (call(calls.by_name[name], method, message) for name in BOTH)
    assert go == ours


@pytest.mark.parametrize("method", ["/both.Slow/X", "/both.Dead/X", "/both.Broken/X"])
def test_failures_have_the_same_code_and_other_words(calls: Both, method: str) -> None:
    go, ours = (call(calls.by_name[name], method, b"") for name in BOTH)
    assert (go.code, go.replies) == (ours.code, ours.replies)
    assert go.details != ours.details
    assert "127.0.0.1" not in ours.details
    assert "message" in WANTED


def asked(calls: Both, method: str, kind: str, body: str) -> set[str]:
    """Return what differs if a body is posted to a method."""
    head = [f"POST {method} HTTP/1.1", "Host: x", f"Content-Length: {len(body.encode())}"]
    # Without it grpcio takes a request for none; ours says it of itself, Go's passes it on.
    head += ["TE: trailers", "X-Mine: m", *([f"Content-Type: {kind}"] if kind else [])]
    return calls.ask("\r\n".join([*head, "", body]).encode())


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/proto", "a/b"]
)
@pytest.mark.parametrize("body", ['{"a": 1}', "", "x" * 2000])
def test_bodies_become_messages_and_back_alike(calls: Both, kind: str, body: str) -> None:
    assert asked(calls, "/both.Both/Echo", kind, body) == set()
    assert calls.answers["kratos"].body == body.encode()


def test_what_has_no_type_comes_back_as_json(calls: Both) -> None:
    assert asked(calls, "/both.Both/Echo", "", "{}") == {"answer header content-type"}
    assert calls.answers["go"].header("content-type") == ""
    assert calls.answers["kratos"].header("content-type") == "application/json"
    assert "untyped" in WANTED


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("/both.Both/Fail", '"user not found"', "404 Not Found"),
        ("/both.Both/Details", "{}", "412 Precondition Failed"),
        ("/both.Both/Unknown", "{}", "501 Not Implemented"),
    ],
)
def test_failures_are_the_same_json_under_a_status_that_says_so(
    calls: Both, method: str, body: str, status: str
) -> None:
    found = asked(calls, method, "application/json", body)
    # Go's JSON has a space here and there, now and then.
    assert found - {"answer body", "answer header content-length"} == {"answer line"}
    go, ours = (calls.answers[name] for name in BOTH)
    assert json.loads(go.body) == json.loads(ours.body)
    assert (go.line, ours.line) == ("HTTP/1.1 200 OK", f"HTTP/1.1 {status}")
    assert "statuses" in WANTED


def test_texts_are_decoded_for_who_reads_json(calls: Both) -> None:
    asked(calls, "/both.Both/Fail", "application/json", json.dumps(ODD, ensure_ascii=False))
    go, ours = (json.loads(calls.answers[name].body)["message"] for name in BOTH)
    assert (go, ours) == ("gr%C3%B6%C3%9Fe 100%25", ODD)


@pytest.mark.parametrize(
    ("method", "code"), [("/both.Slow/X", 4), ("/both.Dead/X", 2), ("/both.Broken/X", 14)]
)
def test_failures_of_the_gateway_are_told_in_json(calls: Both, method: str, code: int) -> None:
    assert "answer header content-type" in asked(calls, method, "application/json", "{}")
    assert calls.answers["go"].header("content-type") == "application/grpc"
    assert json.loads(calls.answers["kratos"].body)["code"] == code
    assert "statuses" in WANTED
