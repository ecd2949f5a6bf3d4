"""Calls with a key run once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error, FieldViolation, StartupError, StoreUnavailable
from kratos.middleware import Handler, chain, idempotency, idempotency_key, recovery, retry
from kratos.principal import Principal, acting_as
from kratos.store import MemoryStore
from kratos.testing import FakeClock, MemoryMeter
from kratos.testing.clock import InstantClock
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.tls import PeerCertificate
from kratos.transport import Call, CallOptions, Header, HttpRule, Method, Side, local

GET = Method(
    operation="/test/Get",
    name="get",
    arity=ECHO.arity,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="GET", path="/get"),),
)


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
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        for name, value in self.headers.items():
            call.reply_headers.add(name, value)
        end = self.ends.pop(0) if self.ends else f"{request.value} {self.ran}"
        if isinstance(end, BaseException):
            raise end
        return text(end)


class Away(MemoryStore):
    """A store that does not answer at times."""

    away = False

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        self.refuse()
        return await super().set_if_absent(key, value, ttl=ttl)

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        self.refuse()
        return await super().replace(key, value, expected=expected, ttl=ttl)

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        self.refuse()
        return await super().delete(key, expected=expected)

    def refuse(self) -> None:
        if self.away:
            raise StoreUnavailable("no route")


def call(key: str | None = "k1", *, method: Method[Any, Any] = ECHO, **headers: Any) -> Call:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if key is not None:
        pairs.append(("idempotency-key", key))
    return Call(method, side=Side.SERVER, transport="test", headers=Header.of(pairs))


def linked(work: Handler, store: MemoryStore | None = None, **options: Any) -> Handler:
    return chain([idempotency(MemoryStore() if store is None else store, **options)], ECHO, work)


async def refused(handler: Handler, of: Call, request: str = "pay") -> Error:
    with pytest.raises(Error) as refusal:
        await handler(of, text(request))
    return refusal.value


async def test_repeated_call_gets_the_reply_of_the_first_one() -> None:
    work = Work()
    work.headers = {"location": "/payments/1", "x-request-id": "abc"}
    handler = linked(work)
    first, again = call(), call()

    assert await handler(first, text("pay")) == text("pay 1")
    assert await handler(again, text("pay")) == text("pay 1")

    assert work.ran == 1
    assert "idempotency-replayed" not in first.reply_headers
    assert dict(again.reply_headers.items()) == {
        "location": "/payments/1",
        "idempotency-replayed": "true",
    }


async def test_calls_without_a_key_run_each_time() -> None:
    work = Work()
    handler = linked(work)
    await handler(call(None), text("pay"))
    await handler(call(None), text("pay"))
    assert work.ran == 2


async def test_other_keys_run_on_their_own() -> None:
    work = Work()
    handler = linked(work)
    await handler(call("k1"), text("pay"))
    await handler(call("k2"), text("pay"))
    assert work.ran == 2


async def test_key_of_another_operation_is_another_key() -> None:
    store, work = MemoryStore(), Work()
    other = Method(
        operation="/test/Other",
        name="other",
        arity=ECHO.arity,
        request=StringValue,
        reply=ECHO.reply,
    )
    middleware = idempotency(store)
    await chain([middleware], ECHO, work)(call(), text("pay"))
    await chain([middleware], other, work)(call(method=other), text("pay"))
    assert work.ran == 2


async def test_key_may_be_required() -> None:
    error = await refused(linked(Work(), required=True), call(None))
    assert (error.code, error.reason) == (400, "IDEMPOTENCY_KEY_REQUIRED")


async def test_key_with_another_request_is_refused() -> None:
    work = Work()
    handler = linked(work)
    await handler(call(), text("pay"))
    error = await refused(handler, call(), "pay more")
    assert (error.code, error.reason, error.grpc_code) == (422, "IDEMPOTENCY_KEY_REUSED", 3)
    assert work.ran == 1


@pytest.mark.parametrize(
    ("one", "other"), [("abc", '"abc"'), ('"a b"', '"a b"'), (r'"a\"b\\"', r'"a\"b\\"')]
)
async def test_key_may_be_bare_or_a_string_in_quotes(one: str, other: str) -> None:
    work = Work()
    handler = linked(work)
    await handler(call(one), text("pay"))
    await handler(call(other), text("pay"))
    assert work.ran == 1


@pytest.mark.parametrize(
    "key",
    ["", '""', '"', "a b", "größe", 'a"b', '"a', '"a"b"', r'"a\b"', "x" * 256, f'"{"x" * 256}"'],
    ids=range(11),
)
async def test_key_that_is_none_is_refused(key: str) -> None:
    work = Work()
    error = await refused(linked(work), call(key))
    assert (error.code, error.reason) == (400, "IDEMPOTENCY_KEY_INVALID")
    assert "1 to 255 visible ASCII" in error.message
    assert work.ran == 0


async def test_longest_key_is_taken_also_when_all_of_it_is_escaped() -> None:
    work = Work()
    handler = linked(work, max_key=10)
    await handler(call('"' + '\\"' * 10 + '"'), text("pay"))
    await handler(call("x" * 10), text("pay"))
    assert work.ran == 2


async def test_two_keys_are_refused() -> None:
    both = call()
    both.headers.add("idempotency-key", "k2")
    assert (await refused(linked(Work()), both)).reason == "IDEMPOTENCY_KEY_INVALID"


async def test_large_request_with_a_key_is_refused() -> None:
    handler = linked(Work(), max_request=10)
    assert (await refused(handler, call(), "x" * 20)).code == 413
    await handler(call(None), text("x" * 20))


# --- at the same time


async def test_duplicate_is_refused_while_the_first_one_runs() -> None:
    work = Work()
    work.held = asyncio.Event()
    handler = linked(work)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await work.begun.wait()
    duplicate = call()

    error = await refused(handler, duplicate)

    assert (error.code, error.reason) == (409, "IDEMPOTENCY_KEY_IN_USE")
    assert error.metadata == {"retry_after": "1"}
    assert duplicate.reply_headers.get("retry-after") == "1"
    work.held.set()
    assert await first == text("pay 1")
    assert await handler(call(), text("pay")) == text("pay 1")


async def test_duplicate_may_wait_for_the_first_one() -> None:
    clock, work = FakeClock(), Work()
    work.held = asyncio.Event()
    handler = linked(work, MemoryStore(clock=clock), wait=5.0, clock=clock)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await work.begun.wait()
    second = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.advance(3.0)
    assert not second.done()

    work.held.set()
    await clock.advance(1.0)

    assert await first == await second == text("pay 1")
    assert work.ran == 1


async def test_duplicate_that_has_waited_long_enough_is_refused() -> None:
    clock, work = FakeClock(), Work()
    work.held = asyncio.Event()
    handler = linked(work, MemoryStore(clock=clock), wait=5.0, clock=clock)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await work.begun.wait()
    second = asyncio.ensure_future(refused(handler, call()))
    await clock.advance(6.0)
    assert (await second).reason == "IDEMPOTENCY_KEY_IN_USE"
    work.held.set()
    await first


async def test_duplicate_runs_if_the_first_one_fails_while_it_waits() -> None:
    clock, work = FakeClock(), Work(Error(503, "BUSY"))
    work.held = asyncio.Event()
    handler = linked(work, MemoryStore(clock=clock), wait=5.0, clock=clock)
    first = asyncio.ensure_future(refused(handler, call()))
    await work.begun.wait()
    second = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.advance(0.1)
    work.held.set()
    await clock.advance(1.0)
    assert (await first).reason == "BUSY"
    assert await second == text("pay 2")


async def test_one_of_a_hundred_at_once_runs() -> None:
    work = Work()
    handler = linked(work)
    ends = await asyncio.gather(
        *(handler(call(), text("pay")) for _ in range(100)), return_exceptions=True
    )
    assert work.ran == 1
    reasons = [end.reason for end in ends if isinstance(end, Error)]
    assert set(reasons) <= {"IDEMPOTENCY_KEY_IN_USE"}
    assert len(reasons) + ends.count(text("pay 1")) == 100


# --- what is kept


async def test_final_error_is_kept_as_it_was() -> None:
    broke = Error(402, "NO_MONEY", "the card was declined", {"card": "7"})
    broke = broke.with_field_violations(FieldViolation("card", "declined")).with_grpc_code(9)
    work = Work(broke)
    handler = linked(work)
    first, again = await refused(handler, call()), await refused(handler, call())
    assert work.ran == 1
    assert (again.code, again.reason, again.message) == (first.code, first.reason, first.message)
    assert again.metadata == {"card": "7"}
    assert again.grpc_code == 9
    assert again.field_violations == first.field_violations


@pytest.mark.parametrize(
    "end",
    [
        Error(500, "BROKEN"),
        Error(503, "BUSY"),
        Error(504, "LATE"),
        Error(429, "RATELIMIT"),
        Error(409, "ABORTED"),
        Error(401, "UNAUTHORIZED"),
        ValueError("a defect"),
        TimeoutError("of something inside"),
    ],
    ids=str,
)
async def test_after_what_may_pass_the_call_runs_again(end: Exception) -> None:
    work = Work(end)
    handler = linked(work)
    with pytest.raises(type(end)):
        await handler(call(), text("pay"))
    assert await handler(call(), text("pay")) == text("pay 2")


async def test_what_is_kept_may_be_chosen() -> None:
    work = Work(Error(500, "BROKEN"))
    handler = linked(work, keeps=_is_broken)
    await refused(handler, call())
    assert (await refused(handler, call())).reason == "BROKEN"
    assert work.ran == 1


async def test_cancelled_call_runs_again() -> None:
    work = Work()
    work.held = asyncio.Event()
    handler = linked(work)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await work.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.held = None
    assert await handler(call(), text("pay")) == text("pay 2")


async def test_success_is_kept_though_its_caller_has_left_meanwhile() -> None:
    class Slow(MemoryStore):
        writing = asyncio.Event()
        written = asyncio.Event()

        async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
            self.writing.set()
            await self.written.wait()
            return await super().replace(key, value, expected=expected, ttl=ttl)

    store, work = Slow(), Work()
    handler = linked(work, store)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await store.writing.wait()
    first.cancel()
    await asyncio.sleep(0)
    store.written.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await handler(call(), text("pay")) == text("pay 1")
    assert work.ran == 1


@pytest.mark.parametrize("end", ["done", Error(404, "NONE")], ids=str)
async def test_outcome_is_kept_though_its_caller_leaves_while_a_renewal_ends(
    end: Error | str,
) -> None:
    class Stubborn(MemoryStore):
        renewing = asyncio.Event()
        renewed = asyncio.Event()

        async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
            if value == expected:
                self.renewing.set()
                while not self.renewed.is_set():
                    try:
                        await self.renewed.wait()
                    except asyncio.CancelledError:
                        continue
            return await super().replace(key, value, expected=expected, ttl=ttl)

    clock, work = FakeClock(), Work(end)
    store = Stubborn(clock=clock)
    work.held = asyncio.Event()
    handler = linked(work, store, clock=clock)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.advance(11)
    await store.renewing.wait()
    work.held.set()
    await clock.settle()
    first.cancel()
    await clock.settle()
    store.renewed.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    if isinstance(end, str):
        assert await handler(call(), text("pay")) == text(end)
    else:
        assert (await refused(handler, call())).reason == end.reason
    assert work.ran == 1


async def test_reply_that_is_too_large_is_not_made_twice() -> None:
    work = Work("x" * 50)
    handler = linked(work, max_reply=10)
    assert await handler(call(), text("pay")) == text("x" * 50)
    error = await refused(handler, call())
    assert (error.code, error.reason) == (409, "IDEMPOTENCY_REPLY_NOT_KEPT")
    assert work.ran == 1


async def test_outcome_is_forgotten_after_its_time() -> None:
    clock, work = FakeClock(), Work()
    handler = linked(work, MemoryStore(clock=clock), ttl=3600.0, clock=clock)
    await handler(call(), text("pay"))
    await clock.advance(3599)
    await handler(call(), text("pay"))
    assert work.ran == 1
    await clock.advance(2)
    await handler(call(), text("pay"))
    assert work.ran == 2


# --- leases


async def test_call_that_takes_long_keeps_its_key() -> None:
    clock, work = FakeClock(), Work()
    work.held = asyncio.Event()
    handler = linked(work, MemoryStore(clock=clock), lease=30.0, clock=clock)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.advance(300)
    assert (await refused(handler, call())).reason == "IDEMPOTENCY_KEY_IN_USE"
    work.held.set()
    assert await first == text("pay 1")
    assert clock.sleepers == 0


async def test_call_of_a_dead_process_runs_again_when_its_lease_is_over() -> None:
    clock = FakeClock()
    store, work = MemoryStore(clock=clock), Work()
    dead = chain([idempotency(store, lease=30.0, clock=InstantNever())], ECHO, hangs)
    dying = asyncio.ensure_future(dead(call(), text("pay")))
    await clock.settle()
    handler = linked(work, store, lease=30.0, clock=clock)
    await clock.advance(29)
    assert (await refused(handler, call())).reason == "IDEMPOTENCY_KEY_IN_USE"
    await clock.advance(2)
    assert await handler(call(), text("pay")) == text("pay 1")
    dying.cancel()
    await asyncio.wait({dying})
    assert await handler(call(), text("pay")) == text("pay 1"), "the dead one took it along"


async def test_process_that_was_cut_off_ends_what_another_one_has_taken_over() -> None:
    clock = FakeClock()
    store, cut_off, other = Away(clock=clock), Work(), Work()
    cut_off.held = other.held = asyncio.Event()
    first = asyncio.ensure_future(refused(linked(cut_off, store, lease=30.0, clock=clock), call()))
    await clock.advance(1)
    store.away = True
    await clock.advance(29.5)  # the renewals at 10, 20 and 30 s fail
    store.away = False
    handler = linked(other, store, lease=30.0, clock=clock)
    second = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.advance(10)
    error = await first
    assert (error.code, error.reason) == (503, "IDEMPOTENCY_LEASE_LOST")
    other.held.set()
    assert await second == text("pay 1")


async def test_store_that_forgot_a_lock_is_told_again() -> None:
    clock = FakeClock()
    store, work = MemoryStore(clock=clock), Work()
    work.held = asyncio.Event()
    handler = linked(work, store, lease=30.0, clock=clock)
    first = asyncio.ensure_future(handler(call(), text("pay")))
    await clock.settle()
    (name,) = store
    await store.delete(name)  # as a restart of Redis does
    await clock.advance(15)
    assert (await refused(handler, call())).reason == "IDEMPOTENCY_KEY_IN_USE"
    work.held.set()
    await first
    await handler(call(), text("pay"))
    assert work.ran == 1


# --- whose key it is


async def test_callers_do_not_share_keys() -> None:
    work = Work()
    handler = linked(work)
    for subject in ("ada", "bob", "ada"):
        with acting_as(Principal(subject=subject, scheme="jwt")):
            await handler(call(authorization=f"Bearer {work.ran}"), text("pay"))
    assert work.ran == 2


async def test_principals_of_another_issuer_are_others() -> None:
    work = Work()
    handler = linked(work)
    for issuer in ("a", "b"):
        with acting_as(Principal(subject="ada", scheme="jwt", issuer=issuer)):
            await handler(call(), text("pay"))
    assert work.ran == 2


async def test_principals_without_a_subject_are_told_apart_by_their_credentials() -> None:
    # Tokens of machines often have none.
    handler = linked(Work())
    with acting_as(Principal(subject="", scheme="jwt", issuer="https://issuer.test")):
        await handler(call(authorization="Bearer one"), text("pay"))
        error = await refused(handler, call(authorization="Bearer two"))
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_names_of_a_certificate_tell_callers_apart_and_its_renewal_does_not() -> None:
    work = Work()
    handler = linked(work)
    for name, der in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        of = call()
        of.certificate = PeerCertificate(dns_names=(name,), der=der)
        await handler(of, text("pay"))
    assert work.ran == 2


@pytest.mark.parametrize("header", ["authorization", "cookie", "x_api_key"])
async def test_stranger_neither_gets_a_reply_nor_runs_with_a_key_of_another(header: str) -> None:
    mine: dict[str, Any] = {header: "mine"}
    theirs: dict[str, Any] = {header: "theirs"}
    work = Work()
    handler = linked(work)
    await handler(call(**mine), text("pay"))
    for stranger in (call(**theirs), call()):
        assert (await refused(handler, stranger)).reason == "IDEMPOTENCY_KEY_REUSED"
    assert work.ran == 1


async def test_scope_may_be_chosen() -> None:
    work = Work()
    handler = linked(work, scope=_tenant)
    for tenant, token in (("a", "1"), ("b", "1"), ("a", "2")):
        await handler(call(x_tenant=tenant, authorization=token), text("pay"))
    assert work.ran == 2


async def test_neither_key_nor_request_nor_credentials_are_readable_in_the_store() -> None:
    store, work = MemoryStore(), Work("done")
    await linked(work, store)(call("secret-key", authorization="Bearer x1y2"), text("hidden"))
    kept = repr([(name, await store.get(name)) for name in store])
    assert not [word for word in ("secret-key", "hidden", "x1y2") if word in kept]


# --- outage


async def test_call_is_refused_when_the_store_is_away() -> None:
    store, work = Away(), Work()
    store.away = True
    of = call()
    error = await refused(linked(work, store), of)
    assert (error.code, error.reason) == (503, "IDEMPOTENCY_UNAVAILABLE")
    assert of.reply_headers.get("retry-after") == "1"
    assert work.ran == 0


async def test_call_may_run_unprotected_when_the_store_is_away() -> None:
    store, work = Away(), Work()
    store.away = True
    handler = linked(work, store, on_outage="run")
    assert await handler(call(), text("pay")) == text("pay 1")
    assert await handler(call(), text("pay")) == text("pay 2")


async def test_caller_gets_the_reply_though_it_cannot_be_kept() -> None:
    clock = FakeClock()
    store, work = Away(clock=clock), Work()
    meter = MemoryMeter()
    handler = linked(work, store, clock=clock, meter=meter)

    async def lose(_call: Call, _request: Any) -> Any:
        store.away = True
        return text("done")

    assert await chain([idempotency(store, clock=clock, meter=meter)], ECHO, lose)(
        call(), text("pay")
    ) == text("done")
    store.away = False
    assert meter.value("server_idempotency_total", result="unkept") == 1
    assert (await refused(handler, call())).reason == "IDEMPOTENCY_KEY_IN_USE"


async def test_unreadable_record_refuses_and_never_runs() -> None:
    store, work = MemoryStore(), Work()
    handler = linked(work, store)
    await handler(call(), text("pay"))
    (name,) = store
    for record in (b"", b"{}", b"\xff\n", b'{"v":2}\nx', b"[" * 100_000):
        await store.set(name, record, ttl=60)
        assert (await refused(handler, call())).reason == "IDEMPOTENCY_UNAVAILABLE"
    assert work.ran == 1


# --- where it stands


def test_methods_that_need_no_key_and_streams_are_left_out() -> None:
    middleware = idempotency(MemoryStore())
    assert [middleware.bind(method) for method in (GET, COLLECT, WATCH, CHAT)] == [None] * 4
    assert middleware.bind(ECHO) is not None


def test_stream_that_is_chosen_is_refused_at_start() -> None:
    with pytest.raises(StartupError, match="Collect, which is a stream: only unary"):
        local(EchoService(), middleware=[idempotency(MemoryStore(), applies=lambda method: True)])


async def test_on_a_client_it_says_what_to_take_there() -> None:
    caller = local(EchoService(), client_middleware=[idempotency(MemoryStore())])
    with pytest.raises(ConfigError, match=r"clients take idempotency_key\(\)"):
        await caller.unary(ECHO, text("pay"))


async def test_request_that_is_no_message_passes() -> None:
    async def plain(_call: Call, request: Any) -> Any:
        return request

    assert await linked(plain)(call(), "plain") == "plain"


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": float("inf")},
        {"lease": -1.0},
        {"wait": -1.0},
        {"max_key": 0},
        {"max_request": 0},
        {"max_reply": -1},
        {"on_outage": "hope"},
        {"header": "idempotency key"},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        idempotency(MemoryStore(), **options)


def test_header_of_clients_must_be_one() -> None:
    with pytest.raises(ConfigError, match="header=''"):
        idempotency_key(header="")


async def test_results_are_counted() -> None:
    meter = MemoryMeter()
    handler = linked(Work(), meter=meter)
    await handler(call(), text("pay"))
    await handler(call(), text("pay"))
    await refused(handler, call(), "other")
    counted = {
        result: meter.value("server_idempotency_total", kind="test", result=result)
        for result in ("first", "replayed", "reused")
    }
    assert counted == {"first": 1, "replayed": 1, "reused": 1}


# --- clients


def flaky(times: int) -> tuple[Any, list[str]]:
    """Return a middleware that loses the first replies, and the keys that it saw."""
    seen: list[str] = []

    async def lose(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.headers.get("idempotency-key"))
        reply = await next(call, request)
        if len(seen) <= times:
            raise ConnectionResetError("after the handler ran")
        return reply

    return lose, seen


async def test_retries_of_a_call_keep_its_key_and_run_it_once() -> None:
    service, (lose, seen) = EchoService(), flaky(2)
    caller = local(
        service,
        middleware=[idempotency(MemoryStore())],
        client_middleware=[idempotency_key(), retry(clock=InstantClock()), lose],
    )
    assert await caller.unary(ECHO, text("pay")) == text("pay")
    assert service.seen == ["pay"]
    assert len(seen) == 3
    assert len(set(seen)) == 1
    await caller.unary(ECHO, text("pay"))
    assert len(set(seen)) == 2


async def test_without_a_key_a_call_that_is_not_idempotent_is_not_retried() -> None:
    lose, seen = flaky(1)
    caller = local(EchoService(), client_middleware=[retry(clock=InstantClock()), lose])
    with pytest.raises(ConnectionResetError):
        await caller.unary(ECHO, text("pay"))
    assert len(seen) == 1


async def test_attempt_that_meets_its_predecessor_is_made_again() -> None:
    ends: list[Any] = [Error(409, "IDEMPOTENCY_KEY_IN_USE"), text("done")]

    async def server(_call: Call, _request: Any) -> Any:
        end = ends.pop(0)
        if isinstance(end, Error):
            raise end
        return end

    handler = chain([idempotency_key(), retry(clock=InstantClock())], ECHO, server)
    of = Call(ECHO, side=Side.CLIENT, transport="test")
    assert await handler(of, text("pay")) == text("done")


async def test_key_of_the_caller_stays() -> None:
    lose, seen = flaky(0)
    caller = local(EchoService(), client_middleware=[idempotency_key(), lose])
    options = CallOptions(headers={"Idempotency-Key": "order-7"})
    await caller.unary(ECHO, text("pay"), options)
    assert seen == ["order-7"]


@pytest.mark.parametrize("key", ["", "a\nb", "größe"])
async def test_key_that_cannot_be_sent_is_refused(key: str) -> None:
    caller = local(EchoService(), client_middleware=[idempotency_key(make=lambda: key)])
    with pytest.raises(ValueError, match="is no idempotency key"):
        await caller.unary(ECHO, text("pay"))


async def test_key_in_quotes_reaches_the_server_as_it_was_made() -> None:
    store, service = MemoryStore(), EchoService()
    make: Callable[[], str] = lambda: 'a "b\\'  # noqa: E731
    caller = local(
        service,
        middleware=[recovery(), idempotency(store)],
        client_middleware=[idempotency_key(make=make)],
    )
    await caller.unary(ECHO, text("pay"))
    await caller.unary(ECHO, text("pay"))
    assert service.seen == ["pay"]


class InstantNever(InstantClock):
    """The clock of a process that has stopped: nobody wakes on it."""

    async def sleep(self, _seconds: float, /) -> None:
        await asyncio.get_running_loop().create_future()


async def hangs(_call: Call, _request: Any) -> Any:
    await asyncio.get_running_loop().create_future()


def _is_broken(error: Error) -> bool:
    return error.code == 500


def _tenant(of: Call) -> str:
    return of.headers.get("x-tenant")


class Odd(MemoryStore):
    """A store whose first ``set_if_absent`` is told that it was not the first, as set up."""

    def __init__(self, *, kept: bool) -> None:
        super().__init__()
        self.kept = kept
        self.asked = 0

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        self.asked += 1
        if self.asked > 1:
            return await super().set_if_absent(key, value, ttl=ttl)
        if self.kept:
            await super().set_if_absent(key, value, ttl=ttl)
        return False


@pytest.mark.parametrize(("kept", "asked"), [(True, 1), (False, 2)])
async def test_lock_that_is_its_own_is_known_and_one_that_has_ended_is_taken(
    kept: bool, asked: int
) -> None:
    store, work = Odd(kept=kept), Work()
    handler = linked(work, store)
    assert await handler(call(), text("pay")) == text("pay 1")
    assert store.asked == asked
    assert await handler(call(), text("pay")) == text("pay 1")
