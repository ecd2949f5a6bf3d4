"""Answers kept for others who ask the same."""

from __future__ import annotations

import tracemalloc

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.testing.clock import FakeClock
from kratos_gateway.api.cache_pb2 import Cache
from kratos_gateway.api.circuitbreaker_pb2 import CircuitBreaker, ResponseData
from kratos_gateway.api.extauth_pb2 import ExtAuth
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.ipfilter_pb2 import IpFilter
from kratos_gateway.api.keyauth_pb2 import KeyAuth
from kratos_gateway.backend import WEBSOCKET
from kratos_gateway.exchange import Answer, Body, Handler
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.cache.freshness import Lifetime
from kratos_gateway.middleware.cache.kept import Kept, Shelf
from kratos_gateway.middleware.loads import Loads
from kratos_gateway.middleware.testing import (
    Backend,
    Headers,
    Pieces,
    behind,
    configured,
    request_to,
)

MINUTE = (b"cache-control", b"max-age=60")
ETAG = (b"etag", b'"1"')


class Cached:
    """A back end behind a cache, and the time."""

    def __init__(self, *answers: Answer | Exception, options: Cache | None = None) -> None:
        self.clock = FakeClock()
        self.backend = Backend(*answers)
        context = Context(clock=self.clock)
        self.handler: Handler = behind(self.backend, "cache", options, context=context)

    @property
    def asked(self) -> int:
        return len(self.backend.requests)

    async def get(
        self,
        target: str = "/a",
        headers: Headers = (),
        *,
        method: str = "GET",
        host: str = "a.test",
        body: bytes | Body = b"",
    ) -> Answer:
        request = request_to(target, method=method, headers=headers, host=host, body=body)
        return await self.handler(request)


async def whole(answer: Answer) -> bytes:
    body = answer.body
    if isinstance(body, bytes):
        return body
    pieces: list[bytes] = []
    while piece := await body.read():
        pieces.append(piece)
    return b"".join(pieces)


async def test_answer_is_kept_while_it_is_fresh() -> None:
    cached = Cached(Answer(200, [MINUTE, ETAG], b"first"), Answer(200, [MINUTE], b"second"))
    first = await cached.get()
    assert first.header(b"cache-status") == b"gateway; fwd=miss; stored"
    await cached.clock.advance(59)
    again = await cached.get()
    assert (again.body, cached.asked) == (b"first", 1)
    assert again.headers == [
        MINUTE,
        ETAG,
        (b"age", b"59"),
        (b"cache-status", b"gateway; hit; ttl=1"),
    ]
    await cached.clock.advance(1)
    assert (await cached.get()).body == b"second"


async def test_body_in_pieces_is_kept_when_it_has_ended_and_not_before() -> None:
    pieces = Pieces(b"a", b"b")
    cached = Cached(Answer(200, [MINUTE], pieces), Answer(200, [MINUTE], b"other"))
    first = await cached.get()
    assert (await cached.get("/a", host="A.TEST")).body == b"other"  # while the first is on its way
    assert await whole(first) == b"ab"
    assert (await cached.get()).body == b"ab"
    assert cached.asked == 2


@pytest.mark.parametrize(
    "body",
    [
        Pieces(b"a", ConnectionError("lost")),
        Pieces(b"a" * 6, b"a" * 6),
        Pieces(b"a", trailers=[(b"b", b"1")]),
    ],
)
async def test_body_that_is_lost_too_large_or_with_trailers_is_not_kept(body: Pieces) -> None:
    options = Cache(max_answer_bytes=10)
    cached = Cached(Answer(200, [MINUTE], body), Answer(200, [], b"new"), options=options)
    first = await cached.get()
    try:
        await whole(first)
    except ConnectionError:
        pass
    assert (await cached.get()).body == b"new"


