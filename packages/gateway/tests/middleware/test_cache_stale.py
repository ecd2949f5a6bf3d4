"""Answers that are no longer fresh, and questions that many ask at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import Error
from kratos.testing.clock import FakeClock
from kratos_gateway.api.cache_pb2 import Cache
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.keyauth_pb2 import KeyAuth
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware import Context, create
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
DATE = (b"last-modified", b"Tue, 14 Nov 2023 22:13:19 GMT")


def control(text: str) -> tuple[bytes, bytes]:
    return (b"cache-control", text.encode())


class Gate(Backend):
    """Answers when it may."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, request: Request, /) -> Answer:
        answer = asyncio.ensure_future(super().__call__(request))
        await asyncio.wait({answer})
        if request.method == "GET":
            await self.open.wait()
        return answer.result()


class Cached:
    """A back end behind a cache, and the time."""

    def __init__(self, *answers: Answer | Exception, **options: Any) -> None:
        self.clock = FakeClock()
        self.backend = Gate(*answers)
        context = Context(clock=self.clock)
        self.made = create(configured("cache", Cache(**options)), context=context)
        self.handler = self.made.wrap(self.backend, Endpoint(path="/*"))

    @property
    def asked(self) -> int:
        return len(self.backend.requests)

    async def get(self, headers: Headers = (), *, method: str = "GET", body: Any = b"") -> Answer:
        return await self.handler(request_to("/a", method=method, headers=headers, body=body))

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)


def told(answer: Answer) -> str:
    """Return what the cache says that it did."""
    return answer.header(b"cache-status").decode().removeprefix("gateway; ")


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_answer_with_a_tag_is_asked_about_and_not_asked_for() -> None:
    renewed = Answer(304, [control("max-age=30"), ETAG, (b"x-new", b"1"), (b"content-type", b"x")])
    cached = Cached(Answer(200, [MINUTE, ETAG, DATE, (b"x-old", b"1")], b"a"), renewed)
    await cached.get()
    await cached.later(61)
    answer = await cached.get([("If-None-Match", '"mine"'), ("A", "b")])
    assert (answer.status, answer.body) == (200, b"a")
    assert told(answer) == "fwd=stale; fwd-status=304; ttl=30"
    assert cached.backend.last.headers == [
        (b"a", b"b"),
        (b"if-none-match", b'"1"'),
        (b"if-modified-since", DATE[1]),
    ]
    again = await cached.get()
    assert told(again) == "hit; ttl=30"
    assert again.headers[:4] == [DATE, (b"x-old", b"1"), control("max-age=30"), ETAG]
    assert again.header(b"x-new") == b"1"
    assert not again.header(b"content-type")
    assert cached.asked == 2


async def test_client_that_has_what_is_still_good_gets_no_body() -> None:
    cached = Cached(Answer(200, [MINUTE, ETAG], b"a"), Answer(304, [MINUTE]))
    await cached.get()
    await cached.later(61)
    answer = await cached.get([("If-None-Match", '"1"')])
    assert (answer.status, answer.body) == (304, b"")


async def test_answer_that_has_changed_takes_the_place_of_the_old_one() -> None:
    cached = Cached(Answer(200, [MINUTE, ETAG], b"old"), Answer(200, [MINUTE], b"new"))
    await cached.get()
    await cached.later(61)
    answer = await cached.get()
    assert (answer.body, told(answer)) == (b"new", "fwd=stale; fwd-status=200; stored")
    assert ((await cached.get()).body, cached.asked) == (b"new", 2)


async def test_what_is_good_for_another_answer_is_not_believed() -> None:
    other = Answer(304, [MINUTE, (b"etag", b'"2"')])
    cached = Cached(Answer(200, [MINUTE, ETAG], b"old"), other, Answer(200, [MINUTE], b"new"))
    await cached.get()
    await cached.later(61)
    assert ((await cached.get()).body, cached.asked) == (b"new", 3)


@pytest.mark.parametrize("header", [control("no-store"), control("private, max-age=60")])
async def test_answer_that_may_be_kept_no_more_is_given_once(header: tuple[bytes, bytes]) -> None:
    renewed = Answer(304, [header])
    cached = Cached(Answer(200, [MINUTE, ETAG], b"old"), renewed, Answer(200, [], b"new"))
    await cached.get()
    await cached.later(61)
    assert (await cached.get()).body == b"old"
    assert (await cached.get()).body == b"new"


async def test_answer_that_may_be_kept_no_more_does_not_serve_where_the_back_end_fails() -> None:
    renewed = Answer(304, [control("no-store")])
    answers = (Answer(200, [MINUTE, ETAG], b"old"), renewed, Answer(503))
    cached = Cached(*answers, stale_if_error=Duration(seconds=600))
    await cached.get()
    await cached.later(61)
    assert (await cached.get()).body == b"old"
    assert (await cached.get()).status == 503


