"""Sessions, in cookies and in a store, on both engines."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.store import MemoryStore
from kratos.testing.clock import FakeClock
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Redirect, Request, StreamReply, json_reply
from kratos_http.cookies import parse_cookies
from kratos_http.sessions import (
    CookieSessions,
    SessionOptions,
    StoredSessions,
    current_session,
)
from kratos_http.sessions._sealing import Encrypting, Signing
from kratos_http.testing import (
    HANDSHAKE,
    Answer,
    OpenPeer,
    Peer,
    SocketPeer,
    frame,
    next_frame,
    running,
)

KEY = "k" * 32
OLD_KEY = b"o" * 32
NAME = "__Host-session"

Make = Callable[..., Any]


def in_cookies(**options: Any) -> CookieSessions:
    return CookieSessions([KEY], **options)


def encrypted(**options: Any) -> CookieSessions:
    return CookieSessions([KEY], encrypt=True, **options)


def stored(**options: Any) -> StoredSessions:
    clock = options.get("clock") or FakeClock()
    return StoredSessions(MemoryStore(clock=clock), **options)


KINDS = pytest.mark.parametrize("make", [in_cookies, encrypted, stored])


class Browser:
    """Keeps the cookies that it is sent, as a browser does."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.cookies: dict[str, str] = {}

    async def get(self, target: str) -> Answer:
        header = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self._peer.request("GET", target, headers=[("Cookie", header)])
        for line in answer.values("set-cookie"):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in attributes:
                del self.cookies[name]
        return answer


async def put(request: Request) -> Reply:
    current_session()[request.params["name"]] = request.params["value"]
    return await everything(request)


async def everything(_request: Request) -> Reply:
    return json_reply(dict(current_session()))


async def append(_request: Request) -> Reply:
    current_session().setdefault("list", []).append(1)
    return json_reply(None)


async def rotate(_request: Request) -> Reply:
    before = current_session().id
    current_session().rotate()
    return json_reply([before, current_session().id])


async def clear(_request: Request) -> Reply:
    current_session().clear()
    return json_reply(None)


async def untouched(_request: Request) -> Reply:
    return json_reply(None)


async def fail(request: Request) -> Reply:
    how = request.params["how"]
    bad = {"set": {1}, "nan": float("nan"), "large": "x" * 70_000}
    current_session()["how"] = bad.get(how, how)
    if how == "error":
        raise Error(409, "BUSY", "busy")
    if how == "redirect":
        raise Redirect("/all", 303)
    if how == "crash":
        raise KeyError("secret")
    return json_reply(None)


async def stream(_request: Request) -> StreamReply:
    current_session()["streamed"] = True

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"

    return StreamReply(pieces=pieces())


