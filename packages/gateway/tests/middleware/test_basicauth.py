"""Requests of those who have a name and a password."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos.offload import CURRENT, Offload, offload
from kratos_gateway.api.basicauth_pb2 import BasicAuth
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.callers import caller_of
from kratos_gateway.middleware.passwords import Hashed, hashed
from kratos_gateway.middleware.testing import Backend, behind, configured, request_to

USERS = [
    BasicAuth.User(name="ada", password="secret:ä"),
    BasicAuth.User(name="bob", scrypt=hashed("builder")),
]


def basic(name: str, password: str) -> list[tuple[str, str]]:
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return [("Authorization", f"Basic {text}")]


@pytest.mark.parametrize(("name", "password"), [("ada", "secret:ä"), ("bob", "builder")])
async def test_who_knows_the_password_is_let_in_by_name_and_without_it(
    name: str, password: str
) -> None:
    backend = Backend()
    options = BasicAuth(users=USERS, subject_header="X-User")
    handler = behind(backend, "basicauth", options)
    for _ in range(2):  # the second is remembered
        sent = [*basic(name, password), ("X-User", "root"), ("X_User", "root")]
        assert (await handler(request_to(headers=sent))).status == 200
        assert backend.last.headers == [(b"x-user", name.encode())]
        who = caller_of(backend.last)
        assert who is not None
        assert (who.subject, who.scheme) == (name, "basic")


@pytest.mark.parametrize(
    "sent",
    [
        [],
        basic("ada", "wrong"),
        basic("bob", "wrong"),
        basic("eve", "builder"),
        basic("", ""),
        [*basic("bob", "builder"), *basic("ada", "guess")],
        basic("ada", "x" * 2000),
        [("Authorization", "Basic %%%")],
        [("Authorization", "Basic YWRh")],
        [("Authorization", "Basic /w==")],
        [("Authorization", "Bearer YWRhOnNlY3JldA==")],
    ],
)
async def test_whoever_does_not_is_asked_for_it(sent: list[tuple[str, str]]) -> None:
    backend = Backend()
    handler = behind(backend, "basicauth", BasicAuth(users=USERS, realm="inner"))
    answer = await handler(request_to(headers=sent))
    assert answer.status == 401
    assert answer.header(b"www-authenticate") == b'Basic realm="inner", charset="UTF-8"'
    assert not backend.requests


@pytest.mark.parametrize("name", ["ada", "bob", "eve"])
async def test_a_wrong_password_takes_as_long_whoever_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = behind(Backend(), "basicauth", BasicAuth(users=USERS))
    computed: list[object] = []
    scrypt = hashlib.scrypt

    def counted(*given: Any, **options: Any) -> bytes:
        computed.append(given)
        return scrypt(*given, **options)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    assert (await handler(request_to(headers=basic(name, "wrong")))).status == 401
    assert len(computed) == 1


async def test_too_many_guesses_at_once_are_answered_503() -> None:
    made = create(configured("basicauth", BasicAuth(users=USERS)), context=Context())
    handler = made.wrap(Backend(), Endpoint())
    guesses = [request_to(headers=basic("bob", str(number))) for number in range(140)]
    answers = [asyncio.ensure_future(handler(each)) for each in guesses]
    done, waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    assert 503 in {task.result().status for task in done}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await made.aclose()


async def test_whoever_guesses_keeps_no_other_from_the_threads_that_all_share() -> None:
    made = create(configured("basicauth", BasicAuth(users=USERS)), context=Context())
    handler = made.wrap(Backend(), Endpoint())
    async with Offload(threads=1, queue=0) as shared:
        before = CURRENT.set(shared)
        guesses = [request_to(headers=basic("bob", str(number))) for number in range(20)]
        answers = asyncio.gather(*(handler(each) for each in guesses))
        assert await offload(str, 7) == "7"  # at once
        assert {answer.status for answer in await answers} == {401}
        CURRENT.reset(before)
    await made.aclose()


async def test_header_may_be_passed_on() -> None:
    backend = Backend()
    handler = behind(backend, "basicauth", BasicAuth(users=USERS, forward=True))
    await handler(request_to(headers=basic("ada", "secret:ä")))
    assert backend.last.header(b"authorization").startswith(b"Basic ")


def test_hash_is_another_each_time_and_tells_its_password() -> None:
    one, two = hashed("builder"), hashed("builder")
    assert one != two
    assert Hashed.parse(one).matches("builder")
    assert not Hashed.parse(two).matches("Builder")


@pytest.mark.parametrize(
    ("users", "complaint"),
    [
        ([], "would let nobody in"),
        ([BasicAuth.User(password="a")], "users[0] needs a name"),
        ([BasicAuth.User(name="a:b", password="a")], "without a colon"),
        ([BasicAuth.User(name="a")], "needs a password, or its scrypt"),
        ([BasicAuth.User(name="a", password="p", scrypt="s")], "needs a password, or"),
        ([BasicAuth.User(name="a", scrypt="$2y$05$abc")], "users[0]: scrypt is what"),
        ([BasicAuth.User(name="a", scrypt="scrypt$1073741824$8$1$AAAA$AAAA")], "scrypt is"),
        ([USERS[0], USERS[0]], "'ada' is given before"),
    ],
)
def test_users_that_cannot_be_meant_are_refused(
    users: list[BasicAuth.User], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        behind(Backend(), "basicauth", BasicAuth(users=users))


def test_realm_that_ends_the_header_is_refused() -> None:
    with pytest.raises(ConfigError, match="realm"):
        behind(Backend(), "basicauth", BasicAuth(users=USERS, realm='a"b'))
