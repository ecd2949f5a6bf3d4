"""Who calls, by a certificate or by an API key, on every arity."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.middleware import (
    AnyMiddleware,
    Handler,
    api_key,
    by_principal,
    certificate,
    hashed_api_key,
)
from kratos.principal import Principal, acting_as, current_principal
from kratos.testing._guard import call_words
from kratos.testing.echo import ALL, EchoService
from kratos.tls import PeerCertificate
from kratos.transport import Call, ChainCaller, Method, local
from kratos.transport.local import LocalTransport

every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])

KEY = "q3mJ-vbk0wSx8tDnUeY1RfLh6aZc7pGo"
KEYS = {hashed_api_key(KEY): "billing"}


class Asking(EchoService):
    """Notes who called."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Principal | None] = []

    async def _answer(self, request: StringValue) -> StringValue:
        self.callers.append(current_principal())
        return request


async def call(
    service: Asking,
    guard: AnyMiddleware,
    method: Method[Any, Any],
    *headers: str,
    shown: PeerCertificate | None = None,
) -> list[str]:
    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        for value in headers:
            call.headers.add("x-api-key", value)
        return await next(call, request)

    async def show(call: Call, request: Any, next: Handler, /) -> Any:
        call.certificate = shown
        return await next(call, request)

    transport = LocalTransport(service, middleware=[show, guard], timeout=None)
    caller = ChainCaller(transport.invoke, transport="local", middleware=[attach], timeout=None)
    return await call_words(caller, method, "ok")


@every_arity
async def test_right_key_says_who_calls(method: Method[Any, Any]) -> None:
    service = Asking()
    assert await call(service, api_key(KEYS), method, KEY) == ["ok"]
    assert service.callers == [Principal(subject="billing", scheme="api_key")]
    assert current_principal() is None


@every_arity
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        [KEY[:-1]],
        [KEY + " "],
        [KEY.lower()],
        [KEY, KEY],
        [hashed_api_key(KEY)],
        ["x" * 10_000],
    ],
)
async def test_any_other_key_is_refused(method: Method[Any, Any], headers: list[str]) -> None:
    service = Asking()
    with pytest.raises(Error) as refusal:
        await call(service, api_key(KEYS), method, *headers)
    assert (refusal.value.code, refusal.value.reason) == (401, "UNAUTHORIZED")
    assert service.seen == []


async def test_keys_may_be_asked_for() -> None:
    known = Principal(subject="x", scheme="api_key", scopes=frozenset({"read"}))

    async def find(digest: str) -> Principal | None:
        return known if digest == hashed_api_key(KEY) else None

    service = Asking()
    assert await call(service, api_key(find), ALL[0], KEY) == ["ok"]
    assert service.callers == [known]
    with pytest.raises(Error, match="not valid"):
        await call(service, api_key(find), ALL[0], "other")


async def test_caller_without_a_key_is_nobody_where_that_is_allowed() -> None:
    service = Asking()
    assert await call(service, api_key(KEYS, optional=True), ALL[0]) == ["ok"]
    assert service.callers == [None]
    with pytest.raises(Error, match="not valid"):
        await call(service, api_key(KEYS, optional=True), ALL[0], "wrong")


async def test_limits_may_be_each_callers_own() -> None:
    keys: list[str | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        call.peer = "10.0.0.1:4000"
        keys.append(by_principal(call))
        return await next(call, request)

    other = Principal(subject="x" * 1000, scheme="jwt", issuer="https://issuer.test")
    nameless = Principal(subject="", scheme="jwt", issuer="https://issuer.test")
    for principal in (None, Principal(subject="ada", scheme="jwt"), other, nameless):
        chain = [acting(principal), note]
        await call_words(local(EchoService(), middleware=chain), ALL[0], "ok")
    assert keys[:2] == ["10.0.0.1", "jwt\n\nada"]
    assert len(keys[2] or "") == 32
    assert keys[3] == "10.0.0.1"


def acting(principal: Principal | None) -> AnyMiddleware:
    async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
        with acting_as(principal):
            return await next(call, request)

    return authenticate


@pytest.mark.parametrize(
    "keys", [{}, {KEY: "billing"}, {hashed_api_key(KEY): ""}, {1: "billing"}, None, [KEY]]
)
def test_wrong_table_of_keys_is_refused_without_showing_them(keys: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        api_key(keys)
    assert KEY not in str(refusal.value)


@every_arity
@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (PeerCertificate(uris=("spiffe://a/b",), dns_names=("x.test",)), "spiffe://a/b"),
        (PeerCertificate(dns_names=("x.test", "y.test"), common_name="z"), "x.test"),
    ],
)
async def test_certificate_says_who_calls(
    method: Method[Any, Any], shown: PeerCertificate, name: str
) -> None:
    service = Asking()
    assert await call(service, certificate(), method, shown=shown) == ["ok"]
    assert service.callers == [Principal(subject=name, scheme="certificate")]


@every_arity
@pytest.mark.parametrize("shown", [None, PeerCertificate(common_name="root")])
async def test_certificate_without_a_name_is_refused(
    method: Method[Any, Any], shown: PeerCertificate | None
) -> None:
    service = Asking()
    with pytest.raises(Error) as refusal:
        await call(service, certificate(), method, shown=shown)
    assert (refusal.value.code, refusal.value.reason) == (401, "UNAUTHORIZED")
    assert service.seen == []


async def test_name_may_be_taken_from_elsewhere_in_a_certificate() -> None:
    service = Asking()
    guard = certificate(subject=lambda shown: shown.common_name)
    shown = PeerCertificate(common_name="billing")
    assert await call(service, guard, ALL[0], shown=shown) == ["ok"]
    assert service.callers == [Principal(subject="billing", scheme="certificate")]


async def test_caller_without_a_certificate_is_nobody_where_that_is_allowed() -> None:
    service = Asking()
    assert await call(service, certificate(optional=True), ALL[0]) == ["ok"]
    assert service.callers == [None]