def serving(sessions: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", middleware=[sessions])
    group = server.group()
    group.add("GET", "/put/{name}/{value}", put)
    group.add("GET", "/all", everything)
    group.add("GET", "/append", append)
    group.add("GET", "/rotate", rotate)
    group.add("GET", "/clear", clear)
    group.add("GET", "/untouched", untouched)
    group.add("GET", "/fail/{how}", fail)
    group.add("GET", "/stream", stream, streamed=True)
    server.mount(Mount(services=[EchoService()]))
    return server


@KINDS
async def test_values_are_there_in_the_next_request(open_peer: OpenPeer, make: Make) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        assert (await browser.get("/all")).json() == {}
        await browser.get("/put/a/1")
        await browser.get("/put/b/2")
        assert (await browser.get("/all")).json() == {"a": "1", "b": "2"}
        assert (await Browser(peer).get("/all")).json() == {}


@KINDS
async def test_change_inside_of_a_value_is_kept(open_peer: OpenPeer, make: Make) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        await browser.get("/append")
        await browser.get("/append")
        assert (await browser.get("/all")).json() == {"list": [1, 1]}


@KINDS
async def test_cookie_is_for_this_host_over_tls_and_not_for_scripts(
    open_peer: OpenPeer, make: Make
) -> None:
    async with open_peer(serving(make())) as peer:
        answer = await Browser(peer).get("/put/a/1")
    name, _, rest = answer.header("set-cookie").partition("=")
    assert name == NAME
    assert rest.partition("; ")[2] == "Path=/; Max-Age=1209600; Secure; HttpOnly; SameSite=Lax"
    assert answer.header("vary") == "cookie"


@KINDS
async def test_cookie_is_sent_only_when_the_session_has_changed(
    open_peer: OpenPeer, make: Make
) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        nobody = await browser.get("/all")
        assert (nobody.values("set-cookie"), nobody.header("vary")) == ([], "cookie")
        await browser.get("/put/a/1")
        assert (await browser.get("/all")).values("set-cookie") == []
        assert (await browser.get("/put/a/1")).values("set-cookie") == []
        untouched = await browser.get("/untouched")
        assert (untouched.values("set-cookie"), untouched.header("vary")) == ([], "")


@KINDS
async def test_cleared_session_takes_its_cookie_along(open_peer: OpenPeer, make: Make) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        await browser.get("/clear")
        assert browser.cookies == {}
        assert (await browser.get("/all")).json() == {}


@KINDS
async def test_rotation_gives_another_id_and_keeps_the_values(
    open_peer: OpenPeer, make: Make
) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        before, after = (await browser.get("/rotate")).json()
        assert before != after
        assert (await browser.get("/rotate")).json()[0] == after
        assert (await browser.get("/all")).json() == {"a": "1"}


async def test_planted_id_leads_nowhere_once_it_was_rotated(open_peer: OpenPeer) -> None:
    async with open_peer(serving(stored())) as peer:
        victim, attacker = Browser(peer), Browser(peer)
        await attacker.get("/put/a/1")
        victim.cookies = dict(attacker.cookies)
        await victim.get("/rotate")
        await victim.get("/put/user/7")
        assert (await attacker.get("/all")).json() == {}
        assert (await victim.get("/all")).json() == {"a": "1", "user": "7"}


async def test_made_up_id_is_not_taken_over(open_peer: OpenPeer) -> None:
    async with open_peer(serving(stored())) as peer:
        browser = Browser(peer)
        browser.cookies[NAME] = "a" * 43
        await browser.get("/put/a/1")
        assert browser.cookies[NAME] != "a" * 43


@KINDS
@pytest.mark.parametrize("how", ["error", "redirect"])
async def test_errors_and_redirects_keep_what_was_changed(
    open_peer: OpenPeer, make: Make, how: str
) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        assert (await browser.get(f"/fail/{how}")).status in (303, 409)
        assert (await browser.get("/all")).json() == {"how": how}


@KINDS
@pytest.mark.parametrize("how", ["crash", "set", "nan", "large"])
async def test_what_cannot_be_kept_fails_the_call_and_leaves_the_session_as_it_was(
    open_peer: OpenPeer, make: Make, how: str
) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        answer = await browser.get(f"/fail/{how}")
        assert (answer.status, answer.values("set-cookie")) == (500, [])
        assert (await browser.get("/all")).json() == {"a": "1"}


class BrokenStore(MemoryStore):
    """Keeps nothing."""

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        raise Error(503, "STORE", "the store is down")


def wsgi(_environ: dict[str, Any], start: Any) -> list[bytes]:
    current_session()["a"] = 1
    start("200 OK", [])
    return [b"done"]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    current_session()["a"] = 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.parametrize("mount", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (lambda: StoredSessions(BrokenStore()), (503, "STORE")),
        (lambda: CookieSessions(["k" * 32], max_size=10), (500, "UNKNOWN")),
    ],
)
async def test_mounted_application_whose_session_cannot_be_kept_has_failed(
    open_peer: OpenPeer, mount: str, sessions: Any, told: tuple[int, str]
) -> None:
    server = HttpServer("127.0.0.1:0")
    if mount == "wsgi":
        server.mount_wsgi("/", wsgi, middleware=[sessions()])
    else:
        server.mount_asgi("/", asgi, middleware=[sessions()])
    server.mount(Mount())
    async with open_peer(server) as peer:
        answer = await peer.request("GET", "/")
    assert (answer.status, answer.json()["reason"]) == told
    assert answer.values("set-cookie") == []


@KINDS
async def test_stream_sends_the_cookie_with_its_headers(open_peer: OpenPeer, make: Make) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        assert (await browser.get("/stream")).body == b"a"
        assert (await browser.get("/all")).json() == {"streamed": True}


