"""The middleware that makes failed calls again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any

import pytest

from aegis import Backoff, RetryBudget, TokenRetryBudget
from kratos.client.pool import Pool
from kratos.errors import ConfigError, Error
from kratos.middleware import Handler, chain, circuitbreaker, retry
from kratos.selector import Node, NodeFilter, NodeSet, Outcome, OutcomeKind, Pick, RandomChoice
from kratos.testing.clock import InstantClock
from kratos.testing.connector import FakeConnector
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import (
    Arity,
    Call,
    CallOptions,
    ChainCaller,
    HttpRule,
    Method,
    Side,
)

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT
EVEN = Backoff(base=0.1, cap=1.0, jitter="none")
BUSY = Error(503, "BUSY")


def method(
    arity: Arity = Arity.UNARY, *, idempotent: bool = True, verb: str = ""
) -> Method[Any, Any]:
    return Method(
        operation="/test/Do",
        name="do",
        arity=arity,
        request=ECHO.request,
        reply=ECHO.reply,
        idempotent=idempotent,
        http=(HttpRule(verb=verb, path="/do"),) if verb else (),
    )


class Attempts:
    """A transport that answers as told, and notes what it was given."""

    def __init__(self, *ends: object) -> None:
        self.ends = list(ends)
        self.calls: list[Call] = []
        self.before: Callable[[Call], None] = lambda call: None

    async def __call__(self, call: Call, _request: Any) -> Any:
        call.seal()
        self.calls.append(call)
        call.peer = f"n{len(self.calls)}"
        self.before(call)
        end = self.ends.pop(0) if self.ends else "ok"
        if isinstance(end, BaseException):
            raise end
        return end


def linked(transport: Handler, of: Method[Any, Any] | None = None, **options: Any) -> Handler:
    options = {"clock": InstantClock(wall=NOW), "backoff": EVEN, **options}
    return chain([retry(**options)], method() if of is None else of, transport)


def call(of: Method[Any, Any] | None = None, **options: Any) -> Call:
    of = method() if of is None else of
    return Call(of, side=Side.CLIENT, transport="test", **options)


async def test_failed_call_is_made_again_until_it_is_answered() -> None:
    transport = Attempts(BUSY, Error(502, "GATEWAY"))
    assert await linked(transport)(call(), "x") == "ok"
    assert len(transport.calls) == 3


async def test_last_error_is_raised_when_attempts_are_used_up() -> None:
    transport = Attempts(BUSY, BUSY, Error(503, "LAST"), "never")
    with pytest.raises(Error, match="LAST"):
        await linked(transport)(call(), "x")
    assert len(transport.calls) == 3


@pytest.mark.parametrize(
    "error", [Error(429), Error(502), BUSY, ConnectionResetError(), EOFError()], ids=str
)
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert await linked(Attempts(error))(call(), "x") == "ok"


@pytest.mark.parametrize(
    "error",
    [
        Error(400),
        Error(404),
        Error(500),
        Error(501),
        Error(504),
        ValueError("a defect"),
        Error(503, "CIRCUITBREAKER"),
        Error(429, "MESSAGE_TOO_LARGE"),
        Error(503, "NODE_NOT_FOUND"),
        Error(503, "no_available_node"),
    ],
    ids=str,
)
async def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    transport = Attempts(error)
    with pytest.raises(type(error)):
        await linked(transport)(call(), "x")
    assert len(transport.calls) == 1


async def test_codes_and_reasons_may_be_chosen() -> None:
    transport = Attempts(Error(500, "X"), Error(409, "ABORTED"))
    assert await linked(transport, codes={500}, reasons={"ABORTED"})(call(), "x") == "ok"


async def test_errors_may_be_judged_by_a_function() -> None:
    def odd(error: Exception) -> bool:
        return isinstance(error, ValueError)

    transport = Attempts(ValueError("odd"), BUSY)
    with pytest.raises(Error, match="BUSY"):
        await linked(transport, retryable=odd)(call(), "x")
    assert len(transport.calls) == 2


@pytest.mark.parametrize(
    ("of", "again"),
    [
        (method(idempotent=True), True),
        (method(idempotent=False), False),
        (method(idempotent=False, verb="GET"), True),
        (method(idempotent=False, verb="PUT"), True),
        (method(idempotent=False, verb="DELETE"), True),
        (method(idempotent=False, verb="POST"), False),
        (method(idempotent=False, verb="PATCH"), False),
        (method(idempotent=True, verb="POST"), True),
    ],
)
async def test_definition_says_whether_a_call_may_run_twice(
    of: Method[Any, Any], again: bool
) -> None:
    transport = Attempts(BUSY)
    if again:
        assert await linked(transport, of)(call(of), "x") == "ok"
    else:
        with pytest.raises(Error, match="BUSY"):
            await linked(transport, of)(call(of), "x")


async def test_user_may_know_better_what_may_run_twice() -> None:
    of = method(idempotent=False)
    assert await linked(Attempts(BUSY), of, idempotent=always)(call(of), "x") == "ok"


async def test_waits_grow_from_attempt_to_attempt() -> None:
    clock = InstantClock(wall=NOW)
    await linked(Attempts(BUSY, BUSY, BUSY), attempts=4, clock=clock)(call(), "x")
    assert clock.waited == [0.1, 0.2, 0.4]


async def test_waits_are_drawn_by_default() -> None:
    clock = InstantClock(wall=NOW)
    await chain([retry(clock=clock, random=lambda: 0.5)], method(), Attempts(BUSY))(call(), "x")
    assert clock.waited == [0.025]


def asks(name: str, value: str, *, trailer: bool = False) -> Callable[[Call], None]:
    def before(call: Call) -> None:
        (call.trailers if trailer else call.reply_headers).set(name, value)

    return before


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry-after", "2", 2.0),
        ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("retry-after", "soon", 0.0),
        ("retry-after", "nan", 0.0),
        ("retry-after", "-5", 0.0),
        ("grpc-retry-pushback-ms", "1500", 1.5),
        ("grpc-retry-pushback-ms", "0", 0.0),
    ],
)
@pytest.mark.parametrize("trailer", [False, True])
async def test_wait_that_the_server_asks_for_comes_before_the_back_off(
    name: str, value: str, seconds: float, *, trailer: bool
) -> None:
    clock, transport = InstantClock(wall=NOW), Attempts(BUSY)
    transport.before = asks(name, value, trailer=trailer)
    await linked(transport, clock=clock)(call(), "x")
    assert clock.waited == [pytest.approx(seconds + 0.1)]


async def test_wait_may_stand_in_the_metadata_of_the_error() -> None:
    clock = InstantClock(wall=NOW)
    refused = Error(429, "RATELIMIT", "", {"retry_after": "0.25"})
    await linked(Attempts(refused), clock=clock)(call(), "x")
    assert clock.waited == [0.35]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc-retry-pushback-ms", "-1"),
        ("grpc-retry-pushback-ms", "later"),
        ("grpc-retry-pushback-ms", "1" * 20),
        ("retry-after", "31"),
    ],
)
async def test_server_may_forbid_another_attempt(name: str, value: str) -> None:
    transport = Attempts(BUSY)
    transport.before = asks(name, value, trailer=True)
    with pytest.raises(Error, match="BUSY"):
        await linked(transport)(call(), "x")
    assert len(transport.calls) == 1


async def test_call_that_would_wait_past_its_deadline_ends_at_once() -> None:
    transport, clock = Attempts(BUSY), InstantClock(wall=NOW)
    limited = call(deadline=asyncio.get_running_loop().time() + 0.05)
    with pytest.raises(Error, match="BUSY"):
        await linked(transport, clock=clock)(limited, "x")
    assert clock.waited == []


async def test_retries_stay_within_the_budget() -> None:
    budget = RetryBudget(ratio=0.5, min_per_second=0)
    transport = Attempts("ok", "ok", BUSY, "ok", BUSY)
    run = linked(transport, budget=budget)
    for _ in range(3):
        assert await run(call(), "x") == "ok"
    with pytest.raises(Error, match="BUSY"):
        await run(call(), "x")
    assert (budget.stats().granted, budget.stats().refused) == (1, 1)


async def test_answers_that_blame_the_caller_earn_retries_too() -> None:
    budget = TokenRetryBudget(max_tokens=1, token_ratio=0.5)
    budget.withdraw()
    with pytest.raises(Error, match="GONE"):
        await linked(Attempts(Error(404, "GONE")), budget=budget)(call(), "x")
    with pytest.raises(Error, match="BROKEN"):
        await linked(Attempts(Error(500, "BROKEN")), budget=budget)(call(), "x")
    budget.deposit()
    assert budget.stats().balance == 0
    assert budget.withdraw() is False


async def test_each_attempt_avoids_the_nodes_before_it() -> None:
    transport = Attempts(BUSY, BUSY)
    own = call()
    own.options = CallOptions(avoid={"n9"}, key="k")
    await linked(transport)(own, "x")
    avoided = [set(each.options.avoid) for each in transport.calls]
    assert avoided == [{"n9"}, {"n9", "n1"}, {"n9", "n1", "n2"}]
    assert [each.options.key for each in transport.calls] == ["k", "k", "k"]


async def test_each_attempt_has_the_headers_of_the_call_and_no_others() -> None:
    transport = Attempts(BUSY)
    transport.before = lambda call: call.headers.add("x-inside", "1")
    own = call()
    own.headers.set("x-own", "1")
    await linked(transport)(own, "x")
    assert [each.headers.values("x-inside") for each in transport.calls] == [["1"], ["1"]]
    assert own.headers.keys() == ["x-own"]


async def test_call_ends_with_what_its_last_attempt_got() -> None:
    transport = Attempts(BUSY)
    transport.before = lambda call: call.reply_headers.set("x-served-by", call.peer)
    own = call()
    await linked(transport)(own, "x")
    assert (own.peer, own.reply_headers.get("x-served-by")) == ("n2", "n2")


async def test_cancelled_call_is_not_made_again() -> None:
    transport = Attempts(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await linked(transport)(call(), "x")
    assert len(transport.calls) == 1


@pytest.mark.parametrize(("requests", "attempts"), [(["a", "b"], 2), (("a",), 2), (iter(["a"]), 1)])
async def test_stream_of_requests_is_sent_again_only_if_it_can_be(
    requests: object, attempts: int
) -> None:
    of = method(Arity.CLIENT_STREAM)
    transport = Attempts(BUSY, *[BUSY] * (2 - attempts))
    run = linked(transport, of, attempts=2)
    if attempts == 2:
        assert await run(call(of), requests) == "ok"
    else:
        with pytest.raises(Error, match="BUSY"):
            await run(call(of), requests)
    assert len(transport.calls) == attempts


def test_middleware_leaves_itself_out_where_it_has_nothing_to_do() -> None:
    assert retry(key_header="").bind(method(idempotent=False)) is None
    assert retry().bind(method(Arity.SERVER_STREAM, idempotent=False)) is None
    assert retry(1).bind(method()) is None


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempt_timeout": 0},
        {"attempt_timeout": float("inf")},
        {"stream_patience": -1},
        {"max_retry_after": -1},
        {"codes": "503"},
        {"reasons": "BUSY"},
    ],
    ids=str,
)
def test_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        retry(**options)


class Recorder:
    """A selector that keeps what it was told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, OutcomeKind]] = []
        self._inner = RandomChoice(random=lambda: 0.0)

    def apply(self, nodes: Sequence[Node], /) -> None:
        self._inner.apply(nodes)

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        return _Recorded(self._inner.select(call, filters=filters, avoid=avoid), self.ends)