async def test_cookie_that_comes_with_it_is_not_kept_for_others() -> None:
    renewed = Answer(304, [MINUTE, (b"set-cookie", b"a=1")])
    cached = Cached(Answer(200, [MINUTE, ETAG], b"a"), renewed)
    await cached.get()
    await cached.later(61)
    assert not (await cached.get()).header(b"set-cookie")
    assert not (await cached.get()).header(b"set-cookie")
    assert cached.asked == 2


async def test_stale_answer_serves_while_it_is_asked_for_anew_once() -> None:
    header = control("max-age=60, stale-while-revalidate=30")
    cached = Cached(Answer(200, [header], b"old"), Answer(200, [header], b"new"))
    await cached.get()
    await cached.later(61)
    cached.backend.open.clear()
    for _ in range(3):
        answer = await cached.get()
        assert (answer.body, told(answer)) == (b"old", "hit; ttl=-1")
    await settled()
    assert cached.asked == 2
    cached.backend.open.set()
    await settled()
    assert (await cached.get()).body == b"new"
    await cached.made.aclose()


async def test_stale_answer_serves_no_longer_than_it_says_or_the_options() -> None:
    seconds = Duration(seconds=10)
    cached = Cached(
        Answer(200, [MINUTE], b"old"), Answer(200, [], b"new"), stale_while_revalidate=seconds
    )
    await cached.get()
    await cached.later(71)
    assert (await cached.get()).body == b"new"