async def test_body_that_is_left_is_not_kept() -> None:
    body = Pieces(b"a", b"b")
    cached = Cached(Answer(200, [MINUTE], body), Answer(200, [], b"new"))
    first = await cached.get()
    assert not isinstance(first.body, bytes)
    await first.body.read()
    first.body.close()
    assert body.closed
    assert (await cached.get()).body == b"new"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"cache-control", b"no-store, max-age=60")],
        [(b"cache-control", b"private, max-age=60")],
        [(b"cache-control", b"no-cache")],
        [(b"cache-control", b"max-age=0")],
        [(b"cache-control", b"max-age=60, s-maxage=0")],
        [(b"cache-control", b"max-age=-1")],
        [MINUTE, (b"age", b"60")],
        [MINUTE, (b"set-cookie", b"a=1")],
        [MINUTE, (b"vary", b"accept, *")],
        [MINUTE, (b"content-type", b"text/event-stream")],
        [(b"expires", b"0")],
        [(b"expires", b"Tue, 14 Nov 2023 22:13:19 GMT")],
    ],
)
async def test_what_may_not_be_kept_is_not(headers: list[tuple[bytes, bytes]]) -> None:
    cached = Cached(Answer(200, headers, b"a"))
    await cached.get()
    assert (await cached.get()).header(b"cache-status") == b"gateway; fwd=miss"
    assert cached.asked == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"cache-control", b"max-age=60, s-maxage=90")], 90),
        ([(b"cache-control", b'public, max-age="60"')], 60),
        ([MINUTE, (b"age", b"20")], 40),
        ([(b"expires", b"Tue, 14 Nov 2023 22:13:50 GMT")], 30),
        (
            [
                (b"date", b"Tue, 14 Nov 2023 22:13:40 GMT"),
                (b"expires", b"Tue, 14 Nov 2023 22:13:50 GMT"),
            ],
            10,
        ),
        ([(b"cache-control", b"max-age=999999999999999")], 3600),
        ([], 5),
    ],
)
async def test_answer_says_how_long_it_is_kept_within_the_limits(
    headers: list[tuple[bytes, bytes]], seconds: int
) -> None:
    options = Cache(default_ttl=Duration(seconds=5), max_ttl=Duration(seconds=3600))
    cached = Cached(Answer(200, headers, b"a"), options=options)
    await cached.get()
    await cached.clock.advance(seconds - 0.5)
    await cached.get()
    assert cached.asked == 1
    await cached.clock.advance(0.5)
    await cached.get()
    assert cached.asked == 2


@pytest.mark.parametrize(("status", "asked"), [(200, 1), (301, 1), (404, 1), (302, 2), (500, 2)])
async def test_some_statuses_are_kept(status: int, asked: int) -> None:
    cached = Cached(Answer(status, [MINUTE], b"a"))
    await cached.get()
    assert ((await cached.get()).status, cached.asked) == (status, asked)


async def test_other_paths_queries_and_hosts_are_others() -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"))
    for target, host in (("/a", "a.test"), ("/b", "a.test"), ("/a?b", "a.test"), ("/a", "b.test")):
        await cached.get(target, host=host)
    assert cached.asked == 4


async def test_forms_of_an_answer_are_told_apart_by_what_it_varies_with() -> None:
    vary = (b"vary", b"Accept-Language")
    cached = Cached(Answer(200, [MINUTE, vary], b"de"), Answer(200, [MINUTE, vary], b"en"))
    german, english = [("Accept-Language", "de")], [("Accept-Language", "en")]
    bodies = [(await cached.get("/a", each)).body for each in (german, english, german, english)]
    assert bodies == [b"de", b"en", b"de", b"en"]
    assert cached.asked == 2


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer a"),
        ("X-Api-Key", "a"),
        ("Range", "bytes=0-1"),
        ("Cache-Control", "no-store"),
        ("Content-Type", "application/grpc"),
    ],
)
async def test_request_of_somebody_or_for_a_part_passes_by(header: tuple[str, str]) -> None:
    cached = Cached(Answer(200, [(b"cache-control", b"public, max-age=60")], b"a"))
    await cached.get()
    assert (await cached.get("/a", [header])).header(b"cache-status") == b"gateway; fwd=bypass"
    assert cached.asked == 2


@pytest.mark.parametrize(
    ("control", "asked"), [(b"max-age=60", 2), (b"public, max-age=60", 1), (b"s-maxage=60", 1)]
)
async def test_request_with_cookies_gets_what_is_for_everybody(control: bytes, asked: int) -> None:
    cached = Cached(Answer(200, [(b"cache-control", control)], b"a"))
    await cached.get()
    await cached.get("/a", [("Cookie", "a=1")])
    assert cached.asked == asked


async def test_what_is_answered_to_a_known_caller_is_nobody_elses() -> None:
    keys = [KeyAuth.Key(name=name, key=f"{name}'s key is long enough") for name in ("ada", "bob")]
    backend = Backend(Answer(200, [MINUTE], b"ada's"), Answer(200, [MINUTE], b"bob's"))
    inner = behind(backend, "cache", context=Context(clock=FakeClock()))
    handler = behind(inner, "keyauth", KeyAuth(keys=keys))
    bodies: list[object] = []
    for name in ("ada", "bob"):
        request = request_to(headers=[("X-Api-Key", f"{name}'s key is long enough")])
        bodies.append((await handler(request)).body)
    assert bodies == [b"ada's", b"bob's"]


