"""Middleware for some operations only."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty

from kratos.errors import ConfigError, StartupError
from kratos.middleware import AnyMiddleware, Matcher, recovery, selector
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Call, Handler, Method, Side, local
from kratos.transport.chain import bind


def named(name: str, seen: list[str]) -> Any:
    async def middleware(call: Call, request: Any, next: Handler) -> Any:
        seen.append(name)
        return await next(call, request)

    return middleware


def method(operation: str) -> Method[Any, Any]:
    return Method(operation=operation, name="x", arity=Arity.UNARY, request=Empty, reply=Empty)


def applies(condition: AnyMiddleware, operation: str) -> bool:
    return bool(bind([condition], method(operation)))


@pytest.mark.parametrize(
    ("conditions", "operation", "expected"),
    [
        ({"paths": ["/a.B/C"]}, "/a.B/C", True),
        ({"paths": ["/a.B/C"]}, "/a.B/CD", False),
        ({"prefixes": ["/a.B/"]}, "/a.B/C", True),
        ({"prefixes": ["/a.B/"]}, "/a.BC/D", False),
        ({"regexes": [r"/a\.B/[0-9]+"]}, "/a.B/12", True),
        ({"regexes": [r"/a\.B/[0-9]+"]}, "/a.B/12x", False),
        ({"regexes": [r"[0-9]+"]}, "/a.B/12", False),
        ({"regexes": ["x", r"/a.*"]}, "/a.B/C", True),
        ({"paths": ["/x"], "prefixes": ["/y"], "regexes": ["/a.*"]}, "/a.B/C", True),
        ({"paths": ["/x"], "prefixes": ["/y"], "regexes": ["/z"]}, "/a.B/C", False),
    ],
)
def test_middleware_is_in_the_chain_of_what_is_selected(
    conditions: dict[str, Any], operation: str, expected: bool
) -> None:
    assert applies(selector([named("a", [])], **conditions), operation) is expected


async def test_selected_middleware_runs_in_its_order_for_every_arity() -> None:
    seen: list[str] = []
    some = selector([named("a", seen), named("b", seen)], prefixes=["/kratos.testing.Echo/"])
    caller = local(EchoService(), middleware=[some, named("c", seen)])
    await caller.unary(ECHO, text("x"), None)
    await caller.unary(ECHO, text("x"), None)
    async with caller.server_stream(WATCH, text("x"), None) as replies:
        assert [reply.value async for reply in replies] == ["x"]
    assert seen == ["a", "b", "c"] * 3


async def test_condition_on_the_call_is_asked_each_time() -> None:
    seen: list[str] = []
    some = selector([named("a", seen), named("b", seen)], match=lambda call: call.peer == "x")
    (middleware,) = bind([some], ECHO)

    async def handler(call: Call, request: Any) -> Any:
        seen.append("handler")
        return request

    for peer in ("x", "y"):
        call = Call(ECHO, side=Side.SERVER, transport="test", peer=peer)
        assert await middleware(call, "request", handler) == "request"
    assert seen == ["a", "b", "handler", "handler"]


def test_what_specialises_per_method_is_bound_within_a_selector() -> None:
    bound: list[str] = []

    class Once:
        def bind(self, method: Method[Any, Any], /) -> Any:
            bound.append(method.operation)

    assert not applies(selector([Once()], prefixes=["/a"]), "/a")
    assert not applies(selector([Once()], prefixes=["/a"]), "/b")
    assert bound == ["/a"]


@pytest.mark.parametrize("wrong", [{}, {"regexes": ["("]}, {"paths": "/a"}])
def test_selector_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        selector([recovery()], **wrong)


def test_element_that_is_no_middleware_is_refused_when_the_chain_is_built() -> None:
    wrong: Any = recovery
    with pytest.raises(StartupError, match="no middleware"):
        applies(selector([wrong], prefixes=["/"]), "/a")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("/", ["*"]),
        ("/foo/xxx", ["foo"]),
        ("/foo/bar", ["exact"]),
        ("/foo/bar/x", ["foo/bar"]),
        ("other", ["*"]),
    ],
)
async def test_best_selector_decides_alone(operation: str, expected: list[str]) -> None:
    seen: list[str] = []
    matcher = Matcher()
    for pattern, name in (
        ("*", "*"),
        ("/foo/*", "never"),
        ("/foo/*", "foo"),
        ("/foo/bar/*", "foo/bar"),
        ("/foo/bar", "exact"),
    ):
        matcher.add(pattern, [named(name, seen)])
    (middleware,) = bind([matcher], method(operation))

    async def handler(call: Call, request: Any) -> Any:
        return None

    await middleware(Call(ECHO, side=Side.SERVER, transport="test"), None, handler)
    assert seen == expected


def test_matcher_that_selects_nothing_is_left_out() -> None:
    matcher = Matcher()
    matcher.add("/a", [recovery()])
    assert not applies(matcher, "/b")


@pytest.mark.parametrize("pattern", ["", "a.B/C"])
def test_selector_that_is_like_no_operation_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="like no operation"):
        Matcher().add(pattern, [recovery()])
