"""Sets of keys that change, are away, or are of somebody who means harm."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jwt.algorithms import ECAlgorithm

from kratos import App
from kratos.errors import ConfigError, Error
from kratos.testing.app import running
from kratos.testing.clock import FakeClock
from kratos.transport.server import Readying, Server
from kratos_jwt import Key, KeySet, KeySource, Verifier, sign
from kratos_jwt.fetching import fetch

URL = "https://issuer.test/jwks"
Pems = dict[str, tuple[bytes, bytes]]


class Issuer:
    """Has keys, signs with them, and is asked for them."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem
        self.ids: list[str] = ["a"]
        self.asked = 0
        self.failure: Exception | None = None
        self.body: bytes | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def key(self, key_id: str | None) -> Key:
        return Key.from_pem(self._pem, key_id=key_id)

    def token(self, key_id: str | None) -> str:
        return sign(self.key(key_id), {"sub": "ada"})

    def jwk(self, key_id: str | None) -> dict[str, Any]:
        loaded: Any = self.key(None)._public  # pyright: ignore[reportPrivateUsage]
        jwk: dict[str, Any] = ECAlgorithm.to_jwk(loaded, as_dict=True)
        return jwk if key_id is None else {**jwk, "kid": key_id}

    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.jwk(key_id) for key_id in self.ids]}).encode()

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.jwks() if self.body is None else self.body


@pytest.fixture
def issuer(pems: Pems) -> Issuer:
    return Issuer(pems["ES256"][0])


@pytest.fixture
def keys(issuer: Issuer, clock: FakeClock) -> KeySet:
    return KeySet(URL, fetch=issuer.fetch, clock=clock)


async def takes(keys: KeySet, token: str) -> bool:
    try:
        await Verifier(keys, required=()).verify(token)
    except Error:
        return False
    return True


async def test_set_is_read_when_the_first_token_comes(keys: KeySet, issuer: Issuer) -> None:
    assert await takes(keys, issuer.token("a"))
    assert await takes(keys, issuer.token("a"))
    assert (issuer.asked, keys.size, keys.age) == (1, 1, 0)