class Remembering(EchoService):
    """Counts its calls in the session."""

    async def watch(self, request: Any, /) -> AsyncIterator[Any]:
        session = current_session()
        session["calls"] = session.get("calls", 0) + 1
        yield request
        session["late"] = True

    async def chat(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        session = current_session()
        yield await anext(requests)
        session["calls"] = 0


def remembering(sessions: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", middleware=[sessions])
    server.mount(Mount(services=[Remembering()]))
    return server


@KINDS
async def test_events_send_the_cookie_and_refuse_a_later_change(
    open_peer: OpenPeer, make: Make
) -> None:
    async with open_peer(remembering(make())) as peer:
        headers = [("Content-Type", "application/json")]
        answer = await peer.request("POST", "/kratos.testing/watch", headers=headers, body=b'"a"')
    assert answer.header("set-cookie").startswith(NAME)
    assert b"event: message" in answer.body
    assert b"event: error" in answer.body


async def test_websocket_may_read_the_session_but_not_change_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(remembering(in_cookies())) as server:
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        answer = await peer.request("GET", "/kratos.testing/chat", headers=HANDSHAKE)
        assert answer.status == 101
        await peer.send(frame(1, b'"a"'))
        assert await next_frame(peer) == (1, b'"a"')
        _, ended = await next_frame(peer)
        await peer.aclose()
    assert b"error" in ended
    assert "can no longer be changed" in caplog.text


@KINDS
@pytest.mark.parametrize("times", ["max_age", "lifetime"])
async def test_session_expires(open_peer: OpenPeer, make: Make, times: str) -> None:
    clock = FakeClock()
    lifetime = times == "lifetime"
    options = SessionOptions(lifetime=100.0) if lifetime else SessionOptions(max_age=100.0)
    async with open_peer(serving(make(clock=clock, options=options))) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        await clock.advance(99)
        assert (await browser.get("/all")).json() == {"a": "1"}
        await clock.advance(1)
        answer = await browser.get("/all")
        assert (answer.status, answer.json()) == (200, {} if lifetime else {"a": "1"})
        await clock.advance(100)
        assert (await browser.get("/all")).json() == {}


@KINDS
async def test_session_that_is_used_is_renewed_once_a_tenth_of_its_time_is_over(
    open_peer: OpenPeer, make: Make
) -> None:
    clock = FakeClock()
    options = SessionOptions(max_age=100.0)
    async with open_peer(serving(make(clock=clock, options=options))) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        await clock.advance(10)
        assert (await browser.get("/all")).values("set-cookie") == []
        await clock.advance(1)
        assert len((await browser.get("/all")).values("set-cookie")) == 1
        await clock.advance(99)
        assert (await browser.get("/all")).json() == {"a": "1"}


@pytest.mark.parametrize("encrypt", [False, True])
async def test_older_key_is_accepted_and_the_first_one_takes_over(
    open_peer: OpenPeer, encrypt: bool
) -> None:
    cookies: dict[str, str] = {}
    rotations: list[list[str | bytes]] = [[OLD_KEY], [KEY, OLD_KEY], [KEY]]
    for keys in rotations:
        async with open_peer(serving(CookieSessions(keys, encrypt=encrypt))) as peer:
            browser = Browser(peer)
            browser.cookies = cookies
            if keys == [OLD_KEY]:
                await browser.get("/put/a/1")
            assert (await browser.get("/all")).json() == {"a": "1"}
            cookies = browser.cookies
    async with open_peer(serving(CookieSessions([OLD_KEY], encrypt=encrypt))) as peer:
        browser = Browser(peer)
        browser.cookies = cookies
        answer = await browser.get("/all")
    assert (answer.status, answer.json()) == (200, {})


@pytest.mark.parametrize("sealing", [Signing, Encrypting])
def test_no_character_of_a_cookie_may_be_changed_or_missing(sealing: Any) -> None:
    opener = sealing([KEY], NAME)
    good = opener.seal(b'["i",1,1,{}]')
    # The last character of base64 has bits that stand for nothing.
    for index in range(len(good) - 1):
        flipped = "A" if good[index] != "A" else "B"
        assert opener.open(good[:index] + flipped + good[index + 1 :]) is None
        assert opener.open(good[:index]) is None


@KINDS
@pytest.mark.parametrize("text", ["", "x", "a.b", "." * 44, "A" * 43, "A" * 9000, "%00"])
async def test_flawed_cookie_is_an_empty_session(
    open_peer: OpenPeer, make: Make, text: str
) -> None:
    async with open_peer(serving(make())) as peer:
        browser = Browser(peer)
        browser.cookies[NAME] = text
        answer = await browser.get("/all")
        assert (answer.status, answer.json()) == (200, {})
        assert browser.cookies == ({} if text else {NAME: ""})
        await browser.get("/put/a/1")
        assert (await browser.get("/all")).json() == {"a": "1"}


@KINDS
@given(text=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=200))
async def test_no_cookie_is_too_odd_to_be_read(make: Make, text: str) -> None:
    assert await make().load(text) is None


async def test_cookie_of_another_name_or_kind_is_not_accepted() -> None:
    other = in_cookies(options=SessionOptions(name="other"))
    sealed = Signing([KEY], NAME).seal(b'["i",1,1,{}]')
    assert await in_cookies().load(sealed) is not None
    assert await other.load(sealed) is None
    assert await encrypted().load(sealed) is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'["i",1,1,[]]', b"[1,1,1,{}]", b'["i","a",1,{}]', b"[" * 5000),
        b'["i",1,%b,{}]' % (b"9" * 400),
    ],
)
async def test_signed_text_of_other_software_is_an_empty_session(content: bytes) -> None:
    sessions = in_cookies(max_size=100_000)
    assert await sessions.load(Signing([KEY], NAME).seal(content)) is None
    assert await encrypted().load(Encrypting([KEY], NAME).seal(content)) is None


