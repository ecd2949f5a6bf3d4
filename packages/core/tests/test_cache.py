"""Replies that are kept for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error, StartupError, StoreUnavailable
from kratos.metadata import Metadata, client_context
from kratos.middleware import Handler, cache, chain
from kratos.principal import Principal, acting_as
from kratos.store import MemoryStore
from kratos.testing import FakeClock, MemoryMeter
from kratos.testing.echo import ALL, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, Header, HttpRule, Method, Side, local

ERROR = Error(503, "BUSY")


def method(verb: str = "GET", *, name: str = "Get", idempotent: bool = False) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Cached/{name}",
        name="get",
        arity=Arity.UNARY,
        request=StringValue,
        reply=StringValue,
        idempotent=idempotent,
        http=(HttpRule(verb=verb, path="/get"),) if verb else (),
    )


GET = method()


class Work:
    """A handler that does as it is told, and counts."""

    def __init__(self, *ends: BaseException | str) -> None:
        self.ends = list(ends)
        self.ran = 0
        self.begun = asyncio.Event()
        self.held: asyncio.Event | None = None
        self.headers: dict[str, str] = {}

    async def __call__(self, call: Call, request: Any) -> Any:
        call.seal()
        self.ran += 1
        number = self.ran
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        for name, value in self.headers.items():
            call.reply_headers.add(name, value)
        end = self.ends.pop(0) if self.ends else f"{request.value} {number}"
        if isinstance(end, BaseException):
            raise end
        return text(end)


def call(of: Method[Any, Any] = GET, /, **headers: str) -> Call:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Call(of, side=Side.SERVER, transport="test", headers=Header.of(pairs))


def linked(work: Handler, store: Any = None, **options: Any) -> Handler:
    store = MemoryStore() if store is None else store
    return chain([cache(store, **options)], GET, work)


def _tenant(of: Call) -> str:
    return of.headers.get("x-tenant")


async def value(handler: Handler, request: str = "a", **headers: str) -> str:
    return str((await handler(call(**headers), text(request))).value)


async def test_second_call_gets_the_reply_of_the_first_one() -> None:
    clock, work = FakeClock(), Work()
    work.headers = {"etag": '"1"', "x-served-by": "one"}
    handler = linked(work, MemoryStore(clock=clock), clock=clock)
    first, second = call(), call()
    assert await handler(first, text("a")) == text("a 1")
    await clock.advance(7)
    assert await handler(second, text("a")) == text("a 1")
    assert work.ran == 1
    assert first.reply_headers.get("cache-status") == "kratos; fwd=miss"
    assert dict(second.reply_headers.items()) == {
        "etag": '"1"',
        "age": "7",
        "cache-status": "kratos; hit",
    }


async def test_each_caller_gets_a_message_of_its_own() -> None:
    handler = linked(Work())
    first = await handler(call(), text("a"))
    second = await handler(call(), text("a"))
    second.value = "changed"
    assert first.value == (await handler(call(), text("a"))).value == "a 1"


async def test_another_request_or_operation_has_another_reply() -> None:
    store, work = MemoryStore(), Work()
    middleware = cache(store)
    handler = chain([middleware], GET, work)
    other = method(name="Other")
    await value(handler, "a")
    await value(handler, "b")
    await chain([middleware], other, work)(call(other), text("a"))
    assert work.ran == 3


async def test_reply_is_made_anew_after_its_time() -> None:
    clock, work = FakeClock(), Work()
    handler = linked(work, MemoryStore(clock=clock), ttl=10.0, clock=clock)
    assert await value(handler) == "a 1"
    await clock.advance(9.9)
    assert await value(handler) == "a 1"
    await clock.advance(0.2)
    assert await value(handler) == "a 2"


async def test_headers_may_make_a_difference() -> None:
    work = Work()
    handler = linked(work, vary=["Accept-Language"])
    for language in ("de", "en", "de"):
        await value(handler, accept_language=language, x_other=language)
    await value(handler)
    assert work.ran == 3


# --- whose reply it is


@pytest.mark.parametrize("header", ["authorization", "cookie", "x_api_key", "x_md_global_user"])
async def test_nobody_gets_what_was_made_for_another(header: str) -> None:
    work = Work()
    handler = linked(work)
    assert await value(handler, **{header: "ada"}) == "a 1"
    assert await value(handler, **{header: "bob"}) == "a 2"
    assert await value(handler) == "a 3"
    assert await value(handler, **{header: "ada"}) == "a 1"


async def test_principals_have_replies_of_their_own() -> None:
    handler = linked(Work())
    for subject, expected in (("ada", "a 1"), ("bob", "a 2"), ("ada", "a 1")):
        with acting_as(Principal(subject=subject, scheme="jwt")):
            assert await value(handler) == expected


async def test_callers_at_the_same_time_do_not_join_each_other() -> None:
    work = Work()
    work.held = asyncio.Event()
    handler = linked(work)
    running = [asyncio.ensure_future(value(handler, cookie=name)) for name in ("ada", "bob")]
    await work.begun.wait()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.held.set()
    assert sorted(await asyncio.gather(*running)) == ["a 1", "a 2"]


async def test_shared_replies_are_for_everybody() -> None:
    handler = linked(Work(), shared=True)
    assert await value(handler, cookie="ada") == await value(handler, cookie="bob") == "a 1"


async def test_scope_may_be_chosen() -> None:
    work = Work()
    handler = linked(work, scope=_tenant)
    for tenant, cookie in (("a", "1"), ("a", "2"), ("b", "2")):
        await value(handler, x_tenant=tenant, cookie=cookie)
    assert work.ran == 2


async def test_client_keeps_apart_what_inbound_calls_of_others_asked_for() -> None:
    """Whatever adds their credentials may stand further in than the cache."""
    backend = EchoService()
    outbound = local(
        backend,
        client_middleware=[cache(MemoryStore(), operations={ECHO.operation: 60.0})],
    )

    class Front(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return await outbound.unary(ECHO, request)

    class As:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
            call.headers.set("authorization", self.name)
            return await next(call, request)

    for name in ("ada", "bob", "ada"):
        await local(Front(), client_middleware=[As(name)]).unary(ECHO, text("a"))
    assert backend.seen == ["a", "a"]


async def test_client_keeps_apart_what_its_metadata_tells() -> None:
    backend = EchoService()
    caller = local(
        backend, client_middleware=[cache(MemoryStore(), operations={ECHO.operation: 60.0})]
    )
    for user in ("ada", "bob", "ada"):
        with client_context(Metadata({"x-md-global-user": [user]})):
            await caller.unary(ECHO, text("a"))
    assert backend.seen == ["a", "a"]


# --- at the same time


async def test_of_many_calls_at_once_one_runs() -> None:
    work = Work()
    work.held = asyncio.Event()
    meter = MemoryMeter()
    handler = linked(work, meter=meter)
    running = [asyncio.ensure_future(value(handler)) for _ in range(100)]
    await work.begun.wait()
    work.held.set()
    assert set(await asyncio.gather(*running)) == {"a 1"}
    assert work.ran == 1
    assert meter.value("server_cache_total", result="miss") == 1
    assert meter.value("server_cache_total", result="joined") == 99


async def test_next_call_runs_when_the_first_one_is_cancelled() -> None:
    work = Work()
    work.held = asyncio.Event()
    handler = linked(work)
    first = asyncio.ensure_future(value(handler))
    await work.begun.wait()
    others = [asyncio.ensure_future(value(handler)) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    work.held.set()
    assert await asyncio.gather(*others) == ["a 2"] * 3
    assert work.ran == 2


async def test_call_that_waits_may_be_cancelled_by_itself() -> None:
    work = Work()
    work.held = asyncio.Event()
    handler = linked(work)
    first = asyncio.ensure_future(value(handler))
    await work.begun.wait()
    second = asyncio.ensure_future(value(handler))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.held.set()
    assert await first == "a 1"


async def test_error_is_for_all_that_wait_and_not_kept() -> None:
    work = Work(Error(404, "NONE", metadata={"id": "7"}))
    work.held = asyncio.Event()
    handler = linked(work)
    running = [asyncio.ensure_future(value(handler)) for _ in range(5)]
    await work.begun.wait()
    work.held.set()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert [(end.reason, end.metadata) for end in ends if isinstance(end, Error)] == [
        ("NONE", {"id": "7"})
    ] * 5
    assert len({id(end) for end in ends}) == 5
    assert await value(handler) == "a 2"


@pytest.mark.parametrize(
    "end",
    [Error(429, "RATELIMIT"), Error(403, "FORBIDDEN"), ValueError("a defect"), OSError("no route")],
    ids=str,
)
async def test_each_call_runs_after_what_says_nothing_of_the_others(end: Exception) -> None:
    work = Work(end)
    work.held = asyncio.Event()
    handler = linked(work)
    running = [asyncio.ensure_future(value(handler)) for _ in range(3)]
    await work.begun.wait()
    work.held.set()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert sorted(str(one) for one in ends if isinstance(one, str)) == ["a 2", "a 3"]


async def test_call_with_too_little_time_does_not_end_those_that_wait_for_it() -> None:
    # Whoever calls chooses the deadline, and what the handler asks finds out first.
    work = Work(Error(504, "DEADLINE_EXCEEDED"))
    work.held = of_the_first = asyncio.Event()
    handler = linked(work)
    hasty = call()
    hasty.deadline = asyncio.get_running_loop().time()
    first = asyncio.ensure_future(handler(hasty, text("a")))
    await work.begun.wait()
    others = [asyncio.ensure_future(value(handler)) for _ in range(3)]
    await asyncio.sleep(0)
    work.held = asyncio.Event()
    of_the_first.set()
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await first
    work.held.set()
    assert await asyncio.gather(*others) == ["a 2"] * 3


# --- what is kept, and for how long


async def test_stale_reply_serves_while_one_call_renews_it() -> None:
    clock, work = FakeClock(), Work()
    handler = linked(work, MemoryStore(clock=clock), ttl=10.0, stale=60.0, clock=clock)
    await value(handler)
    await clock.advance(11)
    work.held = asyncio.Event()
    work.begun.clear()
    renewing = asyncio.ensure_future(value(handler))
    await work.begun.wait()
    assert await value(handler) == "a 1"
    work.held.set()
    assert await renewing == "a 2"
    assert await value(handler) == "a 2"
    assert work.ran == 2


@pytest.mark.parametrize("end", [ERROR, OSError("no route")], ids=str)
async def test_stale_reply_serves_when_renewing_it_fails(end: Exception) -> None:
    clock, work = FakeClock(), Work("first", end, Error(404, "GONE"))
    handler = linked(work, MemoryStore(clock=clock), ttl=10.0, stale=60.0, clock=clock)
    await value(handler)
    await clock.advance(11)
    assert await value(handler) == "first"
    with pytest.raises(Error, match="GONE"):
        await value(handler)
    await clock.advance(60)
    assert await value(handler) == "a 4"


async def test_client_gets_a_stale_reply_though_the_failure_had_headers() -> None:
    clock, ends = FakeClock(), ["kept", "fail"]

    class Backend(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return await super().echo(text(ends.pop(0)))

    async def overloaded(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except Error as error:
            raise Error(503, "BUSY") from error

    store = MemoryStore(clock=clock)
    ttls = {ECHO.operation: 10.0}
    caller = local(
        Backend(),
        middleware=[overloaded],
        client_middleware=[cache(store, operations=ttls, stale=60.0, clock=clock)],
    )
    told: list[Call] = []
    options = CallOptions(on_end=told.append)
    for _ in range(2):
        assert await caller.unary(ECHO, text("a"), options) == text("kept")
        await clock.advance(11)
    assert ends == []
    assert told[1].reply_headers.get("age") == "11"


@pytest.mark.parametrize("said", ["no-store", "max-age=5, No-Store", "private"])
async def test_handler_may_forbid_to_keep_its_reply(said: str) -> None:
    work = Work()
    work.headers = {"cache-control": said}
    handler = linked(work, shared=True)
    await value(handler)
    await value(handler)
    assert work.ran == 2


async def test_private_reply_is_kept_for_its_caller() -> None:
    work = Work()
    work.headers = {"cache-control": "private"}
    handler = linked(work)
    await value(handler)
    await value(handler)
    assert work.ran == 1


async def test_large_reply_is_not_kept() -> None:
    work = Work()
    handler = linked(work, max_reply=10)
    await value(handler, "x" * 20)
    await value(handler, "x" * 20)
    assert work.ran == 2


async def test_wishes_of_requests_count_only_if_that_is_wanted() -> None:
    work = Work()
    handler = linked(work)
    await value(handler)
    await value(handler, cache_control="no-store")
    await value(handler, cache_control="no-cache")
    assert work.ran == 1


async def test_request_may_ask_for_a_fresh_reply() -> None:
    handler = linked(Work(), obeys_requests=True)
    assert await value(handler) == "a 1"
    assert await value(handler, cache_control="no-cache") == "a 2"
    assert await value(handler) == "a 2"
    assert await value(handler, cache_control="no-store") == "a 3"
    assert await value(handler) == "a 2"


# --- the store


class Away(MemoryStore):
    async def get(self, key: str, /) -> bytes | None:
        raise StoreUnavailable("no route")

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        raise StoreUnavailable("no route")


async def test_calls_run_when_the_store_is_away() -> None:
    meter = MemoryMeter()
    handler = linked(Work(), Away(), meter=meter)
    assert [await value(handler), await value(handler)] == ["a 1", "a 2"]
    assert meter.value("server_cache_total", result="unavailable") == 4


async def test_reply_without_room_is_not_kept() -> None:
    handler = linked(Work(), MemoryStore(max_bytes=10))
    assert [await value(handler), await value(handler)] == ["a 1", "a 2"]


async def test_what_cannot_be_read_is_made_anew() -> None:
    store, work = MemoryStore(), Work()
    handler = linked(work, store)
    await value(handler)
    (name,) = store
    broken = [b"", b"[]", b'{"v":9}\n', b'{"v":1,"made":0,"fresh":9e9,"headers":[]}\n\xff']
    for record in broken:
        await store.set(name, record, ttl=60)
        await value(handler)
    assert work.ran == 1 + len(broken)


async def test_neither_request_nor_credentials_are_readable_in_the_keys() -> None:
    store = MemoryStore()
    await value(linked(Work("done"), store), "hidden", cookie="x1y2")
    assert not [word for word in ("hidden", "x1y2") if word in repr(list(store))]


# --- where it stands


@pytest.mark.parametrize(
    ("of", "kept"),
    [
        (method("GET"), True),
        (method("HEAD"), True),
        (method("POST"), False),
        (method("PUT", idempotent=True), False),
        (method("", idempotent=True), False),
        *((each, False) for each in ALL),
    ],
)
def test_replies_of_methods_that_change_nothing_are_kept(of: Method[Any, Any], kept: bool) -> None:
    assert (cache(MemoryStore()).bind(of) is not None) is kept


def test_definition_may_say_that_a_method_changes_nothing() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="test_cache.proto", package="test.cache")
    file.message_type.add(name="Empty")
    service = file.service.add(name="Shop")
    levels = descriptor_pb2.MethodOptions
    for name, level in (("Look", levels.NO_SIDE_EFFECTS), ("Put", levels.IDEMPOTENT)):
        added = service.method.add(name=name, input_type=".test.cache.Empty")
        added.output_type = ".test.cache.Empty"
        added.options.idempotency_level = level
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    bound = [
        cache(MemoryStore()).bind(
            Method(
                operation=f"/test.cache.Shop/{name}",
                name=name.lower(),
                arity=Arity.UNARY,
                request=StringValue,
                reply=StringValue,
                idempotent=True,
            )
        )
        for name in ("Look", "Put", "Unknown")
    ]
    assert [one is not None for one in bound] == [True, False, False]


async def test_operations_may_be_named_with_their_times() -> None:
    clock, service = FakeClock(), EchoService()
    store = MemoryStore(clock=clock)
    middleware = cache(store, operations={ECHO.operation: 5.0}, clock=clock)
    caller = local(service, middleware=[middleware])
    for wait in (0, 4, 2):
        await clock.advance(wait)
        await caller.unary(ECHO, text("a"))
    assert service.seen == ["a", "a"]


def test_operation_that_does_not_exist_is_refused_at_start() -> None:
    with pytest.raises(StartupError, match=r"did you mean '/kratos\.testing\.Echo/Echo'"):
        local(
            EchoService(),
            middleware=[cache(MemoryStore(), operations={"/kratos.testing.Echo/Ecco": 5.0})],
        )


def test_stream_that_is_named_is_refused_at_start() -> None:
    with pytest.raises(StartupError, match="Watch, a stream"):
        local(EchoService(), middleware=[cache(MemoryStore(), operations={WATCH.operation: 5.0})])


async def test_request_that_is_no_message_passes() -> None:
    async def plain(_call: Call, request: Any) -> Any:
        return request

    assert await linked(plain)(call(), "plain") == "plain"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ttl": 0}, "ttl=0"),
        ({"operations": {"/a.B/C": -1.0}}, "/a.B/C=-1.0"),
        ({"stale": -1.0}, "stale"),
        ({"max_reply": -1}, "max_reply"),
        ({"shared": True, "scope": str}, "contradict"),
        ({"vary": "accept-language"}, "a list of headers"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cache(MemoryStore(), **options)
