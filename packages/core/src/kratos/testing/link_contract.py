"""What every middleware has to show that lets ordinary calls pass, on each arity and each side.

Subclass ``LinkContract`` in a test module and give it a fixture ``make``, which returns what makes
the middleware. Needs pytest, and something that runs asynchronous tests. (That a *transport*
carries chains as it should is the business of ``kratos.testing.middleware_contract``.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, ClassVar

import pytest

from kratos.errors import Error
from kratos.middleware import AnyMiddleware
from kratos.testing._guard import call_words, eventually
from kratos.testing.echo import ALL, CHAT, WATCH, EchoService, text
from kratos.testing.leaks import LeakCheck
from kratos.transport import Arity, Call, Caller, CallOptions, ChainCaller, Handler, Method, Side
from kratos.transport.local import LocalTransport

__all__ = ["LinkContract", "Make"]

Make = Callable[[], AnyMiddleware]
"""What the fixture ``make`` returns."""


class _Probe:
    """Stands next to the middleware under test, and compares what is there before and after."""

    def __init__(self) -> None:
        self.entered = 0
        self.leaked: list[str] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.entered += 1
        before = dict(copy_context().items())
        try:
            return await next(call, request)
        finally:
            after = dict(copy_context().items())
            self.leaked += [
                variable.name
                for variable in before.keys() | after.keys()
                if before.get(variable) is not after.get(variable)
            ]


def _served(
    side: Side,
    middleware: AnyMiddleware,
    *,
    service: EchoService,
    outer: Sequence[AnyMiddleware] = (),
    inner: Sequence[AnyMiddleware] = (),
) -> Caller:
    """Return a caller of a service, with the middleware on one side."""
    links = [*outer, middleware, *inner]
    transport = LocalTransport(
        service, middleware=links if side is Side.SERVER else (), timeout=None
    )
    return ChainCaller(
        transport.invoke,
        transport="local",
        endpoint="local:",
        middleware=links if side is Side.CLIENT else (),
        timeout=None,
    )


class LinkContract:
    """What a middleware has to show. Provide a fixture ``make``.

    Attributes:
        sides: Where it may stand.
        arities: Of the operations that it has to let pass.
    """

    sides: ClassVar[frozenset[Side]] = frozenset(Side)
    arities: ClassVar[frozenset[Arity]] = frozenset(Arity)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test for each arity and each side."""
        if "side" in metafunc.fixturenames:
            sides = sorted(self.sides, key=lambda each: each.value)
            metafunc.parametrize("side", sides, ids=[each.value for each in sides])
        methods = [each for each in ALL if each.arity in self.arities]
        streams = [each for each in methods if each.arity.server_streams]
        for name, given in (("method", methods), ("stream", streams)):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, given, ids=[each.arity.value for each in given])

    async def test_ordinary_call_passes_unchanged(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        service, probe = EchoService(), _Probe()
        caller = _served(side, make(), service=service, inner=[probe])
        words = ["a"] if method.arity is Arity.UNARY else ["a", "b"]
        answers = await call_words(caller, method, *words)
        assert " ".join(answers) == " ".join(words)
        assert service.seen == words
        assert probe.entered == 1

    async def test_headers_pass_in_both_directions(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        seen: list[str] = []
        ends: list[Call] = []

        async def answer(call: Call, request: Any, next: Handler, /) -> Any:
            seen.extend(call.headers.values("x-color"))
            call.reply_headers.add("x-answer", "yes")
            return await next(call, request)

        service = EchoService()
        transport = LocalTransport(
            service, middleware=[*([make()] if side is Side.SERVER else []), answer], timeout=None
        )
        caller = ChainCaller(
            transport.invoke,
            transport="local",
            middleware=[make()] if side is Side.CLIENT else [],
            timeout=None,
        )
        options = CallOptions(headers={"x-color": ["red", "blue"]}, on_end=ends.append)
        await call_words(caller, method, "a", options=options)
        assert seen == ["red", "blue"]
        assert ends[0].reply_headers.values("x-answer") == ["yes"]

    async def test_error_of_the_handler_passes_whole(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        service = EchoService()
        caller = _served(side, make(), service=service)
        with pytest.raises(Error) as failed:
            await call_words(caller, method, "fail")
        error = failed.value
        assert (error.code, error.reason, error.message) == (409, "BUSY", "try later")
        assert error.metadata["table"] == "7"

    async def test_unexpected_exception_stays_a_failure_that_tells_nothing(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        caller = _served(side, make(), service=EchoService())
        with pytest.raises(Error) as failed:
            await call_words(caller, method, "crash")
        assert failed.value.code == 500
        assert "secret" not in str(failed.value)

    async def test_refusal_further_in_passes_and_the_handler_does_not_run(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
            raise Error(403, "FORBIDDEN", "not today")

        service = EchoService()
        caller = _served(side, make(), service=service, inner=[refuse])
        with pytest.raises(Error) as refused:
            await call_words(caller, method, "a")
        assert (refused.value.code, refused.value.reason) == (403, "FORBIDDEN")
        assert service.seen == []

    async def test_cancelled_caller_cancels_the_handler_and_stays_cancelled(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        check, service = LeakCheck(), EchoService()
        caller = _served(side, make(), service=service)
        calling = asyncio.create_task(call_words(caller, method, "hang"))
        await eventually(service.entered)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await eventually(service.left)
        assert service.interrupted == 1
        await check.nothing_left()

    async def test_left_stream_ends_the_handler(
        self, make: Make, side: Side, stream: Method[Any, Any]
    ) -> None:
        check, service = LeakCheck(), EchoService()
        caller = _served(side, make(), service=service)
        if stream is WATCH:
            async with caller.server_stream(WATCH, text("a hang"), None) as replies:
                assert (await anext(aiter(replies))).value == "a"
        else:
            async with caller.bidi_stream(CHAT, None) as chat:
                await chat.send(text("a"))
                assert (await anext(aiter(chat))).value == "a"
        await eventually(service.left)
        await check.nothing_left()

    async def test_context_is_as_it_was_after_the_call(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        for word in ("a", "fail", "crash"):
            probe = _Probe()
            caller = _served(side, make(), service=EchoService(), outer=[probe])
            try:
                await call_words(caller, method, word)
            except Error:
                assert word != "a"
            assert (probe.entered, probe.leaked) == (1, []), word

    async def test_calls_at_the_same_time_are_kept_apart(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        check = LeakCheck()
        caller = _served(side, make(), service=EchoService())
        words = [f"word{number}" for number in range(8)]
        answers = await asyncio.gather(*(call_words(caller, method, word) for word in words))
        assert answers == [[word] for word in words]
        await check.nothing_left()

    async def test_one_object_serves_several_chains(
        self, make: Make, side: Side, method: Method[Any, Any]
    ) -> None:
        """An application mounts it on each of its servers."""
        middleware = make()
        for _ in range(2):
            service = EchoService()
            caller = _served(side, middleware, service=service)
            assert await call_words(caller, method, "a") == ["a"]

    async def test_binding_asks_for_nothing_but_the_method(self, make: Make) -> None:
        """Chains are built at the start, by each server anew."""
        bind: Callable[[Method[Any, Any]], object] | None = getattr(make(), "bind", None)
        if bind is None:
            return
        for method in ALL * 2:
            bound = bind(method)
            assert bound is None or callable(bound)
