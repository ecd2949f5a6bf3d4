"""The middleware that sends a slow call once more."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from aegis import RetryBudget
from kratos.client.pool import Pool
from kratos.errors import ConfigError, Error
from kratos.middleware import Handler, chain, circuitbreaker, hedging, retry
from kratos.selector import Node, NodeFilter, NodeSet, Outcome, OutcomeKind, Pick, RandomChoice
from kratos.testing.clock import InstantClock
from kratos.testing.connector import FakeConnector
from kratos.testing.echo import COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import Arity, Call, CallOptions, ChainCaller, HttpRule, Method, Side

BUSY = Error(503, "BUSY")


def method(*, idempotent: bool = True, verb: str = "POST") -> Method[Any, Any]:
    return Method(
        operation="/test/Do",
        name="do",
        arity=Arity.UNARY,
        request=ECHO.request,
        reply=ECHO.reply,
        idempotent=idempotent,
        http=(HttpRule(verb=verb, path="/do"),),
    )


def call() -> Call:
    return Call(method(), side=Side.CLIENT, transport="test")


class Copies:
    """A transport whose copies of a call end as told: with a value, an error, or not at all."""

    def __init__(self, *ends: object) -> None:
        self.ends = list(ends)
        self.calls: list[Call] = []
        self.cancelled: list[str] = []
        self.hangs = asyncio.Event()

    async def __call__(self, call: Call, _request: Any) -> Any:
        call.seal()
        self.calls.append(call)
        call.peer = f"n{len(self.calls)}"
        end = self.ends.pop(0)
        call.reply_headers.set("x-served-by", call.peer)
        if end is None:
            if not self.ends:
                self.hangs.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(call.peer)
                raise
        if callable(end):
            end = end(call)
        if isinstance(end, BaseException):
            raise end
        return end


def linked(transport: Handler, **options: Any) -> Handler:
    options.setdefault("delay", 0.0)
    return chain([hedging(**options)], method(), transport)


async def test_copy_answers_for_a_call_that_hangs() -> None:
    transport, own = Copies(None, "second"), call()
    assert await linked(transport)(own, "x") == "second"
    assert transport.cancelled == ["n1"]
    assert (own.peer, own.reply_headers.get("x-served-by")) == ("n2", "n2")


async def test_call_that_is_answered_in_time_has_no_copy() -> None:
    transport = Copies("first")
    assert await linked(transport, delay=60.0)(call(), "x") == "first"
    assert len(transport.calls) == 1


async def test_copies_are_no_more_than_may_be() -> None:
    transport = Copies(None, None, "third")
    assert await linked(transport, attempts=3)(call(), "x") == "third"
    assert sorted(transport.cancelled) == ["n1", "n2"]


async def test_each_copy_avoids_the_nodes_of_the_others() -> None:
    transport, own = Copies(None, None, "third"), call()
    own.options = CallOptions(avoid={"n9"})
    await linked(transport, attempts=3)(own, "x")
    avoided = [set(each.options.avoid) for each in transport.calls]
    assert avoided == [{"n9"}, {"n9", "n1"}, {"n9", "n1", "n2"}]


async def test_error_that_may_pass_makes_way_for_the_next_copy() -> None:
    transport = Copies(BUSY, "second")
    assert await linked(transport, delay=60.0)(call(), "x") == "second"


async def test_error_that_will_not_pass_ends_the_call() -> None:
    transport, own = Copies(Error(404, "GONE")), call()
    with pytest.raises(Error, match="GONE"):
        await linked(transport, delay=60.0)(own, "x")
    assert own.peer == "n1"


async def test_server_that_asks_for_time_gets_no_copy() -> None:
    def pushes(call: Call) -> Error:
        call.trailers.set("grpc-retry-pushback-ms", "100")
        return BUSY

    transport = Copies(pushes, "second")
    with pytest.raises(Error, match="BUSY"):
        await linked(transport, delay=60.0)(call(), "x")
    assert len(transport.calls) == 1


async def test_copies_stay_within_the_budget() -> None:
    budget = RetryBudget(ratio=0.0, min_per_second=0.1, ttl=10)
    run = linked(Copies(BUSY, "second", BUSY), delay=60.0, budget=budget)
    assert await run(call(), "x") == "second"
    with pytest.raises(Error, match="BUSY"):
        await run(call(), "x")
    assert budget.stats().refused == 1


async def test_cancellation_of_the_call_cancels_its_copies() -> None:
    transport = Copies(None, None)
    running = asyncio.ensure_future(linked(transport)(call(), "x"))
    await transport.hangs.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(transport.cancelled) == ["n1", "n2"]


@pytest.mark.parametrize("of", [method(idempotent=False), WATCH, COLLECT])
def test_calls_that_may_not_run_twice_pass(of: Method[Any, Any]) -> None:
    assert hedging().bind(of) is None
    assert hedging(1).bind(method()) is None


def test_verb_may_say_that_a_call_may_run_twice() -> None:
    assert hedging().bind(method(idempotent=False, verb="GET")) is not None


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": 6}, "attempts"),
        ({"delay": -1.0}, "delay"),
        ({"quantile": 1.0}, "quantile"),
        ({"initial": 0.0}, "initial"),
        ({"codes": "503"}, "codes"),
    ],
)
def test_option_out_of_range_is_refused(options: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        hedging(**options)


class Recorder:
    """A selector that keeps what it was told, and prefers the first node."""

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


class Hanging(EchoService):
    async def echo(self, request: Any, /) -> Any:
        await super().echo(text("hang"))


def always(_method: Method[Any, Any]) -> bool:
    return True


def pool(selector: Any, first: EchoService) -> Pool:
    connector = FakeConnector(lazy=True)
    connector.serve("a:1", first)
    connector.serve("b:1", EchoService())
    made = Pool(connector, selector, target="test")
    nodes = tuple(Node(scheme="http", address=address) for address in ("a:1", "b:1"))
    made.apply(NodeSet(nodes=nodes, revision=1))
    return made


async def test_selector_and_guards_hear_of_each_copy_once() -> None:
    selector, outside, inside = Recorder(), Ledger(), Ledger()
    slow = Hanging()
    made = pool(selector, slow)
    caller = ChainCaller(
        made.invoke,
        transport="http",
        middleware=[
            circuitbreaker(lambda: outside),
            retry(idempotent=always),
            hedging(delay=0.01, idempotent=always),
            circuitbreaker(lambda: inside),
        ],
    )
    assert (await caller.unary(ECHO, text("x"))).value == "x"
    assert dict(selector.ends) == {"a:1": OutcomeKind.CANCELLED, "b:1": OutcomeKind.SUCCESS}
    assert len(selector.ends) == 2
    assert [end.value for end in outside.outcomes] == ["success"]
    assert sorted(end.value for end in inside.outcomes) == ["ignored", "success"]
    assert (outside.inside, inside.inside) == (0, 0)
    assert slow.interrupted == 1
    await made.aclose()


async def test_attempt_whose_copies_ran_out_of_its_time_is_made_again() -> None:
    selector, slow = Recorder(), Hanging()
    made = pool(selector, slow)
    caller = ChainCaller(
        made.invoke,
        transport="http",
        middleware=[
            retry(attempt_timeout=0.5, idempotent=always, clock=InstantClock()),
            hedging(delay=60.0, idempotent=always),
        ],
        timeout=None,
    )
    assert (await caller.unary(ECHO, text("x"))).value == "x"
    assert selector.ends == [("a:1", OutcomeKind.FAILURE), ("b:1", OutcomeKind.SUCCESS)]
    assert slow.interrupted == 1
    await made.aclose()


async def test_deadline_of_the_call_ends_all_copies() -> None:
    selector, slow = Recorder(), Hanging()
    made = pool(selector, slow)
    caller = ChainCaller(
        made.invoke, transport="http", middleware=[hedging(delay=60.0, idempotent=always)]
    )
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await caller.unary(ECHO, text("x"), CallOptions(timeout=0.5))
    assert selector.ends == [("a:1", OutcomeKind.FAILURE)]
    assert slow.interrupted == 1
    await made.aclose()