async def test_new_key_is_found_by_the_first_token_that_has_it(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    await keys.refresh()
    issuer.ids = ["a", "b"]
    await clock.advance(10)
    assert await takes(keys, issuer.token("b"))
    assert await takes(keys, issuer.token("a"))
    assert issuer.asked == 2


async def test_invented_keys_do_not_make_others_work(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    await keys.refresh()
    for _ in range(10):
        await clock.advance(1)
        tokens = [issuer.token(f"k{number}") for number in range(20)]
        assert not any(await asyncio.gather(*(takes(keys, token) for token in tokens)))
    assert issuer.asked == 2
    assert keys.size == 1


async def test_calls_that_wait_for_a_set_cause_one_reading(keys: KeySet, issuer: Issuer) -> None:
    issuer.gate.clear()
    waiting = [asyncio.ensure_future(takes(keys, issuer.token("a"))) for _ in range(50)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.asked == 1


async def test_call_that_goes_away_does_not_take_the_reading_along(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    first = asyncio.ensure_future(takes(keys, issuer.token("a")))
    second = asyncio.ensure_future(takes(keys, issuer.token("a")))
    await clock.settle()
    first.cancel()
    await asyncio.wait({first})
    issuer.gate.set()
    assert await second
    assert issuer.asked == 1


async def test_known_key_never_waits(keys: KeySet, issuer: Issuer, clock: FakeClock) -> None:
    await keys.refresh()
    await clock.advance(300)
    issuer.gate.clear()
    assert await takes(keys, issuer.token("a"))
    await clock.settle()
    assert issuer.asked == 2  # for those who come later
    issuer.gate.set()
    await keys.refresh()
    assert keys.age == 0


@pytest.mark.parametrize(
    "trouble",
    [
        {"failure": ConnectionError("refused")},
        {"body": b""},
        {"body": b"<html>"},
        {"body": b"[]"},
        {"body": b"{}"},
        {"body": b'{"keys": {}}'},
        {"body": b'{"keys": []}'},
        {"body": b'{"keys": [{"kty": "RSA"}]}'},
        {"body": b'{"keys": [1, null, "a"]}'},
        {"body": b'{"keys": ' + b"[" * 100_000},
        {"body": b'{"keys": [' + b"{}," * 300 + b"{}]}"},
        {"body": b" " * (256 * 1024 + 1)},
    ],
)
async def test_last_good_set_stays_while_there_is_none(
    keys: KeySet,
    issuer: Issuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    trouble: Mapping[str, Any],
) -> None:
    await keys.refresh()
    for name, value in trouble.items():
        setattr(issuer, name, value)
    await clock.advance(3600)
    assert not await keys.refresh()
    assert "could not be read, its 1 keys stay" in caplog.text
    assert keys.age == 3600
    assert await takes(keys, issuer.token("a"))
    issuer.failure, issuer.body = None, None
    assert await keys.refresh()
    assert keys.age == 0


async def test_place_that_does_not_answer_is_given_up(
    keys: KeySet, issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.gate.clear()
    waiting = asyncio.ensure_future(takes(keys, issuer.token("a")))
    await clock.advance(5)
    assert not await waiting
    assert "it has no keys yet: TimeoutError" in caplog.text
    assert clock.sleepers == 0


async def test_key_that_left_the_set_is_taken_no_more(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    verifier = Verifier(keys, required=(), cache=8)
    token = issuer.token("a")
    await verifier.verify(token)
    issuer.ids = ["b"]
    await keys.refresh()
    with pytest.raises(Error, match="Token is invalid"):
        await verifier.verify(token)


async def test_keys_that_stay_are_the_same_objects(keys: KeySet, issuer: Issuer) -> None:
    verified = await Verifier(keys, required=()).verify(issuer.token("a"))
    before = await keys.find_key(verified.header)
    issuer.ids = ["b", "a"]
    await keys.refresh()
    assert await keys.find_key(verified.header) is before


async def test_bad_keys_of_a_set_are_passed_over(
    keys: KeySet, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    secret = urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    entries = [
        {"kty": "RSA", "kid": "x"},
        {"kty": "oct", "k": secret, "kid": "hs"},
        {**issuer.jwk("enc"), "use": "enc"},
        {**issuer.jwk("none"), "alg": "none"},
        {**issuer.jwk("hs256"), "alg": "HS256"},
        issuer.jwk("a"),
    ]
    issuer.body = json.dumps({"keys": entries}).encode()
    assert await keys.refresh()
    assert keys.size == 1
    assert caplog.text.count("is passed over") == 5
    assert secret not in caplog.text
    forged = sign(Key.from_secret(b"s" * 32, key_id="hs"), {})
    assert not await takes(keys, forged)


async def test_two_keys_of_one_id_are_refused(keys: KeySet, issuer: Issuer) -> None:
    issuer.ids = ["a", "a"]
    assert not await keys.refresh()


async def test_set_of_one_key_without_an_id_is_for_tokens_without_one(
    keys: KeySet, issuer: Issuer
) -> None:
    issuer.body = json.dumps({"keys": [issuer.jwk(None)]}).encode()
    assert await takes(keys, issuer.token(None))
    assert not await takes(keys, issuer.token("a"))


async def test_algorithms_of_a_set_may_be_restricted(issuer: Issuer, clock: FakeClock) -> None:
    keys = KeySet(URL, fetch=issuer.fetch, algorithms=["RS256"], clock=clock)
    assert not await keys.refresh()
    keys = KeySet(URL, fetch=issuer.fetch, algorithms=["RS256", "ES256"], clock=clock)
    assert await takes(keys, issuer.token("a"))


async def test_application_reads_the_set_at_the_start_and_from_time_to_time(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    running = asyncio.ensure_future(keys.start())
    await keys.ready()
    assert issuer.asked == 1
    for number in (2, 3):
        await clock.advance(300)
        assert issuer.asked == number
    assert await takes(keys, issuer.token("a"))
    await keys.stop()
    await running
    await clock.advance(3600)
    assert issuer.asked == 3
    assert clock.sleepers == 0


async def test_set_lives_as_long_as_its_application(issuer: Issuer) -> None:
    with serving(answering(issuer.jwks())) as url:
        keys = KeySet(url)
        async with running(App(name="orders", servers=[keys])):
            assert keys.size == 1
            assert await takes(keys, issuer.token("a"))


async def test_application_starts_though_the_place_is_away(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.failure = ConnectionError("refused")
    running = asyncio.ensure_future(keys.start())
    await keys.ready()
    assert not await takes(keys, issuer.token("a"))
    issuer.failure = None
    await clock.advance(10)
    assert await takes(keys, issuer.token("a"))
    await keys.stop()
    await keys.stop()
    await running


async def test_stop_gives_up_a_reading_that_is_under_way(
    keys: KeySet, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    waiting = asyncio.ensure_future(takes(keys, issuer.token("a")))
    await clock.settle()
    await keys.stop()
    assert not await waiting
    assert clock.sleepers == 0


def test_set_of_keys_is_a_server_and_a_source(keys: KeySet) -> None:
    server: Server = keys
    source: KeySource = keys
    assert isinstance(server, Readying)
    assert isinstance(source, KeySource)


async def test_file_may_hold_secrets_and_changes(
    tmp_path: Path, clock: FakeClock, issuer: Issuer
) -> None:
    file = tmp_path / "keys.json"
    secret = urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    file.write_text(json.dumps({"keys": [{"kty": "oct", "k": secret, "kid": "hs"}]}))
    keys = KeySet(file, clock=clock)
    assert await takes(keys, sign(Key.from_secret(b"s" * 32, key_id="hs"), {}))
    file.write_bytes(issuer.jwks())
    await clock.advance(10)
    assert await takes(keys, issuer.token("a"))
    file.unlink()
    assert not await keys.refresh()
    assert await takes(keys, issuer.token("a"))


async def test_file_that_is_too_long_is_refused(tmp_path: Path, issuer: Issuer) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(issuer.jwks())
    assert not await KeySet(file, max_size=10).refresh()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test/jwks",
        "http://10.0.0.1/jwks",
        "http://127.0.0.1.evil.test/jwks",
        "http://localhost.evil.test/jwks",
        "ftp://issuer.test/jwks",
        "file:///etc/passwd",
        "https:///jwks",
        "https://user:secret@issuer.test/jwks",
        "https://issuer.test:port/jwks",
    ],
)
def test_place_that_cannot_be_trusted_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        KeySet(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/jwks", "http://127.0.0.1/x", "http://[::1]:80/", URL]
)
def test_place_on_this_machine_need_not_be_encrypted(url: str) -> None:
    assert str(KeySet(url)) == f"key set {url}"


def test_trusted_network_may_do_without_encryption() -> None:
    url = "http://issuer.test/jwks"
    assert str(KeySet(url, allow_http=True)) == f"key set {url}"


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"cooldown": -1},
        {"timeout": 0},
        {"max_size": 0},
        {"algorithms": "RS256"},
    ],
)
def test_options_out_of_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        KeySet(URL, **options)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks"
        finally:
            server.shutdown()
            thread.join()


def answering(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


async def test_set_is_read_over_http(issuer: Issuer) -> None:
    with serving(answering(issuer.jwks())) as url:
        keys = KeySet(url)
        assert await takes(keys, issuer.token("a"))


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 401, 404, 500, 503])
async def test_other_answers_are_no_sets(
    issuer: Issuer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    body = b"" if status == 204 else issuer.jwks()
    with serving(answering(body, status=status, headers={"Location": "/other"})) as url:
        assert not await KeySet(url).refresh()
    assert "could not be read" in caplog.text


async def test_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with serving(answering(b" " * 100_000)) as url:
        with pytest.raises(ValueError, match="longer than 99999 bytes"):
            await asyncio.to_thread(fetch, url, timeout=5.0, max_size=99_999)
        assert len(await asyncio.to_thread(fetch, url, timeout=5.0, max_size=100_000)) == 100_000


async def test_nobody_at_the_place_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(answering(b"")) as url:
        pass
    assert not await KeySet(url).refresh()
    assert "it has no keys yet" in caplog.text