async def test_client_may_ask_for_a_new_answer_which_is_then_kept() -> None:
    cached = Cached(Answer(200, [MINUTE], b"old"), Answer(200, [MINUTE], b"new"))
    await cached.get()
    assert (await cached.get("/a", [("Cache-Control", "no-cache")])).body == b"new"
    assert (await cached.get()).body == b"new"
    assert (await cached.get("/a", [("Pragma", "no-cache")])).body == b"new"
    assert cached.asked == 3


async def test_handshake_of_a_websocket_passes_by() -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"))
    await cached.get()
    request = request_to("/a", host="a.test")
    request.options.values[WEBSOCKET] = True
    assert (await cached.handler(request)).header(b"cache-status") == b"gateway; fwd=bypass"


async def test_what_a_proxy_has_told_of_the_client_is_part_of_what_is_asked() -> None:
    moved = Answer(301, [MINUTE, (b"location", b"https://b.test/a")])
    cached = Cached(moved, Answer(200, [MINUTE], b"there"))
    http, https = ("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")
    host = ("X-Forwarded-Host", "b.test")
    asked = ([http, host], [https, host], [https, ("X-Forwarded-Host", "B.test")], [http, host])
    assert [(await cached.get("/a", each)).status for each in asked] == [301, 200, 200, 301]
    assert cached.asked == 2


@pytest.mark.parametrize(
    "control", [b"max-age=-1", b"max-age=0.5", b"max-age=", b"s-maxage=x, max-age=60"]
)
async def test_lifetime_that_is_no_number_is_none(control: bytes) -> None:
    options = Cache(default_ttl=Duration(seconds=60))
    cached = Cached(Answer(200, [(b"cache-control", control)], b"a"), options=options)
    await cached.get()
    await cached.get()
    assert cached.asked == 2


async def test_client_may_ask_for_what_is_kept_alone() -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"))
    only = [("Cache-Control", "only-if-cached")]
    assert (await cached.get("/a", only)).status == 504
    await cached.get()
    assert (await cached.get("/a", only)).body == b"a"


@pytest.mark.parametrize(
    ("known", "status"), [('"1"', 304), ('W/"1"', 304), ('"0", "1"', 304), ("*", 304), ('"2"', 200)]
)
async def test_client_that_has_the_answer_gets_no_body(known: str, status: int) -> None:
    cached = Cached(Answer(200, [MINUTE, ETAG], b"a"))
    await cached.get()
    answer = await cached.get("/a", [("If-None-Match", known)])
    assert (answer.status, answer.body) == (status, b"" if status == 304 else b"a")
    assert answer.header(b"etag") == b'"1"'


@pytest.mark.parametrize(
    ("method", "status", "asked"),
    [("POST", 200, 3), ("DELETE", 204, 3), ("PUT", 500, 2), ("HEAD", 200, 2), ("OPTIONS", 200, 2)],
)
async def test_change_lets_go_what_is_kept(method: str, status: int, asked: int) -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"), Answer(status), Answer(200, [MINUTE], b"b"))
    await cached.get()
    await cached.get(method=method)
    await cached.get()
    assert cached.asked == asked


