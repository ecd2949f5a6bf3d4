"""Middleware of both sides: what Go Kratos' own tests check, and what goes beyond."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from pydantic import BaseModel

from kratos.errors import ConfigError, Error
from kratos.middleware import AnyMiddleware, Handler, authorize, scopes
from kratos.principal import Principal, current_principal
from kratos.testing._guard import call_words
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ALL, CHAT, ECHO, WATCH, EchoService, text
from kratos.transport import Call, ChainCaller, Header, Method, Side
from kratos_jwt import (
    Key,
    Refused,
    TokenHeader,
    Verified,
    Verifier,
    bearer,
    client,
    cookie,
    current_claims,
    current_header,
    server,
    sign,
    subprotocol,
)

Chained = Callable[..., ChainCaller]

every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])

KEY = Key.from_secret("a secret of the tests, long enough for all of them")
OTHER = Key.from_secret("another secret, and long enough for all the tests")


class Asking(EchoService):
    """Notes what it learns of who calls."""

    def __init__(self) -> None:
        super().__init__()
        self.learned: list[tuple[dict[str, Any], Principal | None]] = []

    async def _answer(self, request: StringValue) -> StringValue:
        if request.value != "hang":
            self.learned.append((current_claims(), current_principal()))
        return await super()._answer(request)


def headed(*pairs: tuple[str, str]) -> AnyMiddleware:
    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        for name, value in pairs:
            call.headers.add(name, value)
        return await next(call, request)

    return attach


def authorization(claims: dict[str, Any], key: Key = KEY) -> AnyMiddleware:
    return headed(("authorization", f"Bearer {sign(key, claims)}"))


def part(token: str, number: int) -> Any:
    text = token.split(".")[number]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def refused(caller: ChainCaller, method: Method[Any, Any] = ECHO) -> str:
    with pytest.raises(Error) as refusal:
        await call_words(caller, method, "ok")
    assert (refusal.value.code, refusal.value.reason) == (401, "UNAUTHORIZED")
    return refusal.value.message


@every_arity
async def test_claims_of_the_client_reach_the_handler(
    chained: Chained, method: Method[Any, Any], clock: FakeClock
) -> None:
    service = Asking()
    claims = {"sub": "ada", "iss": "test", "scope": "read write", "roles": ["clerk"]}
    caller = chained(
        service,
        server=[server(KEY, clock=clock)],
        client=[client(KEY, claims=claims, clock=clock)],
    )
    assert await call_words(caller, method, "ok") == ["ok"]
    now = int(clock.wall())
    ((found, principal),) = service.learned
    assert found == {**claims, "iat": now, "exp": now + 60}
    assert principal == Principal(
        subject="ada",
        scheme="jwt",
        issuer="test",
        scopes=frozenset({"read", "write"}),
        roles=frozenset({"clerk"}),
        claims=found,
        expires_at=now + 60,
    )
    assert current_principal() is None
    with pytest.raises(Error, match="JWT token is missing"):
        current_claims()


async def test_claims_of_10000_calls_at_once_do_not_mix(chained: Chained) -> None:
    wrong: list[str] = []
    objects: set[int] = set()
    keep: list[Any] = []

    class Waiting(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            before = current_claims()
            await asyncio.sleep(0)
            claims = current_claims()
            if claims is not before or claims["sub"] != request.value:
                wrong.append(request.value)
            keep.append(claims)
            objects.add(id(claims))
            return request

    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        call.headers.set("authorization", f"Bearer {sign(KEY, {'sub': request.value})}")
        return await next(call, request)

    caller = chained(Waiting(), server=[server(KEY, required=())], client=[attach])
    calls = [caller.unary(ECHO, text(str(number)), None) for number in range(10_000)]
    replies = await asyncio.gather(*calls)
    assert [reply.value for reply in replies] == [str(number) for number in range(10_000)]
    assert wrong == []
    assert len(objects) == 10_000


async def test_token_is_asked_for_exp_unless_told_otherwise(chained: Chained) -> None:
    def caller(**options: Any) -> ChainCaller:
        return chained(
            EchoService(), server=[server(KEY, **options)], client=[client(KEY, lifetime=None)]
        )

    assert await refused(caller()) == "Fail to parse JWT token "
    assert await call_words(caller(required=()), ECHO, "ok") == ["ok"]
    assert await refused(caller(required=["jti"])) == "Fail to parse JWT token "


async def test_token_of_the_client_without_claims_is_that_of_go() -> None:
    calls: list[Call] = []
    await _signed(client(KEY, lifetime=None), calls)
    token = calls[0].headers.get("authorization")
    assert token.startswith("Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.")


async def _signed(middleware: Any, calls: list[Call], side: Side = Side.CLIENT) -> Any:
    async def note(call: Call, request: Any) -> Any:
        calls.append(call)
        return request

    call = Call(ECHO, side=side, transport="test", headers=Header())
    return await middleware(call, text("x"), note)


async def test_client_adds_members_to_the_header_and_replaces_what_is_there() -> None:
    calls: list[Call] = []
    key = Key.from_secret("a secret of the tests, long enough for all of them", key_id="k")
    signed = client(key, token_header={"x": 1})
    for _ in range(2):
        await _signed(signed, calls)
    values = calls[0].headers.values("authorization")
    assert len(values) == 1
    assert part(values[0].removeprefix("Bearer "), 0) == {
        "alg": "HS256",
        "typ": "JWT",
        "kid": "k",
        "x": 1,
    }


@pytest.mark.parametrize("name", ["alg", "crit", "b64"])
def test_client_lets_nobody_change_how_a_token_is_signed(name: str) -> None:
    with pytest.raises(ConfigError, match="how a token is signed"):
        client(KEY, token_header={name: "none"})


async def test_client_signs_anew_for_each_call_unless_told_otherwise(clock: FakeClock) -> None:
    asked: list[int] = []

    def claims() -> dict[str, Any]:
        asked.append(1)
        return {"jti": str(len(asked))}

    calls: list[Call] = []
    every = client(KEY, claims=claims, clock=clock)
    for _ in range(3):
        await _signed(every, calls)
    assert len({call.headers.get("authorization") for call in calls}) == len(asked) == 3

    asked.clear()
    calls.clear()
    kept = client(KEY, claims=claims, lifetime=60, renew_before=10, clock=clock)
    for seconds in (0, 25, 24, 2):
        await clock.advance(seconds)
        await _signed(kept, calls)
    assert [part(c.headers.get("authorization"), 1)["jti"] for c in calls] == ["1", "1", "1", "2"]


async def test_client_asks_its_provider_for_each_token(chained: Chained) -> None:
    async def later() -> Key:
        return KEY

    for provider in (lambda: KEY, later):
        caller = chained(EchoService(), server=[server(KEY)], client=[client(provider)])
        assert await call_words(caller, ECHO, "ok") == ["ok"]


def _no_key() -> Key:
    raise LookupError("some error")


@pytest.mark.parametrize(
    ("key", "claims", "message"),
    [
        (_no_key, None, "Can not get key while signing token"),
        (lambda: "a text", None, "Can not get key while signing token"),
        (KEY, {"x": object()}, "Can not sign token.Is the key correct?"),
        (KEY, {"x": float("nan")}, "Can not sign token.Is the key correct?"),
        (KEY, lambda: 1 / 0, "Can not sign token.Is the key correct?"),
    ],
)
@every_arity
async def test_client_that_cannot_sign_sends_nothing(
    chained: Chained, method: Method[Any, Any], key: Any, claims: Any, message: str
) -> None:
    service = EchoService()
    caller = chained(service, server=[], client=[client(key, claims=claims)])
    assert await refused(caller, method) == message
    assert service.seen == []


async def test_client_with_a_public_key_from_a_provider_cannot_sign(
    chained: Chained, pems: dict[str, tuple[bytes, bytes]]
) -> None:
    public = Key.from_pem(pems["ES256"][1])
    caller = chained(EchoService(), server=[], client=[client(lambda: public)])
    assert await refused(caller) == "Can not sign token.Is the key correct?"
    with pytest.raises(ConfigError, match="cannot sign"):
        client(public)


@pytest.mark.parametrize("nothing", [None, {}, "secret", [KEY], {"k": "secret"}, {1: KEY}, Key])
def test_server_without_keys_is_refused_where_it_is_made(nothing: Any) -> None:
    with pytest.raises(ConfigError):
        server(nothing)


@pytest.mark.parametrize("nothing", [None, "secret", b"secret", Key])
def test_client_without_a_key_is_refused_where_it_is_made(nothing: Any) -> None:
    with pytest.raises(ConfigError, match="Token provider is missing"):
        client(nothing)


@pytest.mark.parametrize(
    "options",
    [
        {"leeway": -1},
        {"leeway": "5s"},
        {"cache": "1"},
        {"leeway": 1e9},
        {"max_age": 0},
        {"max_size": 0},
        {"cache": -1},
        {"required": "exp"},
        {"issuer": ""},
        {"audience": [1]},
        {"sources": ()},
        {"claims_type": 1},
    ],
)
def test_options_out_of_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        server(KEY, **options)


@pytest.mark.parametrize("options", [{"lifetime": 0}, {"renew_before": -1}, {"renew_before": 60}])
def test_options_of_clients_out_of_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        client(KEY, **options)


async def test_each_side_refuses_to_be_the_other(chained: Chained) -> None:
    one = chained(EchoService(), server=[], client=[server(KEY)])
    other = chained(EchoService(), server=[client(KEY)], client=[])
    for caller in (one, other):
        assert await refused(caller) == "Wrong context for middleware"


@pytest.mark.parametrize(
    ("options", "claims", "message"),
    [
        ({"issuer": "a"}, {"iss": "a"}, ""),
        ({"issuer": "a"}, {"iss": "b"}, "Fail to parse JWT token "),
        ({"issuer": ["a", "b"]}, {"iss": "b"}, ""),
        ({"subject": "a"}, {"sub": "a"}, ""),
        ({"subject": "a"}, {"sub": "b"}, "Fail to parse JWT token "),
        ({"subject": "a"}, {}, "Fail to parse JWT token "),
        ({"issuer": "a", "subject": "b"}, {"iss": "a", "sub": "b"}, ""),
        ({"issuer": "a", "subject": "b"}, {"iss": "a", "sub": "c"}, "Fail to parse JWT token "),
        ({"audience": "a"}, {"aud": ["b", "a"]}, ""),
        ({"required": ["exp", "tenant"]}, {"tenant": 0}, ""),
        ({"required": ["exp", "tenant"]}, {}, "Fail to parse JWT token "),
        ({"leeway": 5}, {"exp": -5}, "JWT token has expired"),
        ({"leeway": 5}, {"exp": -4.5}, ""),
        ({"leeway": 5}, {"nbf": 5}, ""),
        ({"leeway": 5}, {"nbf": 6}, "JWT token has expired"),
        ({"leeway": 5}, {"iat": 5}, ""),
        ({"leeway": 5}, {"iat": 6}, "Fail to parse JWT token "),
        ({"max_age": 30}, {"iat": -29}, ""),
        ({"max_age": 30}, {"iat": -30}, "JWT token has expired"),
        ({"max_age": 30}, {"exp": 99}, "Fail to parse JWT token "),
    ],
)
async def test_claims_are_held_to_the_options(
    clock: FakeClock, options: dict[str, Any], claims: dict[str, Any], message: str
) -> None:
    now = clock.wall()
    shifted = {k: v + now if k in ("exp", "nbf", "iat") else v for k, v in claims.items()}
    token = sign(KEY, {"exp": now + 60, **shifted})
    verifier = Verifier(KEY, clock=clock, **options)
    if message:
        with pytest.raises(Error) as refusal:
            await verifier.verify(token)
        assert refusal.value.message == message
    else:
        assert (await verifier.verify(token)).claims["exp"] == shifted.get("exp", now + 60)


@dataclass(frozen=True)
class Typed:
    sub: str
    tenant: int
    groups: list[str] = field(default_factory=list[str])


class Model(BaseModel):
    sub: str
    tenant: int


@every_arity
@pytest.mark.parametrize("kind", [Typed, Model])
async def test_claims_are_typed_where_asked_for(
    chained: Chained, method: Method[Any, Any], kind: type[Typed | Model]
) -> None:
    seen: list[Any] = []

    class Reading(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            seen.append((current_claims(kind), current_claims()))
            with pytest.raises(TypeError, match="claims_type=int"):
                current_claims(int)
            return request

    def caller(**claims: Any) -> ChainCaller:
        return chained(
            Reading(),
            server=[server(KEY, claims_type=kind)],
            client=[client(KEY, claims=claims)],
        )

    assert await call_words(caller(sub="ada", tenant=7), method, "ok") == ["ok"]
    ((typed, claims),) = seen
    assert isinstance(typed, kind)
    assert (typed.sub, typed.tenant, claims["tenant"]) == ("ada", 7, 7)
    for bad in ({}, {"sub": "ada"}, {"sub": "ada", "tenant": "x"}):
        assert await refused(caller(**bad), method) == "Fail to parse JWT token "
    assert len(seen) == 1


async def test_claims_may_be_made_into_anything_by_a_function(chained: Chained) -> None:
    seen: list[Any] = []

    class Reading(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            seen.append((current_claims(list), current_header().algorithm))
            return request

    caller = chained(Reading(), server=[server(KEY, claims_type=sorted)], client=[client(KEY)])
    await call_words(caller, ECHO, "ok")
    assert seen == [(["exp", "iat"], "HS256")]


@every_arity
async def test_later_middleware_knows_who_calls(chained: Chained, method: Method[Any, Any]) -> None:
    def caller(scope: str) -> ChainCaller:
        return chained(
            EchoService(),
            server=[server(KEY), authorize(scopes("orders:read"))],
            client=[client(KEY, claims={"scope": scope})],
        )

    assert await call_words(caller("orders:read x"), method, "ok") == ["ok"]
    with pytest.raises(Error, match="FORBIDDEN"):
        await call_words(caller("orders:write"), method, "ok")


async def test_caller_may_be_made_of_other_claims(chained: Chained) -> None:
    def make(verified: Verified) -> Principal:
        return Principal(subject=verified.claims["email"], scheme="idp")

    service = Asking()
    guard = server(KEY, principal=make)
    caller = chained(service, server=[guard], client=[client(KEY, claims={"email": "a@b"})])
    await call_words(caller, ECHO, "ok")
    assert service.learned[0][1] == Principal(subject="a@b", scheme="idp")
    caller = chained(service, server=[guard], client=[client(KEY)])
    assert await refused(caller) == "Fail to parse JWT token "


@every_arity
async def test_call_without_a_token_is_nobodys_where_that_is_allowed(
    chained: Chained, method: Method[Any, Any]
) -> None:
    service = EchoService()
    guard = server(KEY, optional=True)
    assert await call_words(chained(service, server=[guard], client=[]), method, "ok") == ["ok"]
    bad = chained(service, server=[guard], client=[client(OTHER)])
    assert await refused(bad, method) == "Fail to parse JWT token "


async def test_call_in_process_is_not_its_callers(chained: Chained) -> None:
    seen: list[Principal | None] = []

    class Inner(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            seen.append(current_principal())
            with pytest.raises(Error, match="JWT token is missing"):
                current_claims()
            return request

    inner = chained(Inner(), server=[server(KEY, optional=True)], client=[])

    class Outer(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            reply = await inner.unary(ECHO, request, None)
            seen.append(current_principal())
            assert current_claims()["sub"] == "ada"
            return reply

    outer = chained(Outer(), server=[server(KEY)], client=[client(KEY, claims={"sub": "ada"})])
    await call_words(outer, ECHO, "ok")
    assert [who and who.subject for who in seen] == [None, "ada"]


async def test_keys_may_be_asked_for_and_their_failure_opens_nothing(
    chained: Chained, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[TokenHeader] = []

    async def find(header: TokenHeader) -> Key | None:
        asked.append(header)
        if header.fields.get("x") == "broken":
            raise ConnectionError("no data base")
        if header.fields.get("x") == "text":
            return "secret"  # type: ignore[return-value]
        return KEY if header.fields.get("x") == "known" else None

    def caller(x: str) -> ChainCaller:
        return chained(
            EchoService(), server=[server(find)], client=[client(KEY, token_header={"x": x})]
        )

    assert await call_words(caller("known"), ECHO, "ok") == ["ok"]
    for name in ("unknown", "broken", "text"):
        assert await refused(caller(name)) == "Token is invalid"
    assert len(asked) == 4
    assert "no data base" in caplog.text


async def test_single_key_with_a_kid_takes_no_other() -> None:
    token = sign(KEY, {}, header={"kid": "b"})
    await Verifier(KEY, required=()).verify(token)
    named = Key.from_secret("a secret of the tests, long enough for all of them", key_id="a")
    with pytest.raises(Error, match="Token is invalid"):
        await Verifier(named, required=()).verify(token)
    await Verifier(named, required=()).verify(sign(KEY, {}))


async def test_token_without_a_kid_means_the_only_key_of_its_algorithm(
    pems: dict[str, tuple[bytes, bytes]],
) -> None:
    curve = Key.from_pem(pems["ES256"][0])
    keys = {"a": KEY, "b": Key.from_pem(pems["ES256"][1])}
    for key in (KEY, curve):
        await Verifier(keys, required=()).verify(sign(key, {}))
    with pytest.raises(Error, match="Token is invalid"):
        await Verifier({**keys, "c": OTHER}, required=()).verify(sign(KEY, {}))


async def test_remembered_tokens_are_bounded_and_still_expire(clock: FakeClock) -> None:
    checked: list[bytes] = []

    class Counting(Key):
        def verify(self, algorithm: str, signed: bytes, signature: bytes, /) -> bool:
            checked.append(signed)
            return super().verify(algorithm, signed, signature)

    key = Counting.from_secret("a secret of the tests, long enough for all of them")
    verifier = Verifier(key, cache=2, clock=clock)
    tokens = [sign(KEY, {"exp": clock.wall() + 60, "n": n}) for n in range(3)]
    first, second = [(await verifier.verify(tokens[0])).claims for _ in range(2)]
    assert first == second
    assert first is not second
    assert len(checked) == 1
    for number in (1, 0, 2, 0, 1):
        await verifier.verify(tokens[number])
    assert len(checked) == 4  # 1 was the one least used when 2 came
    await clock.advance(60)
    with pytest.raises(Error, match="expired"):
        await verifier.verify(tokens[0])
    bad = sign(OTHER, {"exp": clock.wall() + 60})
    for _ in range(2):
        with pytest.raises(Error, match="Fail to parse"):
            await verifier.verify(bad)
    assert len(checked) == 6


async def test_remembered_token_is_forgotten_with_its_key() -> None:
    keys = {"k": KEY}
    verifier = Verifier(lambda header: keys[header.key_id or ""], cache=8, required=())
    token = sign(KEY, {}, header={"kid": "k"})
    await verifier.verify(token)
    keys["k"] = OTHER
    with pytest.raises(Error, match="Fail to parse"):
        await verifier.verify(token)


@pytest.mark.parametrize("method", [WATCH, CHAT])
async def test_stream_may_be_ended_when_its_token_expires(
    chained: Chained, method: Method[Any, Any], clock: FakeClock
) -> None:
    service = EchoService()
    caller = chained(
        service,
        server=[server(KEY, end_streams=True, leeway=5, clock=clock)],
        client=[client(KEY, lifetime=60, clock=clock)],
    )
    call = asyncio.ensure_future(call_words(caller, method, "hang"))
    await service.entered.wait()
    await clock.advance(64)
    assert not call.done()
    await clock.advance(1)
    with pytest.raises(Error, match="JWT token has expired") as refusal:
        await call
    assert refusal.value.code == 401
    assert service.interrupted == 1
    assert clock.sleepers == 0


@every_arity
async def test_stream_that_ends_in_time_leaves_nothing_behind(
    chained: Chained, method: Method[Any, Any], clock: FakeClock
) -> None:
    guard = server(KEY, end_streams=True, clock=clock)
    caller = chained(EchoService(), server=[guard], client=[client(KEY, clock=clock)])
    assert await call_words(caller, method, "a") == ["a"]
    with pytest.raises(Error, match="BUSY"):
        await call_words(caller, method, "fail")
    assert clock.sleepers == 0


async def test_stream_outlives_its_token_by_default(chained: Chained, clock: FakeClock) -> None:
    caller = chained(
        EchoService(),
        server=[server(KEY, clock=clock)],
        client=[client(KEY, lifetime=60, clock=clock)],
    )
    async with caller.bidi_stream(CHAT, None) as stream:
        await stream.send(text("a"))
        assert (await stream.__anext__()).value == "a"
        await clock.advance(120)
        await stream.send(text("b"))
        assert (await stream.__anext__()).value == "b"
        await stream.end()
        assert [reply async for reply in stream] == []


async def test_timeout_of_a_handler_is_not_taken_for_that_of_its_token(
    chained: Chained, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(EchoService):
        async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            if request.value:
                raise TimeoutError("of the handler")
            yield request

    guard = server(KEY, end_streams=True, clock=clock)
    caller = chained(Late(), server=[guard], client=[client(KEY, clock=clock)])
    with caplog.at_level(logging.CRITICAL), pytest.raises(Error) as failure:
        await call_words(caller, WATCH, "x")
    assert failure.value.code == 500


GOOD = sign(KEY, {"sub": "ada"})


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("authorization", f"Bearer {GOOD}")], "header"),
        ([("cookie", f"a=b; token={GOOD}; c=d")], "cookie"),
        ([("cookie", "a=b"), ("cookie", f'token="{GOOD}"')], "cookie"),
        ([("sec-websocket-protocol", f"kratos.stream.v1, kratos.bearer.{GOOD}")], "protocol"),
        ([("authorization", "Basic eDp5"), ("cookie", f"token={GOOD}")], "cookie"),
    ],
)
async def test_token_may_be_where_browsers_can_put_it(
    chained: Chained, headers: list[tuple[str, str]], found: str
) -> None:
    sources = {"header": bearer(), "cookie": cookie("token"), "protocol": subprotocol()}
    every = server(KEY, required=(), sources=tuple(sources.values()))
    one = server(KEY, required=(), sources=[sources[found]])
    for guard in (every, one):
        caller = chained(EchoService(), server=[guard], client=[headed(*headers)])
        assert await call_words(caller, ECHO, "ok") == ["ok"]
    others = [source for name, source in sources.items() if name != found]
    caller = chained(
        EchoService(),
        server=[server(KEY, required=(), sources=others)],
        client=[headed(*headers)],
    )
    assert await refused(caller) == "JWT token is missing"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([("cookie", f"token={GOOD}; token={GOOD}")], "Token is invalid"),
        ([("cookie", f"token={GOOD}"), ("cookie", "token=x")], "Token is invalid"),
        ([("cookie", "token=")], "JWT token is missing"),
        ([("cookie", "token")], "JWT token is missing"),
        ([("cookie", f"mytoken={GOOD}")], "JWT token is missing"),
        ([("cookie", "token=x.y.z")], "Token is invalid"),
        (
            [("sec-websocket-protocol", f"kratos.bearer.{GOOD}, kratos.bearer.{GOOD}")],
            "Token is invalid",
        ),
        ([("sec-websocket-protocol", "kratos.bearer.")], "JWT token is missing"),
        ([("sec-websocket-protocol", GOOD)], "JWT token is missing"),
    ],
)
async def test_doubtful_token_of_a_browser_is_refused(
    chained: Chained, headers: list[tuple[str, str]], message: str
) -> None:
    guard = server(KEY, required=(), sources=[cookie("token"), subprotocol()])
    caller = chained(EchoService(), server=[guard], client=[headed(*headers)])
    assert await refused(caller) == message


@pytest.mark.parametrize("between", ["\n", "\r\n ", "\0", "\x0b", "\u00a0", "\u2028"])
def test_nothing_but_a_space_is_between_scheme_and_token(between: str) -> None:
    header = Header.received([("authorization", f"Bearer{between}{GOOD}")])
    call = Call(ECHO, side=Side.SERVER, transport="test", headers=header)
    assert bearer()(call) is None


def test_other_header_may_carry_the_token() -> None:
    header = Header.of([("x-token", f"Bearer {GOOD}")])
    call = Call(ECHO, side=Side.SERVER, transport="test", headers=header)
    assert bearer("X-Token")(call) == GOOD
    assert bearer()(call) is None


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b"])
def test_source_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        cookie(name)
    with pytest.raises(ConfigError):
        subprotocol("")


async def test_cause_of_a_refusal_says_why_for_those_who_ask() -> None:
    with pytest.raises(Error) as refusal:
        await Verifier(KEY).verify("x")
    cause = refusal.value.__cause__
    assert isinstance(cause, Refused)
    assert cause.why == "it is not of three parts in base64url"
