"""Who may call what, on every arity."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kratos.errors import ConfigError, Error, StartupError
from kratos.middleware import (
    AnyMiddleware,
    Decide,
    Decision,
    Denied,
    Handler,
    all_of,
    any_of,
    authenticated,
    authorize,
    public,
    roles,
    scopes,
)
from kratos.principal import Principal, acting_as, current_principal, require_principal
from kratos.testing._guard import call_words
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, WATCH, EchoService
from kratos.transport import Call, Caller, ChainCaller, Method, local
from kratos.transport.local import LocalTransport

every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])

ADA = Principal(
    subject="ada", scheme="test", scopes=frozenset({"read", "write"}), roles=frozenset({"clerk"})
)


def calling_as(principal: Principal | None) -> AnyMiddleware:
    async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
        with acting_as(principal):
            return await next(call, request)

    return authenticate


def guarded(
    decide: Decide | Mapping[str, Decide],
    *,
    principal: Principal | None = ADA,
    service: EchoService | None = None,
    **options: Any,
) -> Caller:
    chain: Sequence[AnyMiddleware] = [calling_as(principal), authorize(decide, **options)]
    return local(service or EchoService(), middleware=chain)


@every_arity
async def test_allowed_call_reaches_the_handler(method: Method[Any, Any]) -> None:
    assert await call_words(guarded(public), method, "ok") == ["ok"]


@every_arity
@pytest.mark.parametrize(
    ("decision", "code", "reason", "message"),
    [
        (False, 403, "FORBIDDEN", "the caller may not do this"),
        (Denied("closed on Sundays"), 403, "FORBIDDEN", "closed on Sundays"),
        (Denied("too much", reason="LIMIT"), 403, "LIMIT", "too much"),
    ],
)
async def test_denied_call_never_reaches_it(
    method: Method[Any, Any], decision: Decision, code: int, reason: str, message: str
) -> None:
    service = EchoService()

    async def decide(_call: Call, _request: Any, /) -> Decision:
        return decision

    with pytest.raises(Error) as refusal:
        await call_words(guarded(decide, service=service), method, "ok")
    assert (refusal.value.code, refusal.value.reason, refusal.value.message) == (
        code,
        reason,
        message,
    )
    assert service.seen == []


@every_arity
@pytest.mark.parametrize("nothing", [None, 1, "yes", [True]])
async def test_what_is_no_decision_allows_nothing(
    method: Method[Any, Any], nothing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service = EchoService()
    with pytest.raises(Error) as refusal:
        await call_words(guarded(lambda _call, _request: nothing, service=service), method, "ok")
    assert refusal.value.code == 500
    assert service.seen == []
    assert "has to return True, False or Denied" in caplog.text


async def test_exception_of_a_decision_allows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    service = EchoService()

    def decide(_call: Call, _request: Any, /) -> bool:
        raise LookupError("no table")

    with caplog.at_level(logging.CRITICAL), pytest.raises(Error) as refusal:
        await call_words(guarded(decide, service=service), ECHO, "ok")
    assert refusal.value.code == 500
    assert service.seen == []


async def test_decision_sees_the_request_but_not_a_stream_of_them() -> None:
    seen: list[Any] = []

    def decide(call: Call, request: Any, /) -> bool:
        seen.append((call.method.name, request and request.value))
        return True

    caller = guarded(decide)
    for method in ALL:
        await call_words(caller, method, "a", "b")
    assert seen == [("echo", "a"), ("collect", None), ("watch", "a b"), ("chat", None)]


@pytest.mark.parametrize("method", [COLLECT, CHAT])
async def test_each_message_of_a_stream_is_decided_about_where_asked_for(
    method: Method[Any, Any],
) -> None:
    service = EchoService()
    caller = guarded(
        lambda _call, request: request is None or request.value != "bad",
        service=service,
        messages=True,
    )
    with pytest.raises(Error, match="FORBIDDEN"):
        await call_words(caller, method, "good", "bad", "good")
    assert service.seen == ["good"]


async def test_longest_beginning_decides_and_an_operation_over_all() -> None:
    caller = guarded(
        {
            "*": lambda _call, _request: False,
            "/kratos.testing.Echo/*": lambda _call, _request: Denied("service"),
            "/kratos.testing.Echo/C*": lambda _call, _request: Denied("beginning"),
            "/kratos.testing.Echo/Chat": public,
        }
    )
    said: list[str] = []
    for method in (ECHO, COLLECT, WATCH):
        with pytest.raises(Error) as refusal:
            await call_words(caller, method, "ok")
        said.append(refusal.value.message)
    assert said == ["service", "beginning", "service"]
    assert await call_words(caller, CHAT, "ok") == ["ok"]


def test_operation_without_a_decision_keeps_the_server_from_starting() -> None:
    with pytest.raises(StartupError, match=r"no decision for /kratos\.testing\.Echo/Collect"):
        guarded({"/kratos.testing.Echo/Echo": public})


async def test_operation_without_a_decision_is_denied_where_that_is_asked_for() -> None:
    caller = guarded({"/kratos.testing.Echo/Echo": public}, strict=False)
    assert await call_words(caller, ECHO, "ok") == ["ok"]
    for method in (COLLECT, WATCH, CHAT):
        with pytest.raises(Error, match="FORBIDDEN"):
            await call_words(caller, method, "ok")


def test_operation_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(StartupError, match=r"did you mean '/kratos\.testing\.Echo/Echo'"):
        guarded({"*": public, "/kratos.testing.Echo/Ehco": public})


def test_decisions_for_what_another_server_serves_are_passed_over() -> None:
    others = ("/grpc.reflection.*", "/me", "/other.Service/*", "/kratos.*")
    caller = guarded({"*": public, **dict.fromkeys(others, public)})
    assert isinstance(caller, ChainCaller)


@pytest.mark.parametrize(
    ("decide", "match"),
    [
        ({}, "would refuse everything"),
        ({"*": True}, "has to be a function"),
        ({"Echo": public}, "like no operation"),
        (None, "has to be a function"),
        (Denied, "has to be a function"),
    ],
)
def test_wrong_table_is_refused_where_it_is_made(decide: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        authorize(decide)


@pytest.mark.parametrize(
    ("decide", "expected"),
    [
        (authenticated, True),
        (scopes("read"), True),
        (scopes("read", "write"), True),
        (scopes("read", "delete"), False),
        (roles("clerk"), True),
        (roles("clerk", "boss"), False),
        (all_of(scopes("read"), roles("clerk")), True),
        (all_of(scopes("read"), roles("boss")), False),
        (any_of(scopes("delete"), roles("clerk")), True),
        (any_of(scopes("delete"), roles("boss")), False),
    ],
)
async def test_ready_made_decisions(decide: Decide, expected: bool) -> None:
    caller = guarded(decide)
    if expected:
        assert await call_words(caller, ECHO, "ok") == ["ok"]
    else:
        with pytest.raises(Error) as refusal:
            await call_words(caller, ECHO, "ok")
        assert refusal.value.code == 403


@every_arity
@pytest.mark.parametrize(
    "decide",
    [
        authenticated,
        scopes("read"),
        roles("clerk"),
        all_of(scopes("read"), public),
        any_of(scopes("read"), authenticated),
    ],
)
async def test_nobody_is_told_to_authenticate(method: Method[Any, Any], decide: Decide) -> None:
    with pytest.raises(Error) as refusal:
        await call_words(guarded(decide, principal=None), method, "ok")
    assert (refusal.value.code, refusal.value.reason) == (401, "UNAUTHORIZED")


async def test_one_of_several_suffices_though_another_wants_to_know_who_calls() -> None:
    decide = any_of(authenticated, public)
    assert await call_words(guarded(decide, principal=None), ECHO, "ok") == ["ok"]


@pytest.mark.parametrize("make", [scopes, roles, all_of, any_of])
def test_decision_about_nothing_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()


async def test_client_side_is_left_alone() -> None:
    guard = authorize(lambda _call, _request: False)
    client = ChainCaller(
        LocalTransport(EchoService()).invoke, transport="local", middleware=[guard], timeout=None
    )
    assert await call_words(client, ECHO, "ok") == ["ok"]


def test_principal_is_gone_after_the_block() -> None:
    with acting_as(ADA):
        assert require_principal() is ADA
        with acting_as(None):
            assert current_principal() is None
        assert current_principal() is ADA
    assert current_principal() is None


def test_principal_does_not_show_its_claims() -> None:
    assert "secret" not in repr(Principal(subject="a", scheme="b", claims={"x": "secret"}))