async def test_least_recently_used_go_first() -> None:
    body = b"x" * 1000
    options = Cache(max_bytes=4000, max_answer_bytes=1000)
    cached = Cached(Answer(200, [MINUTE], body), options=options)
    for target in ("/a", "/b", "/a", "/c"):
        await cached.get(target)
    assert cached.asked == 3  # the second time it was there
    await cached.get("/a")
    assert cached.asked == 3
    await cached.get("/b")
    assert cached.asked == 4


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="must not be more than maxBytes of 10"):
        Cached(options=Cache(max_bytes=10, max_answer_bytes=11))


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 3000), st.booleans()),
        max_size=60,
    )
)
def test_shelf_knows_how_many_bytes_it_holds_and_never_holds_more(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    shelf = Shelf(20_000)
    for now, (key, form, size, dropped) in enumerate(steps):
        sent = [(b"accept", b"%d" % form)]
        request = request_to(headers=[("accept", str(form))])
        answer = Answer(200, [(b"vary", b"accept")])
        kept = Kept.of(request, answer, Lifetime(10, 0, public=False), float(now))
        shelf.put(key, kept.with_body(b"x" * size))
        assert shelf.size <= 20_000
        assert shelf.find(key, sent, float(now)) is not None
        if dropped:
            shelf.drop(key)
            assert shelf.find(key, sent, float(now)) is None
    for key in "abc":
        shelf.drop(key)
    assert (shelf.size, len(shelf)) == (0, 0)


def test_shelf_counts_what_clients_choose_of_what_it_holds() -> None:
    shelf = Shelf(100_000)
    for number in range(100):
        key, chosen = f"/?{number:050000}", f"{number:020000}"
        request = request_to(headers=[("accept", chosen)])
        lifetime = Lifetime(10, 0, public=False)
        kept = Kept.of(request, Answer(200, [(b"vary", b"accept")]), lifetime, 0.0)
        shelf.put(key, kept)
    assert len(shelf) == 1


@pytest.mark.parametrize("body", [b"poison", Pieces(b"poison")])
async def test_answer_to_a_body_is_nobody_elses(body: bytes | Body) -> None:
    cached = Cached(Answer(200, [MINUTE], b"poison"), Answer(200, [MINUTE], b"good"))
    answer = await cached.get(body=body)
    assert answer.header(b"cache-status") == b"gateway; fwd=bypass"
    assert (await cached.get()).body == b"good"
    assert (await cached.get()).body == b"good"
    assert cached.asked == 2


async def test_control_that_nobody_reads_to_its_end_is_taken_for_a_refusal_to_keep() -> None:
    long = (b"cache-control", b"max-age=60" + b", x=1" * 1000 + b", private")
    cached = Cached(Answer(200, [long]))
    answer = await cached.get()
    assert answer.header(b"cache-status") == b"gateway; fwd=miss"
    answer = await cached.get(headers=[("Cache-Control", "a, " * 1000)])
    assert answer.header(b"cache-status") == b"gateway; fwd=bypass"


async def test_endpoints_that_share_a_cache_do_not_answer_for_each_other() -> None:
    made = create(configured("cache"), context=Context())
    one, other = Backend(Answer(200, [MINUTE], b"of one")), Backend(Answer(200, [MINUTE], b"other"))
    first, second = (made.wrap(each, Endpoint(path="/*")) for each in (one, other))
    for _ in range(2):
        assert (await first(request_to())).body == b"of one"
        assert (await second(request_to())).body == b"other"
    await second(request_to(method="DELETE"))  # of what both have
    await first(request_to())
    assert (len(one.requests), len(other.requests)) == (2, 2)


KEYS = KeyAuth(keys=[KeyAuth.Key(name="ada", key="k" * 16)], header="x-door", optional=True)
DOOR = ExtAuth(endpoint=Endpoint(backends=[{"target": "127.0.0.1:1"}]))
LOCAL = IpFilter(allow=["192.0.2.0/24"])


class Doorman(Backend):
    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("name", "options"), [("extauth", DOOR), ("ipfilter", LOCAL), ("keyauth", KEYS)]
)
async def test_what_middleware_further_in_lets_only_some_have_is_not_kept(
    name: str, options: Message
) -> None:
    public = (b"cache-control", b"public, max-age=60")
    backend, doorman = Backend(Answer(200, [public])), Doorman(Answer(204))
    context = Context(upstream=lambda _endpoint: doorman)
    inner = behind(backend, name, options, context=context)
    handler = behind(inner, "cache")
    for _ in range(2):
        answer = await handler(request_to(headers=[("x-door", "k" * 16)]))
        assert answer.header(b"cache-status") == b"gateway; fwd=bypass"
    assert len(backend.requests) == 2


async def test_what_is_answered_while_a_circuit_is_open_is_not_kept() -> None:
    told = CircuitBreaker(ratio=0, response_data=ResponseData(body=b"later"))
    inner = behind(Backend(), "circuitbreaker", told)
    handler = behind(inner, "cache", Cache(default_ttl=Duration(seconds=60)))
    for _ in range(2):
        answer = await handler(request_to())
        assert (answer.body, answer.header(b"cache-status")) == (b"later", b"gateway; fwd=bypass")


async def test_what_a_service_let_somebody_have_is_not_for_others_whom_it_lets_in() -> None:
    backend, doorman = Backend(), Doorman(Answer(204))
    context = Context(upstream=lambda _endpoint: doorman)
    inner = behind(backend, "cache", Cache(default_ttl=Duration(seconds=60)))
    handler = behind(inner, "extauth", DOOR, context=context)
    for name in ("ada", "eve"):
        await handler(request_to(headers=[("x-session", name)]))
    assert len(backend.requests) == 2


def test_what_is_remembered_of_keys_does_not_grow_with_their_length() -> None:
    shelf, loads = Shelf(1_000_000), Loads()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(4096):
        key = f"/?{number:020000}"
        shelf.drop(key)
        loads.pass_by((key, False), 0.0)
        assert loads.passes_by((key, False), 1.0)
        assert not loads.passes_by((key, True), 1.0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4_000_000
