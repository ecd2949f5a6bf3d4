"""Requests of those who have a token."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError, MissingDependency
from kratos.testing.clock import InstantClock
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.jwt_pb2 import Jwt
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware import Context, jwt
from kratos_gateway.middleware.callers import caller_of
from kratos_gateway.middleware.testing import Backend, behind, request_to
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
    cookies = [("Cookie", f"a=b; session={token()}")]
    assert (await handler(request_to(headers=cookies))).status == 200
    assert backend.last.headers == [(b"cookie", b"a=b")]
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
    context = Context(clock=InstantClock(wall=NOW))
    handler = behind(Backend(), "jwt", Jwt(jwks=str(tmp_path / "keys.json")), context=context)
    assert (await handler(request_to(headers=bearer(signed)))).status == 200


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Jwt(), "write jwks, publicKey or secret"),
        (Jwt(secret="short"), "jwt: "),
        (Jwt(public_key="no PEM"), "jwt: "),
        (Jwt(secret=SECRET, leeway=Duration(seconds=-1)), "leeway"),
        (Jwt(secret=SECRET, claim_headers={"sub": "a b"}), "no name of a header"),
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
