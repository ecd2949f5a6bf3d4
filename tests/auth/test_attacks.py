"""Tokens that are made to be taken, and are not: on every arity of every transport."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.auth.opening import TRANSPORTS, Open

from kratos.errors import Error
from kratos.middleware import AnyMiddleware, Handler, recovery
from kratos.testing._guard import call_words
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ALL, EchoService
from kratos.transport import Call
from kratos_jwt import Key, server, sign

MISSING, INVALID = "JWT token is missing", "Token is invalid"
EXPIRED, FAIL = "JWT token has expired", "Fail to parse JWT token "
METHOD = "Wrong signing method"

CLOCK: Final = FakeClock()
NOW: Final = int(CLOCK.wall())
SECRET: Final = "a secret that nobody knows, of some length"


def pems(private: Any) -> tuple[bytes, bytes]:
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return secret, public


RSA_PRIVATE, RSA_PUBLIC = pems(rsa.generate_private_key(65537, 2048))
EC_PRIVATE, EC_PUBLIC = pems(ec.generate_private_key(ec.SECP256R1()))
OTHER_PRIVATE, _ = pems(rsa.generate_private_key(65537, 2048))

KEYS: Final = {
    "rsa": Key.from_pem(RSA_PUBLIC),
    "ec": Key.from_pem(EC_PUBLIC),
    "hs": Key.from_secret(SECRET),
}
CLAIMS: Final = {
    "iss": "https://issuer.test",
    "aud": ["orders", "stock"],
    "sub": "ada",
    "iat": NOW,
    "exp": NOW + 300,
}


def part(data: bytes | Mapping[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs(secret: bytes | str = SECRET) -> Callable[[bytes], bytes]:
    data = secret if isinstance(secret, bytes) else secret.encode()
    return lambda signed: hmac.new(data, signed, hashlib.sha256).digest()


def token(
    header: bytes | Mapping[str, Any] | None = None,
    claims: bytes | Mapping[str, Any] = CLAIMS,
    by: Callable[[bytes], bytes] | None = None,
) -> str:
    """Return what is well signed unless told otherwise, whatever it says."""
    head = {"alg": "HS256", "kid": "hs"} if header is None else header
    signed = f"{part(head)}.{part(claims)}"
    return f"{signed}.{part((by or hs())(signed.encode()))}"


def saying(**changes: Any) -> str:
    return token(claims={**CLAIMS, **changes})


def without(name: str) -> str:
    return token(claims={key: value for key, value in CLAIMS.items() if key != name})


def heading(**members: Any) -> str:
    return token({"alg": "HS256", "kid": "hs", **members})


def respelled(text: str) -> str:
    """Return other base64 for the same bytes: bits of the last character that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text.rpartition(".")[2]) % 4 == 3  # 32 bytes: two bits are over
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
RSA_KEY, EC_KEY = Key.from_pem(RSA_PRIVATE), Key.from_pem(EC_PRIVATE)
RS, ES = {"alg": "RS256", "kid": "rsa"}, {"alg": "ES256", "kid": "ec"}
OWN_JWK = {"kty": "oct", "k": part(b"x" * 32), "kid": "mine"}

