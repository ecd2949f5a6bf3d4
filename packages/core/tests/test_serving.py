"""A service behind its whole chain, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, server_call
from kratos.errors import Error, StartupError
from kratos.middleware import AnyMiddleware, circuitbreaker, recovery
from kratos.testing import FakeServer, client_of, running, serving
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import Call, CallOptions, Handler


class Names:
    """Notes which side of which call passes it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.seen.append(f"{call.side.value} {call.transport}")
        return await next(call, request)


async def test_call_runs_both_chains() -> None:
    names = Names()
    async with serving(EchoService(), middleware=[names], client_middleware=[names]) as client:
        assert (await client.unary(ECHO, text("ok"))).value == "ok"
    assert names.seen == ["client local", "server local"]


class Grouping(EchoService):
    """Raises what it was given out of a task group."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = failures

    async def echo(self, _request: StringValue, /) -> StringValue:
        async def fail(failure: Exception) -> None:
            raise failure

        async with asyncio.TaskGroup() as tasks:
            for failure in self.failures:
                tasks.create_task(fail(failure))
        return text("")


@pytest.mark.parametrize("middleware", [[], [recovery()]], ids=["bare", "recovery"])
async def test_error_out_of_a_task_group_reaches_the_caller_and_the_guards(
    middleware: list[AnyMiddleware], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger()
    service = Grouping(Error(404, "GONE", "left", {"id": "7"}), Error(503, "LATER"))
    chain = [circuitbreaker(lambda: ledger), *middleware]
    async with serving(service, middleware=chain) as client:
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("x"))
    error = failure.value
    assert (error.code, error.reason, error.message) == (404, "GONE", "left")
    assert error.metadata == {"id": "7"}
    assert [end.value for end in ledger.outcomes] == ["success"]
    assert caplog.records == []


@pytest.mark.parametrize("middleware", [[], [recovery()]], ids=["bare", "recovery"])
async def test_group_with_another_exception_is_unknown_to_the_caller_and_whole_in_the_log(
    middleware: list[AnyMiddleware], caplog: pytest.LogCaptureFixture
) -> None:
    service = Grouping(Error(404, "GONE"), ValueError("an inner secret"))
    async with serving(service, middleware=middleware) as client:
        with pytest.raises(Error, match="UNKNOWN"):
            await client.unary(ECHO, text("x"))
    assert "GONE" in caplog.text
    assert "an inner secret" in caplog.text


async def test_streams_of_all_kinds_pass() -> None:
    async with serving(EchoService()) as client:
        joined = await client.client_stream(COLLECT, [text("a"), text("b")])
        async with client.server_stream(WATCH, text("c d")) as replies:
            watched = [reply.value async for reply in replies]
        async with client.bidi_stream(CHAT) as stream:
            await stream.send(text("e"))
            chatted = (await anext(stream)).value
    assert (joined.value, watched, chatted) == ("a b", ["c", "d"], "e")


class Greeter(EchoService):
    """Reads a header and the deadline, writes a header and a trailer."""

    got: StringValue | None = None

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        self.got = request
        call.reply_headers.set("x-hello", call.headers.get("x-name") or "")
        call.trailers.set("x-left", str(call.deadline is not None))
        return request


async def test_headers_trailers_and_deadline_travel() -> None:
    ends: list[Call] = []
    options = CallOptions(headers={"x-name": "kratos"}, timeout=5, on_end=ends.append)
    async with serving(Greeter(), timeout=None) as client:
        await client.unary(ECHO, text("ok"), options)
    assert ends[0].reply_headers.get("x-hello") == "kratos"
    assert ends[0].trailers.get("x-left") == "True"


async def test_messages_are_handed_over_as_they_are() -> None:
    service, request = Greeter(), text("ok")
    async with serving(service) as client:
        assert await client.unary(ECHO, request) is request
    assert service.got is request


async def test_messages_are_encoded_where_that_is_wanted() -> None:
    service, request = Greeter(), text("ok")
    async with serving(service, encode=True) as client:
        assert await client.unary(ECHO, request) == request
    assert service.got == request
    assert service.got is not request


async def test_handler_that_is_too_slow_is_cancelled() -> None:
    service = EchoService()
    async with serving(service, timeout=0.05, client_timeout=None) as client:
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("hang"))
    assert failure.value.code == 504


async def test_leaving_the_block_cuts_calls_off() -> None:
    service = EchoService()
    async with serving(service, timeout=None, client_timeout=None) as client:
        calling = asyncio.create_task(client.unary(ECHO, text("hang")))
        await service.entered.wait()
    with pytest.raises(Error) as failure:
        await calling
    assert failure.value.code == 503
    assert service.interrupted == 1


async def test_service_that_cannot_be_served_is_refused() -> None:
    wrong: Any = EchoService
    with pytest.raises(StartupError, match="is no service"):
        async with serving(wrong):
            pass


async def test_application_without_the_wanted_endpoint_is_told() -> None:
    app = App(name="one", servers=[FakeServer(endpoint="grpc://127.0.0.1:1")], signals=())
    with pytest.raises(LookupError, match=r"no endpoint of 'http', but \['grpc://127.0.0.1:1'\]"):
        async with client_of(app, transport="http"):
            pass


async def requests() -> AsyncIterator[StringValue]:
    yield text("a")


async def test_generator_of_requests_is_read() -> None:
    async with serving(EchoService()) as client:
        assert (await client.client_stream(COLLECT, requests())).value == "a"


async def test_application_that_runs_already_is_refused_at_once_and_goes_on() -> None:
    server = FakeServer()
    app = App(servers=[server], signals=())
    async with running(app):
        with pytest.raises(RuntimeError, match="an App runs once"):
            async with running(app):
                raise AssertionError("it is another's")
        assert server.bound


async def test_service_in_place_of_an_application_is_refused() -> None:
    service: Any = EchoService()
    with pytest.raises(TypeError, match=r"an App is run, not .*by serving"):
        async with running(service):
            raise AssertionError("nothing runs")