class _Recorded:
    def __init__(self, pick: Pick, ends: list[tuple[str, OutcomeKind]]) -> None:
        self.node = pick.node
        self._pick = pick
        self._ends = ends

    def done(self, outcome: Outcome, /) -> None:
        self._ends.append((self.node.address, outcome.kind))
        self._pick.done(outcome)


class Failing(EchoService):
    """Fails a number of calls, then answers."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def echo(self, request: Any, /) -> Any:
        await super().echo(request)
        if self.failures:
            self.failures -= 1
            raise Error(503, "BUSY")
        return request


class Bench:
    """A client of nodes a:1 and b:1, which prefers the first, whether anything is there or not."""

    def __init__(self, *middleware: Any, first: EchoService | None = None) -> None:
        self.connector = FakeConnector(lazy=True)
        self.selector = Recorder()
        self.second = EchoService()
        if first is not None:
            self.connector.serve("a:1", first)
        self.connector.serve("b:1", self.second)
        self.pool = Pool(self.connector, self.selector, target="test")
        nodes = tuple(Node(scheme="http", address=address) for address in ("a:1", "b:1"))
        self.pool.apply(NodeSet(nodes=nodes, revision=1))
        self.caller = ChainCaller(
            self.pool.invoke, transport="http", middleware=middleware, timeout=None
        )


def always(_method: Method[Any, Any]) -> bool:
    return True


def quick(**options: Any) -> Any:
    return retry(clock=InstantClock(wall=NOW), backoff=EVEN, idempotent=always, **options)


async def test_retry_goes_to_another_node_and_selector_hears_of_each_attempt_once() -> None:
    bench = Bench(quick(), first=Failing(1))
    assert (await bench.caller.unary(ECHO, text("x"))).value == "x"
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE), ("b:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_guard_outside_hears_of_the_call_and_guard_inside_of_each_attempt() -> None:
    outside, inside = Ledger(), Ledger()
    bench = Bench(
        circuitbreaker(lambda: outside),
        quick(),
        circuitbreaker(lambda: inside),
        first=Failing(1),
    )
    await bench.caller.unary(ECHO, text("x"))
    assert [end.value for end in outside.outcomes] == ["success"]
    assert [end.value for end in inside.outcomes] == ["failure", "success"]
    assert (outside.inside, inside.inside) == (0, 0)
    await bench.pool.aclose()


async def test_slot_inside_is_free_while_a_call_waits_for_its_next_attempt() -> None:
    inside = Ledger()
    held = list[int]()

    class Looks(InstantClock):
        async def sleep(self, seconds: float, /) -> None:
            held.append(inside.inside)

    waiting = retry(clock=Looks(), backoff=EVEN, idempotent=always)
    bench = Bench(waiting, circuitbreaker(lambda: inside), first=Failing(1))
    await bench.caller.unary(ECHO, text("x"))
    assert held == [0]
    await bench.pool.aclose()


async def test_attempt_that_runs_out_of_its_time_is_made_again() -> None:
    bench = Bench(quick(attempt_timeout=0.5), first=_Hanging())
    assert (await bench.caller.unary(ECHO, text("x"))).value == "x"
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE), ("b:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_deadline_of_the_call_ends_all_attempts() -> None:
    bench = Bench(quick(), first=_Hanging())
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await bench.caller.unary(ECHO, text("x"), CallOptions(timeout=0.5))
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE)]
    await bench.pool.aclose()


async def test_stream_is_opened_again_while_the_caller_does_not_hold_it() -> None:
    bench = Bench(quick())
    async with bench.caller.server_stream(WATCH, text("a b")) as replies:
        assert [reply.value async for reply in replies] == ["a", "b"]
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE), ("b:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_stream_that_fails_after_a_message_is_not_opened_again() -> None:
    bench = Bench(quick(codes={400, 500, 503}), first=EchoService())
    async with bench.caller.server_stream(WATCH, text("a fail")) as replies:
        assert (await anext(replies)).value == "a"
        with pytest.raises(Error):
            await anext(replies)
    assert len(bench.selector.ends) == 1
    assert bench.second.seen == []
    await bench.pool.aclose()


async def test_stream_that_fails_before_a_message_is_opened_again() -> None:
    bench = Bench(quick(), first=Refusing())
    async with bench.caller.server_stream(WATCH, text("a b")) as replies:
        assert [reply.value async for reply in replies] == ["a", "b"]
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE), ("b:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_stream_that_is_silent_is_handed_over_all_the_same() -> None:
    bench = Bench(quick(stream_patience=0.01), first=EchoService())
    async with bench.caller.server_stream(WATCH, text("hang")) as replies:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(replies), 0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(replies), 0.01)
    assert bench.selector.ends == [("a:1", OutcomeKind.CANCELLED)]
    await bench.pool.aclose()


async def test_stream_without_replies_ends_well() -> None:
    bench = Bench(quick(), first=EchoService())
    async with bench.caller.server_stream(WATCH, text("")) as replies:
        assert [reply.value async for reply in replies] == []
    assert bench.selector.ends == [("a:1", OutcomeKind.SUCCESS)]
    await bench.pool.aclose()


async def test_stream_of_an_impatient_caller_is_not_looked_at() -> None:
    bench = Bench(quick(stream_patience=0), first=Refusing())
    async with bench.caller.server_stream(WATCH, text("a b")) as replies:
        with pytest.raises(Error, match="BUSY"):
            await anext(replies)
    assert bench.selector.ends == [("a:1", OutcomeKind.FAILURE)]
    await bench.pool.aclose()


async def test_requests_of_a_conversation_are_sent_once() -> None:
    bench = Bench(quick())
    async with bench.caller.bidi_stream(CHAT) as stream:
        await stream.send(text("a"))
        await stream.end()
        assert [reply.value async for reply in stream] == ["a"]
    assert bench.second.seen == ["a"]
    assert [address for address, _ in bench.selector.ends] == ["a:1", "b:1"]
    await bench.pool.aclose()


async def test_sequence_of_requests_is_sent_to_the_next_node() -> None:
    bench = Bench(quick())
    reply = await bench.caller.client_stream(COLLECT, [text("a"), text("b")])
    assert reply.value == "a b"
    assert [address for address, _ in bench.selector.ends] == ["a:1", "b:1"]
    await bench.pool.aclose()


class Refusing(EchoService):
    async def watch(self, request: Any, /) -> AsyncIterator[Any]:
        if request.value:
            raise Error(503, "BUSY")
        yield request


class _Hanging(EchoService):
    async def echo(self, request: Any, /) -> Any:
        await super().echo(text("hang"))