TOKENS: Final[dict[str, tuple[str, str]]] = {
    # No signature.
    **{
        f"alg_{name}": (f"{part({'alg': name})}.{part(CLAIMS)}.{SIGNATURE}", INVALID)
        for name in ("none", "None", "NONE", "nOnE", "none ", "", "HS257", "hs256", "ES521")
    },
    "alg_none_unsigned": (f"{part({'alg': 'none'})}.{part(CLAIMS)}.", INVALID),
    "unsigned": (f"{HEAD}.{BODY}.", INVALID),
    "no_third_part": (f"{HEAD}.{BODY}", INVALID),
    "alg_missing": (token({"kid": "hs"}), INVALID),
    "alg_is_a_list": (token({"alg": ["HS256"], "kid": "hs"}), INVALID),
    # Another algorithm than that of the key.
    "rsa_public_key_as_secret": (
        token({"alg": "HS256", "kid": "rsa"}, by=hs(RSA_PUBLIC)),
        METHOD,
    ),
    "ec_public_key_as_secret": (token({"alg": "HS256", "kid": "ec"}, by=hs(EC_PUBLIC)), METHOD),
    "ps_for_rs": (token({"alg": "PS256", "kid": "rsa"}), METHOD),
    "rs512_for_rs256": (
        sign(Key.from_pem(RSA_PRIVATE, algorithms=["RS512"], key_id="rsa"), CLAIMS),
        METHOD,
    ),
    "rs_for_a_secret": (token({"alg": "RS256", "kid": "hs"}), METHOD),
    # A key of the caller's choice.
    **{
        f"kid_{name}": (token({"alg": "HS256", "kid": kid}, by=hs(secret)), INVALID)
        for name, kid, secret in (
            ("unknown", "nobody", SECRET),
            ("path", "../../../../dev/null", ""),
            ("sql", "x' UNION SELECT 'secret", "secret"),
            ("url", "https://evil.test/key", "x" * 32),
            ("empty", "", SECRET),
            ("nul", "hs\0", SECRET),
            ("case", "HS", SECRET),
            ("long", "k" * 600, SECRET),
        )
    },
    "kid_is_a_number": (token({"alg": "HS256", "kid": 1}), INVALID),
    "kid_is_an_object": (token({"alg": "HS256", "kid": {"hs": 1}}), INVALID),
    "kid_of_another_kind": (token({"alg": "RS256", "kid": "ec"}), METHOD),
    "jku": (
        token({"alg": "HS256", "kid": "mine", "jku": "https://evil.test/jwks"}, by=hs(b"x" * 32)),
        INVALID,
    ),
    "x5u": (
        token({**RS, "x5u": "https://evil.test/cert"}, by=Key.from_pem(OTHER_PRIVATE).sign),
        FAIL,
    ),
    "jwk": (token({"alg": "HS256", "kid": "hs", "jwk": OWN_JWK}, by=hs(b"x" * 32)), FAIL),
    "jwk_alone": (token({"alg": "HS256", "jwk": OWN_JWK}, by=hs(b"x" * 32)), FAIL),
    # Another signature.
    "other_key": (token(RS, by=Key.from_pem(OTHER_PRIVATE).sign), FAIL),
    "signature_of_zeros": (token(ES, by=lambda _: bytes(64)), FAIL),
    "signature_in_der_of_zeros": (token(ES, by=lambda _: bytes.fromhex("3006020100020100")), FAIL),
    "signature_too_short": (token(by=lambda signed: hs()(signed)[:16]), FAIL),
    "signature_too_long": (token(by=lambda signed: hs()(signed) + b"\0"), FAIL),
    "signature_of_ec_too_long": (token(ES, by=lambda _: bytes(65)), FAIL),
    "signature_of_rsa_empty": (token(RS, by=lambda _: b"\0"), FAIL),
    "claims_exchanged": (f"{HEAD}.{part({**CLAIMS, 'sub': 'root'})}.{SIGNATURE}", FAIL),
    "header_exchanged": (f"{part({'alg': 'HS256'})}.{BODY}.{SIGNATURE}", FAIL),
    # Another time.
    "expired": (saying(exp=NOW - 1), EXPIRED),
    "expires_now": (saying(exp=NOW), EXPIRED),
    "exp_negative": (saying(exp=-1), EXPIRED),
    "not_yet_valid": (saying(nbf=NOW + 1), EXPIRED),
    "issued_in_the_future": (saying(iat=NOW + 60), FAIL),
    "exp_missing": (without("exp"), FAIL),
    "exp_null": (saying(exp=None), FAIL),
    "exp_text": (saying(exp=str(NOW + 300)), FAIL),
    "exp_true": (saying(exp=True), FAIL),
    "exp_list": (saying(exp=[NOW + 300]), FAIL),
    "exp_nan": (saying(exp=math.nan), INVALID),
    "exp_infinite": (saying(exp=math.inf), INVALID),
    "exp_overflowing": (token(claims=b'{"exp":1e999}'), INVALID),
    "exp_huge": (saying(exp=10**30), FAIL),
    "exp_of_5000_digits": (token(claims=b'{"exp":' + b"9" * 5000 + b"}"), INVALID),
    "nbf_text": (saying(nbf="0"), FAIL),
    # For somebody else.
    "audience": (saying(aud="billing"), FAIL),
    "audiences": (saying(aud=["billing", "ORDERS"]), FAIL),
    "audience_missing": (without("aud"), FAIL),
    "audience_object": (saying(aud={"orders": 1}), FAIL),
    "audience_not_all_texts": (saying(aud=["orders", 1]), FAIL),
    "audience_within": (saying(aud="orders-of-others"), FAIL),
    "issuer": (saying(iss="https://issuer.test.evil"), FAIL),
    "issuer_list": (saying(iss=["https://issuer.test"]), FAIL),
    "issuer_missing": (without("iss"), FAIL),
    "subject_object": (saying(sub={"a": 1}), FAIL),
    # Another form.
    "oversize": (saying(padding="x" * 8192), INVALID),
    "truncated": (GOOD[:-1], INVALID),
    "truncated_signature": (GOOD[:-4], FAIL),
    "empty_header": (f".{BODY}.{SIGNATURE}", INVALID),
    "empty_payload": (f"{HEAD}..{SIGNATURE}", INVALID),
    "padded": (GOOD + "=", INVALID),
    "other_alphabet": (f"{HEAD}.{BODY}.{'+/' * 21}", INVALID),
    "bits_that_mean_nothing": (respelled(GOOD), INVALID),
    "extra_part": (GOOD + ".x", INVALID),
    "extra_empty_part": (GOOD + ".", INVALID),
    "encrypted": (f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..aaaa.bbbb.cccc", INVALID),
    "encrypted_of_three": (heading(enc="A256GCM"), INVALID),
    "nested": (heading(cty="JWT"), INVALID),
    "nested_by_type": (heading(cty="application/jwt"), INVALID),
    "critical": (heading(crit=["exp"], exp=1), INVALID),
    "critical_empty": (heading(crit=[]), INVALID),
    "unencoded": (heading(b64=False), INVALID),
    "compressed": (heading(zip="DEF"), INVALID),
    "header_no_json": (token(b"{"), INVALID),
    "header_a_list": (token(b'["HS256"]'), INVALID),
    "header_twice": (token(b'{"alg":"HS256","kid":"hs","alg":"none"}'), INVALID),
    "claims_no_json": (token(claims=b"{exp:1}"), INVALID),
    "claims_no_utf8": (token(claims=b'{"sub":"\xff\xfe"}'), INVALID),
    "claims_in_utf16": (token(claims=json.dumps(CLAIMS).encode("utf-16")), INVALID),
    "claims_a_list": (token(claims=b"[1]"), INVALID),
    "claims_a_text": (token(claims=b'"ada"'), INVALID),
    "claims_null": (token(claims=b"null"), INVALID),
    "claims_twice": (token(claims=b'{"sub":"ada","sub":"root"}'), INVALID),
    "claims_twice_within": (token(claims=b'{"act":{"sub":"ada","s\\u0075b":"root"}}'), INVALID),
    "claims_deep": (token(claims=b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"), INVALID),
    "claims_and_more": (token(claims=json.dumps(CLAIMS).encode() + b"{}"), INVALID),
}

HEADERS: Final[dict[str, tuple[list[str], str]]] = {
    "nothing": ([], MISSING),
    "empty": ([""], MISSING),
    "scheme_alone": (["Bearer"], MISSING),
    "no_scheme": ([GOOD], MISSING),
    "basic": ([f"Basic {GOOD}"], MISSING),
    "two_headers": ([f"Bearer {GOOD}", f"Bearer {GOOD}"], INVALID),
    "two_headers_one_other": (["Basic eDp5", f"Bearer {GOOD}"], INVALID),
    "two_in_one": ([f"Bearer {GOOD}, Bearer {GOOD}"], INVALID),
    "two_spaces": ([f"Bearer  {GOOD}"], INVALID),
    "space_within": ([f"Bearer {HEAD}. {BODY}.{SIGNATURE}"], INVALID),
    "something_after": ([f"Bearer {GOOD} x"], INVALID),
    "parameters": ([f'Bearer realm="x", {GOOD}'], INVALID),
    **{name: ([f"Bearer {text}"], message) for name, (text, message) in TOKENS.items()},
}


def saying_who(values: list[str]) -> AnyMiddleware:
    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        for value in values:
            call.headers.add("authorization", value)
        return await next(call, request)

    return attach


def guard(**options: Any) -> AnyMiddleware:
    return server(KEYS, issuer="https://issuer.test", audience=("orders",), clock=CLOCK, **options)


async def refuses(
    opened: Open, values: list[str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service = EchoService()
    async with opened(
        service,
        middleware=[recovery(), guard(cache=8)],
        client_middleware=[saying_who(values)],
    ) as caller:
        for method in ALL:
            with pytest.raises(Error) as refusal:
                await call_words(caller, method, "ok")
            error = refusal.value
            assert (error.code, error.reason) == (401, "UNAUTHORIZED"), method
            assert error.message.strip() == message.strip(), method
            assert (error.metadata, error.details) == ({}, ()), method
    assert service.seen == []
    reasons = [record for record in caplog.records if record.name == "kratos.jwt"]
    assert len(reasons) == len(ALL)
    for secret in (GOOD, SIGNATURE, *[value.rpartition(".")[2] for value in values]):
        assert len(secret) < 16 or secret not in caplog.text


@pytest.mark.parametrize("cache", [0, 8], ids=["", "cached"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_good_token_is_taken(opened: Open, scheme: str, cache: int) -> None:
    attach = saying_who([f"{scheme} {GOOD}"])
    async with opened(
        EchoService(), middleware=[guard(cache=cache)], client_middleware=[attach]
    ) as caller:
        for method in ALL:
            assert await call_words(caller, method, "ok") == ["ok"]


@pytest.mark.parametrize("name", HEADERS)
async def test_attack_is_refused(opened: Open, name: str, caplog: pytest.LogCaptureFixture) -> None:
    await refuses(opened, *HEADERS[name], caplog)


@pytest.mark.parametrize("transport", ["http", "local"])  # gRPC carries no tabs
@pytest.mark.parametrize(("between", "message"), [("\t", MISSING), (" \t", INVALID)])
async def test_tab_is_no_space(
    transport: str, between: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    await refuses(TRANSPORTS[transport], [f"Bearer{between}{GOOD}"], message, caplog)


async def test_good_token_does_not_open_the_door_to_its_forgery(opened: Open) -> None:
    sent: list[str] = []

    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        call.headers.set("authorization", f"Bearer {sent[0]}")
        return await next(call, request)

    forged = f"{HEAD}.{part({**CLAIMS, 'sub': 'root'})}.{SIGNATURE}"
    async with opened(
        EchoService(), middleware=[guard(cache=8)], client_middleware=[attach]
    ) as caller:
        for method in ALL:
            sent[:] = [GOOD]
            assert await call_words(caller, method, "ok") == ["ok"]
            sent[:] = [forged]
            with pytest.raises(Error, match="UNAUTHORIZED"):
                await call_words(caller, method, "ok")


@pytest.mark.parametrize("public", [RSA_PUBLIC, EC_PUBLIC], ids=["rsa", "ec"])
async def test_single_key_takes_no_other_algorithm(opened: Open, public: bytes) -> None:
    attach = saying_who([f"Bearer {token({'alg': 'HS256'}, by=hs(public))}"])
    guarded = server(Key.from_pem(public), clock=CLOCK)
    async with opened(EchoService(), middleware=[guarded], client_middleware=[attach]) as caller:
        for method in ALL:
            with pytest.raises(Error, match=METHOD):
                await call_words(caller, method, "ok")