async def test_signed_cookie_can_be_read_and_an_encrypted_one_cannot(open_peer: OpenPeer) -> None:
    shown: list[bytes] = []
    for make in (in_cookies, encrypted):
        async with open_peer(serving(make())) as peer:
            browser = Browser(peer)
            await browser.get("/put/secret/plan")
            text = browser.cookies[NAME].partition(".")[0]
            shown.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert b"plan" in shown[0]
    assert b"plan" not in shown[1]


@pytest.mark.parametrize("keys", [[], "k" * 40, ["short"], [KEY, b"short"]])
@pytest.mark.parametrize("encrypt", [False, True])
def test_missing_or_short_keys_are_refused(keys: Any, encrypt: bool) -> None:
    with pytest.raises(ConfigError, match="key"):
        CookieSessions(keys, encrypt=encrypt)


@pytest.mark.parametrize("wrong", [{"max_age": 0}, {"lifetime": 0.5}, {"name": "a b"}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SessionOptions(**wrong)


def test_cookie_that_is_not_secure_has_no_prefix() -> None:
    options = SessionOptions(secure=False, persistent=False)
    assert options.cookie("x").header() == "session=x; Path=/; HttpOnly; SameSite=Lax"


def test_code_outside_of_the_middleware_is_told_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="CookieSessions"):
        current_session()


async def test_name_that_is_no_text_is_refused(open_peer: OpenPeer) -> None:
    server = HttpServer("127.0.0.1:0", middleware=[in_cookies()])

    @server.route("GET", "/")
    async def handler(_request: Request) -> Reply:
        name: Any = 1
        with pytest.raises(TypeError, match="names are texts"):
            current_session()[name] = 1
        assert "Session of 0" in repr(current_session())
        return json_reply(current_session().is_new)

    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        assert (await peer.request("GET", "/")).json() is True


class Watched(MemoryStore):
    """Shows what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        self.kept[key] = value
        await super().set(key, value, ttl=ttl)


async def test_store_holds_no_key_that_opens_a_session(open_peer: OpenPeer) -> None:
    store = Watched()
    async with open_peer(serving(StoredSessions(store))) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
    secret = browser.cookies[NAME]
    assert store.kept
    assert secret not in repr(store.kept)
    assert parse_cookies([f"{NAME}={secret}"]) == browser.cookies


@pytest.mark.parametrize("rotates", [False, True])
async def test_request_under_way_does_not_bring_back_a_session_that_has_ended(
    open_peer: OpenPeer, *, rotates: bool
) -> None:
    store = Watched()
    server = HttpServer("127.0.0.1:0", middleware=[StoredSessions(store)])

    @server.route("GET", "/put")
    async def first(_request: Request) -> Reply:
        current_session()["a"] = 1
        return json_reply(None)

    @server.route("GET", "/late")
    async def late(_request: Request) -> Reply:
        current_session()["a"] = 2
        if rotates:
            current_session().rotate()
        for key in store.kept:  # as a request at the same time does that logs out
            await store.delete(key)
        return json_reply(None)

    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        browser = Browser(peer)
        await browser.get("/put")
        await browser.get("/late")
    assert (len(store), browser.cookies) == (0, {})


async def test_sessions_may_share_a_store_with_other_uses(open_peer: OpenPeer) -> None:
    store = MemoryStore()
    async with open_peer(serving(StoredSessions(store))) as peer:
        await Browser(peer).get("/put/a/1")
    assert [key.partition(":")[0] for key in store] == ["session"]


async def test_requests_of_one_session_at_a_time_do_not_lose_it(open_peer: OpenPeer) -> None:
    class Contended(MemoryStore):
        """Another request always writes just before this one."""

        others = 0

        async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
            if self.others < 3:
                self.others += 1
                await self.set(key, b"written by request %d" % self.others, ttl=ttl)
            return await super().replace(key, value, expected=expected, ttl=ttl)

    store = Contended()
    async with open_peer(serving(StoredSessions(store))) as peer:
        browser = Browser(peer)
        await browser.get("/put/a/1")
        await browser.get("/put/b/2")
        assert (await browser.get("/all")).json() == {"a": "1", "b": "2"}
    assert store.others == 3


@pytest.mark.parametrize("make", [in_cookies, stored])
def test_sessions_without_room_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError):
        make(max_size=0)
