"""Tokens that Go Kratos signs are taken here, and ours there; what one refuses, both do."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from google.protobuf.wrappers_pb2 import StringValue
from tests.auth.opening import TRANSPORTS

from kratos import Client, Error
from kratos.middleware import AnyMiddleware, Handler
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Call
from kratos_grpc import GrpcConnector
from kratos_http import HttpConnector
from kratos_jwt import Key, client, current_claims, server, sign

pytestmark = [pytest.mark.go, pytest.mark.slow]

both_transports = pytest.mark.parametrize("transport", ["http", "grpc"])


class Subject(EchoService):
    """Answers with the subject of the token."""

    async def _answer(self, request: StringValue) -> StringValue:
        return text(current_claims()["sub"])


@dataclass(frozen=True)
class Pair:
    """The two keys of an algorithm: what signs, and what verifies."""

    private: Key
    public: Key
    private_file: Path
    public_file: Path


@pytest.fixture(params=["HS256", "RS256", "ES256"])
def algorithm(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pair(algorithm: str, tmp_path: Path) -> Pair:
    return make_pair(algorithm, tmp_path)


def make_pair(algorithm: str, folder: Path) -> Pair:
    private_file, public_file = folder / "private", folder / "public"
    if algorithm == "HS256":
        secret = b"a secret that both sides know, long enough"
        private_file.write_bytes(secret)
        public_file.write_bytes(secret)
        key = Key.from_secret(secret)
        return Pair(key, key, private_file, public_file)
    made: Any = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private_file.write_bytes(private)
    public_file.write_bytes(public)
    return Pair(Key.from_pem(private), Key.from_pem(public), private_file, public_file)


@asynccontextmanager
async def go_server(program: Path, algorithm: str, key: Path) -> AsyncGenerator[Mapping[str, str]]:
    process = await asyncio.create_subprocess_exec(
        *(program, "server", algorithm, key),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    addresses: dict[str, str] = json.loads(await process.stdout.readline())
    try:
        yield addresses
    finally:
        process.stdin.close()
        await process.wait()


async def go_client(
    program: Path, url: str, algorithm: str, key: Path, claims: Mapping[str, Any]
) -> dict[str, Any]:
    transport, _, address = url.partition("://")
    process = await asyncio.create_subprocess_exec(
        *(program, "client", transport, address, algorithm, key, json.dumps(claims)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    told: dict[str, Any] = json.loads(out)
    return told


def client_to(addresses: Mapping[str, str], transport: str, *middleware: AnyMiddleware) -> Client:
    connector = HttpConnector(codec="json") if transport == "http" else GrpcConnector()
    return Client(
        f"{transport}://{addresses[transport]}", transport=connector, middleware=middleware
    )


@both_transports
async def test_token_of_go_is_taken(
    go_auth: Path, transport: str, algorithm: str, pair: Pair
) -> None:
    urls: list[str] = []
    async with TRANSPORTS[transport](Subject(), middleware=[server(pair.public)], urls=urls):
        claims = {"sub": "ada", "exp": int(time.time()) + 60, "aud": ["x"]}
        told = await go_client(go_auth, urls[0], algorithm, pair.private_file, claims)
        assert told == {"reply": "ada"}
        claims["exp"] = 1
        told = await go_client(go_auth, urls[0], algorithm, pair.private_file, claims)
        assert told == {
            "code": 401,
            "reason": "UNAUTHORIZED",
            "message": "JWT token has expired",
        }


@both_transports
async def test_token_of_ours_is_taken_by_go(
    go_auth: Path, transport: str, algorithm: str, pair: Pair
) -> None:
    async with go_server(go_auth, algorithm, pair.public_file) as addresses:
        signed = client(pair.private, claims={"sub": "ada"})
        async with client_to(addresses, transport, signed) as caller:
            reply: StringValue = await caller.unary(ECHO, text("x"), None)
    assert reply.value == "ada"


@both_transports
async def test_go_refuses_with_the_same_words(
    go_auth: Path, transport: str, tmp_path: Path
) -> None:
    pair = make_pair("HS256", tmp_path)
    now = int(time.time())
    good = sign(pair.private, {"sub": "ada", "exp": now + 60})
    other = Key.from_secret(b"another secret, which is long enough too")
    head, body, signature = good.split(".")
    no_json = f"{head}.e30x"
    signed = pair.private.sign(no_json.encode())
    values = {
        "nothing": None,
        "empty": "",
        "scheme": f"Basic {good}",
        "alone": good,
        "no_token": "Bearer",
        "lower": f"bearer {good}",
        "shape": "Bearer x",
        "parts": f"Bearer {good}.x",
        "unsigned": f"Bearer {head}.{body}.",
        "none": f"Bearer eyJhbGciOiJub25lIn0.{body}.{signature}",
        "expired": f"Bearer {sign(pair.private, {'sub': 'ada', 'exp': now - 60})}",
        "early": f"Bearer {sign(pair.private, {'exp': now + 60, 'nbf': now + 30})}",
        "other_key": f"Bearer {sign(other, {'exp': now + 60})}",
        "exp_text": f"Bearer {sign(pair.private, {'exp': 'soon'})}",
        "no_json": f"Bearer {no_json}.{urlsafe_b64encode(signed).decode().rstrip('=')}",
        "spaces": f"Bearer  {good}",
    }
    sent: list[str | None] = []

    async def attach(call: Call, request: Any, next: Handler, /) -> Any:
        if sent[0] is not None:
            call.headers.set("authorization", sent[0])
        return await next(call, request)

    async def answers(caller: Any) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for name, value in values.items():
            sent[:] = [value]
            try:
                said[name] = (await caller.unary(ECHO, text("x"), None)).value
            except Error as error:
                said[name] = (error.code, error.reason, error.message.strip())
        return said

    async with (
        go_server(go_auth, "HS256", pair.public_file) as addresses,
        client_to(addresses, transport, attach) as go,
    ):
        theirs = await answers(go)
    guard = server(pair.public)
    async with TRANSPORTS[transport](
        Subject(), middleware=[guard], client_middleware=[attach]
    ) as caller:
        ours = await answers(caller)
    # The reader of Go comes to the signature, which is not there, before it is strict.
    assert theirs.pop("unsigned")[2] == "Fail to parse JWT token"
    assert ours.pop("unsigned")[2] == "Token is invalid"
    assert ours == theirs
    assert ours["lower"] == "ada"