@pytest.mark.parametrize("more", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
async def test_answer_that_forbids_it_does_not_serve_when_it_is_stale(more: str) -> None:
    seconds = Duration(seconds=100)
    options = {"stale_while_revalidate": seconds, "stale_if_error": seconds}
    kept = Answer(200, [control(f"max-age=60, {more}")], b"old")
    cached = Cached(kept, Answer(503), **options)
    await cached.get()
    await cached.later(61)
    assert (await cached.get()).status == 503


async def test_renewal_that_hangs_or_fails_is_given_up_and_closing_ends_it() -> None:
    header = control("max-age=60, stale-while-revalidate=1000")
    cached = Cached(Answer(200, [header], b"old"), Error(500, "", "no"), Answer(200, [], b"new"))
    await cached.get()
    await cached.later(61)
    await cached.get()
    await settled()
    assert cached.asked == 2
    cached.backend.open.clear()
    await cached.get()
    await settled()
    await cached.later(2)
    await settled()
    await cached.get()
    await settled()
    assert cached.asked == 4
    await cached.made.aclose()


@pytest.mark.parametrize(
    "failure",
    [ConnectionError("gone"), TimeoutError(), Error(503, "", "no"), Answer(502, [], Pieces(b"a"))],
)
async def test_stale_answer_serves_where_the_back_end_fails(failure: Answer | Exception) -> None:
    header = control("max-age=60, stale-if-error=30")
    cached = Cached(Answer(200, [header], b"old"), failure)
    await cached.get()
    await cached.later(61)
    answer = await cached.get()
    assert (answer.status, answer.body, told(answer)) == (200, b"old", "hit; ttl=-1")
    if isinstance(failure, Answer):
        assert isinstance(failure.body, Pieces)
        assert failure.body.closed
    await cached.get()  # by what is stale, while it is asked for behind
    await settled()
    assert cached.asked == 3
    await cached.later(30)
    if isinstance(failure, Answer):
        assert (await cached.get()).status == 502
    else:
        with pytest.raises(type(failure)):
            await cached.get()
    await cached.made.aclose()


@pytest.mark.parametrize("late", [True, False])
async def test_stale_answer_serves_where_the_back_end_is_late_and_not_where_the_client_goes(
    late: bool,
) -> None:
    cached = Cached(Answer(200, [control("max-age=60, stale-if-error=300")], b"old"))
    await cached.get()
    await cached.later(61)
    cached.backend.open.clear()
    request = request_to("/a")
    request.options.is_late = lambda: late
    task = asyncio.ensure_future(cached.handler(request))
    await settled()
    task.cancel()
    await settled()
    assert task.cancelled() is not late
    if late:
        assert task.result().body == b"old"


async def test_errors_of_clients_are_no_failure() -> None:
    cached = Cached(
        Answer(200, [control("max-age=60, stale-if-error=30")], b"old"), Error(403, "", "no")
    )
    await cached.get()
    await cached.later(61)
    with pytest.raises(Error):
        await cached.get()


async def test_many_who_ask_the_same_at_once_are_one_question() -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"))
    cached.backend.open.clear()
    tasks = [asyncio.ensure_future(cached.get()) for _ in range(50)]
    await settled()
    assert cached.asked == 1
    cached.backend.open.set()
    answers = await asyncio.gather(*tasks)
    assert {answer.body for answer in answers} == {b"a"}
    assert [told(answer) for answer in answers[:2]] == [
        "fwd=miss; stored",
        "fwd=miss; collapsed; ttl=60",
    ]
    assert cached.asked == 1


async def test_those_who_wait_do_not_wait_for_a_client_that_reads_slowly() -> None:
    headers = [MINUTE, (b"content-length", b"2")]
    cached = Cached(Answer(200, headers, Pieces(b"a", b"b")))
    cached.backend.open.clear()
    first, second = (asyncio.ensure_future(cached.get()) for _ in range(2))
    await settled()
    cached.backend.open.set()
    assert (await second).body == b"ab"
    assert (await first).body == b"ab"  # whole, as others waited
    assert cached.asked == 1


async def test_answer_whose_end_nobody_knows_is_waited_for_by_nobody() -> None:
    endless = Answer(200, [MINUTE], Pieces(b"a"))
    cached = Cached(endless, Answer(200, [MINUTE], b"own"))
    cached.backend.open.clear()
    first, second = (asyncio.ensure_future(cached.get()) for _ in range(2))
    await settled()
    cached.backend.open.set()
    assert (await first).body is not None
    assert (await second).body == b"own"


async def test_what_is_for_one_alone_is_asked_by_each_and_the_next_ones_wait_for_nobody() -> None:
    cached = Cached(Answer(200, [control("private")], b"a"))
    cached.backend.open.clear()
    tasks = [asyncio.ensure_future(cached.get()) for _ in range(3)]
    await settled()
    assert cached.asked == 1
    cached.backend.open.set()
    await asyncio.gather(*tasks)
    assert cached.asked == 3
    cached.backend.open.clear()
    tasks = [asyncio.ensure_future(cached.get()) for _ in range(3)]
    await settled()
    assert cached.asked == 6
    cached.backend.open.set()
    await asyncio.gather(*tasks)
    await cached.later(61)
    cached.backend.open.clear()
    tasks = [asyncio.ensure_future(cached.get()) for _ in range(3)]
    await settled()
    assert cached.asked == 7  # it may be another one by now
    cached.backend.open.set()
    await asyncio.gather(*tasks)


async def test_another_asks_when_who_asked_first_has_gone() -> None:
    cached = Cached(Answer(200, [MINUTE], b"a"))
    cached.backend.open.clear()
    first, second, third = (asyncio.ensure_future(cached.get()) for _ in range(3))
    await settled()
    first.cancel()
    await settled()
    assert cached.asked == 2
    cached.backend.open.set()
    assert [each.body for each in await asyncio.gather(second, third)] == [b"a", b"a"]
    assert cached.asked == 2


async def test_those_who_wait_ask_themselves_where_the_first_one_failed() -> None:
    cached = Cached(ConnectionError("gone"), Answer(200, [MINUTE], b"a"))
    cached.backend.open.clear()
    first, second = (asyncio.ensure_future(cached.get()) for _ in range(2))
    await settled()
    cached.backend.open.set()
    with pytest.raises(ConnectionError):
        await first
    assert (await second).body == b"a"


async def test_forms_are_not_mixed_up_by_those_who_wait() -> None:
    vary = (b"vary", b"accept")
    cached = Cached(Answer(200, [MINUTE, vary], b"x"), Answer(200, [MINUTE, vary], b"y"))
    cached.backend.open.clear()
    tasks = [asyncio.ensure_future(cached.get([("Accept", each)])) for each in ("x", "y", "x")]
    await settled()
    cached.backend.open.set()
    assert [each.body for each in await asyncio.gather(*tasks)] == [b"x", b"y", b"x"]


async def test_answer_of_before_a_change_is_not_kept() -> None:
    cached = Cached(Answer(200, [MINUTE], b"old"), Answer(204), Answer(200, [MINUTE], b"new"))
    cached.backend.open.clear()
    first = asyncio.ensure_future(cached.get())
    await settled()
    await cached.get(method="POST")
    cached.backend.open.set()
    assert (await first).body == b"old"
    assert (await cached.get()).body == b"new"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"body"),
        ([], Pieces(b"body")),
        ([("X-HTTP-Method-Override", "DELETE")], b""),
    ],
)
async def test_request_that_says_more_than_its_key_passes_by(headers: Headers, body: Any) -> None:
    cached = Cached(Answer(200, [MINUTE], b"poison"), Answer(200, [MINUTE], b"good"))
    assert told(await cached.get(headers, body=body)) == "fwd=bypass"
    assert (await cached.get()).body == b"good"


async def test_renewal_for_a_known_caller_is_kept_for_nobody_else() -> None:
    header = control("public, max-age=60, stale-while-revalidate=60")
    clock = FakeClock()
    backend = Backend(Answer(200, [header], b"all"), Answer(200, [MINUTE], b"ada's"))
    made = create(configured("cache"), context=Context(clock=clock))
    inner = made.wrap(backend, Endpoint())
    keys = [KeyAuth.Key(name="ada", key="ada's key is long enough")]
    handler = behind(inner, "keyauth", KeyAuth(keys=keys, optional=True))
    await handler(request_to())
    await clock.advance(61)
    sent = [("X-Api-Key", "ada's key is long enough")]
    assert (await handler(request_to(headers=sent))).body == b"all"
    await settled()
    assert len(backend.requests) == 2
    assert (await handler(request_to())).body == b"all"
    await made.aclose()
