"""Requests of those who have a token."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError, MissingDependency
from kratos.log import Level
from kratos.testing.clock import FakeClock, InstantClock
from kratos.testing.log import MemoryLogger
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.jwt_pb2 import Jwt
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware import Context, create, jwt
from kratos_gateway.middleware.callers import caller_of
from kratos_gateway.middleware.testing import Backend, behind, configured, request_to
from kratos_gateway.testing import backend, say
from kratos_jwt import Key, sign

SECRET = "4b7f0d3c6a92e815b0c47d6f1e93a258"
NOW = 1_700_000_000
CLAIMS = {"sub": "ada", "iss": "here", "aud": "gateway", "exp": NOW + 60, "scope": "read write"}


def token(**claims: Any) -> str:
    return sign(Key.from_secret(SECRET), {**CLAIMS, **claims})


def bearer(text: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {text}")]


def guarded(backend: Backend, logger: MemoryLogger | None = None, **options: Any) -> Handler:
    context = Context(clock=InstantClock(wall=NOW), logger=logger or MemoryLogger())
    told = Jwt(secret=SECRET, **options)
    return behind(backend, "jwt", told, context=context)


async def test_who_has_a_token_is_let_in() -> None:
    backend = Backend()
    handler = guarded(backend, issuers=["here"], audiences=["gateway"])
    assert (await handler(request_to(headers=bearer(token())))).status == 200
    who = caller_of(backend.last)
    assert who is not None
    assert (who.subject, who.issuer, who.scopes) == ("ada", "here", frozenset(("read", "write")))
    assert backend.last.header(b"authorization")  # of use further in, unless it is taken off


@pytest.mark.parametrize(
    ("sent", "challenge"),
    [
        ([], b"Bearer"),
        (bearer(token()) * 2, b"Bearer"),
        ([("Authorization", "Basic YTpi")], b"Bearer"),
        (bearer(token(exp=NOW - 1)), b'Bearer error="invalid_token"'),
        (bearer(token(iss="there")), b'Bearer error="invalid_token"'),
        (bearer(token(aud="other")), b'Bearer error="invalid_token"'),
        (bearer(token()[:-4] + "AAAA"), b'Bearer error="invalid_token"'),
        (bearer("no token"), b'Bearer error="invalid_token"'),
        (bearer("x" * 20_000), b'Bearer error="invalid_token"'),
    ],
)
async def test_whoever_has_no_good_one_is_not(
    sent: list[tuple[str, str]], challenge: bytes
) -> None:
    backend = Backend()
    handler = guarded(backend, issuers=["here"], audiences=["gateway"])
    answer = await handler(request_to(headers=sent))
    assert (answer.status, answer.header(b"www-authenticate")) == (401, challenge)
    assert not backend.requests


async def test_why_a_token_is_refused_is_logged_and_the_token_is_not() -> None:
    logger = MemoryLogger()
    sent = token(exp=NOW - 1)
    await guarded(Backend(), logger)(request_to(headers=bearer(sent)))
    [(_, message, fields)] = logger.records
    assert message == "a token is refused"
    assert fields["error"]
    assert sent not in str(fields)


async def test_clocks_may_differ_by_the_leeway() -> None:
    handler = guarded(Backend(), leeway=Duration(seconds=5))
    assert (await handler(request_to(headers=bearer(token(exp=NOW - 4))))).status == 200


async def test_scopes_are_asked_for() -> None:
    assert (await scoped("read")).status == 200
    answer = await scoped("read", "admin")
    assert (answer.status, answer.header(b"www-authenticate")) == (
        403,
        b'Bearer error="insufficient_scope"',
    )
    assert isinstance(answer.body, bytes)
    assert "admin" in json.loads(answer.body)["message"]


async def scoped(*scopes: str) -> Answer:
    return await guarded(Backend(), scopes=scopes)(request_to(headers=bearer(token())))


async def test_token_may_be_in_a_cookie_or_in_the_query() -> None:
    backend = Backend()
    handler = guarded(backend, cookie="session", query="token", strip=True)
    cookies = [("Cookie", f"a=b; session={token()}; c=d")]
    assert (await handler(request_to(headers=cookies))).status == 200
    assert backend.last.headers == [(b"cookie", b"a=b; c=d")]
    alone = [("Cookie", f"session={token()}")]
    assert (await handler(request_to(headers=alone))).status == 200
    assert not backend.last.headers
    assert (await handler(request_to(f"/?a=1&token={token()}"))).status == 200
    assert backend.last.query == "a=1"


async def test_claims_are_told_in_headers_that_clients_cannot_send() -> None:
    backend = Backend()
    headers = {"sub": "X-Sub", "roles": "X-Roles", "admin": "X-Admin", "note": "X-Note"}
    handler = guarded(backend, claim_headers=headers, strip=True, optional=True)
    forged = [("X-Sub", "root"), ("X_Sub", "root"), ("X-Admin", "true"), ("X-Kept", "1")]
    sent = token(roles=["a", "b,c"], note="line\r\nX-Evil: 1")
    await handler(request_to(headers=[*bearer(sent), *forged]))
    assert backend.last.headers == [
        (b"x-kept", b"1"),
        (b"x-note", "line\ufffd\ufffdX-Evil: 1".encode()),
        (b"x-roles", "a,b\ufffdc".encode()),  # one more would be a role that it has not
        (b"x-sub", b"ada"),
    ]
    await handler(request_to(headers=forged))
    assert backend.last.headers == [(b"x-kept", b"1")]
    assert caller_of(backend.last) is None


async def test_keys_may_be_in_a_file(tmp_path: Path) -> None:
    octets = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    keys = {"keys": [{"kty": "oct", "k": octets, "alg": "HS256", "kid": "1"}]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    signed = sign(Key.from_secret(SECRET, key_id="1"), CLAIMS)
    context = Context(clock=FakeClock(epoch=NOW), logger=MemoryLogger())
    handler = behind(Backend(), "jwt", Jwt(jwks=str(tmp_path / "keys.json")), context=context)
    assert (await handler(request_to(headers=bearer(signed)))).status == 200


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "JSON"), ("[]", "a list"), ("{}", "no list 'keys'"), ('{"keys": []}', "no key that can")],
)
def test_a_file_without_keys_is_refused_at_once(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(ConfigError, match=rf": jwt: jwks .*json: .*{complaint}"):
        behind(Backend(), "jwt", Jwt(jwks=str(tmp_path / "keys.json")))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Jwt(), "write jwks, openid, publicKey or secret"),
        (Jwt(secret="short"), "jwt: "),
        (Jwt(public_key="no PEM"), "jwt: "),
        (Jwt(secret=SECRET, leeway=Duration(seconds=-1)), "leeway"),
        (Jwt(secret=SECRET, claim_headers={"sub": "a b"}), "no name of a header"),
        (Jwt(secret=SECRET, refresh=Duration(seconds=5)), "and there is neither"),
        (Jwt(jwks="https://a.test/keys", refresh=Duration()), "refresh must be at least 1 s"),
        (Jwt(jwks="/nonexistent/jwks.json"), r"jwt: jwks cannot be read: .*No such file"),
        (Jwt(jwks="\0"), "jwt: jwks cannot be read"),
        (Jwt(openid="issuer.test"), "openid is the URL of an issuer"),
        (Jwt(openid="http://issuer.test"), "use https"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: Jwt, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "jwt", options)


def test_without_the_package_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(jwt, "find_spec", nothing)
    with pytest.raises(ConfigError, match="pip install kratos-jwt") as raised:
        behind(Backend(), "jwt", Jwt(secret=SECRET))
    assert isinstance(raised.value.__cause__, MissingDependency)


class Issuer:
    """An issuer of OpenID Connect on this machine."""

    def __init__(self) -> None:
        self.url = ""
        self.name = ""
        self.asked: list[str] = []
        self.keys = [jwk("1")]

    async def serve(self, head: Head, wire: Wire) -> None:
        path = head.path.decode()
        self.asked.append(path)
        if path == "/tenant/.well-known/openid-configuration":
            told: Any = {"issuer": self.name or self.url, "jwks_uri": f"{self.place}/keys"}
        else:
            told = {"keys": self.keys}
        await say(wire, 200, json.dumps(told).encode(), ("content-type", "application/json"))

    @property
    def place(self) -> str:
        return self.url.removesuffix("/tenant")


PRIVATE = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("1", "2")}


def jwk(name: str) -> dict[str, str]:
    point = PRIVATE[name].public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(each.to_bytes(32, "big")).decode().rstrip("=")
        for each in (point.x, point.y)
    )
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": name, "x": x, "y": y}


def key(name: str) -> Key:
    pem = PRIVATE[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Key.from_pem(pem, key_id=name)


@asynccontextmanager
async def issuing() -> AsyncGenerator[Issuer]:
    issuer = Issuer()
    async with backend(issuer.serve) as node:
        issuer.url = f"http://{node.address}/tenant"
        yield issuer


def signed(issuer: Issuer, name: str = "1", **claims: Any) -> list[tuple[str, str]]:
    return bearer(sign(key(name), {**CLAIMS, "iss": issuer.url, **claims}))


async def test_keys_of_an_issuer_of_openid_are_where_its_document_says() -> None:
    async with issuing() as issuer:
        context = Context(clock=FakeClock(epoch=NOW), logger=MemoryLogger())
        told = configured("jwt", Jwt(openid=issuer.url, audiences=["gateway"]))
        made = create(told, context=context)
        handler = made.wrap(Backend(), Endpoint())
        assert (await handler(request_to(headers=signed(issuer)))).status == 200
        other = signed(issuer, iss="https://other.test")
        assert (await handler(request_to(headers=other))).status == 401
        assert issuer.asked == ["/tenant/.well-known/openid-configuration", "/keys"]
        await made.aclose()


async def test_document_of_another_issuer_is_not_believed() -> None:
    async with issuing() as issuer:
        issuer.name = "https://other.test"
        context = Context(clock=FakeClock(epoch=NOW), logger=MemoryLogger())
        handler = behind(Backend(), "jwt", Jwt(openid=issuer.url), context=context)
        assert (await handler(request_to(headers=signed(issuer)))).status == 401
        assert "/keys" not in issuer.asked


async def test_new_key_is_found_and_invented_ones_ask_nobody_for_a_while() -> None:
    async with issuing() as issuer:
        clock = FakeClock(epoch=NOW)
        context = Context(clock=clock, logger=MemoryLogger())
        handler = behind(Backend(), "jwt", Jwt(openid=issuer.url), context=context)
        assert (await handler(request_to(headers=signed(issuer)))).status == 200
        issuer.keys = [jwk("2")]
        assert (await handler(request_to(headers=signed(issuer, "2")))).status == 401
        assert len(issuer.asked) == 2
        await clock.advance(11)
        assert (await handler(request_to(headers=signed(issuer, "2")))).status == 200
        assert (await handler(request_to(headers=signed(issuer, "1")))).status == 401
        assert len(issuer.asked) == 4


@pytest.mark.parametrize(("audiences", "warned"), [([], True), (["gateway"], False)])
def test_keys_that_sign_for_others_too_without_an_audience_are_warned_of(
    audiences: list[str],
    warned: bool,
) -> None:
    logger = MemoryLogger()
    told = Jwt(jwks="https://issuer.test/keys", audiences=audiences)
    behind(Backend(), "jwt", told, context=Context(logger=logger))
    assert bool(logger.messages(Level.WARN)) is warned
