from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import sentry_sdk
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.middleware import AnyMiddleware, recovery, request_id, tracing
from kratos.middleware import logging as logged
from kratos.offload import Offload
from kratos.principal import Principal, acting_as
from kratos.testing._guard import call_words, eventually
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ALL, CHAT, ECHO, WATCH, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.testing.service import serving
from kratos.testing.tracing import MemoryTracer
from kratos.transport import Call, CallOptions, Handler, Header, Method, Side
from kratos_sentry import server

TAGS = "_tags"  # of a scope, which has no other way to read them

every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])


async def called(
    word: str,
    *middleware: AnyMiddleware,
    method: Method[Any, Any] = ECHO,
    service: EchoService | None = None,
    headers: dict[str, str] | None = None,
) -> Exception | None:
    """Call once, and return what the caller gets if the call fails."""
    async with serving(service or EchoService(), middleware=middleware or [server()]) as caller:
        try:
            await call_words(caller, method, word, options=CallOptions(headers=headers or {}))
        except Error as error:
            return error
    return None


@every_arity
async def test_crash_is_reported_once_with_its_operation(
    sent: Any, method: Method[Any, Any]
) -> None:
    error = await called("crash", recovery(), logged(), server(), method=method)
    assert isinstance(error, Error)
    assert (error.code, error.reason) == (500, "UNKNOWN")
    event = sent.event
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("RuntimeError", "an inner secret")
    assert exception["mechanism"] == {"type": "kratos", "handled": False}
    assert exception["stacktrace"]["frames"][-1]["function"] == "_answer"
    assert event["transaction"] == method.operation
    assert event["contexts"]["kratos"]["arity"] == method.arity.name.lower()
    assert event["tags"] == {
        "code": "500",
        "reason": "UNKNOWN",
        "operation": method.operation,
        "kind": "server",
        "component": "local",
    }


@every_arity
async def test_error_of_the_callers_making_is_not_reported(
    sent: Any, method: Method[Any, Any]
) -> None:
    assert await called("fail", recovery(), logged(), server(), method=method)
    assert sent.events == []


def raising(error: Exception) -> AnyMiddleware:
    async def raises(_call: Call, _request: Any, _next: Handler, /) -> Any:
        raise error

    return raises


@pytest.mark.parametrize(
    ("code", "min_code", "reported"),
    [(499, 500, 0), (500, 500, 1), (503, 500, 1), (404, 400, 1), (503, 504, 0)],
)
async def test_errors_are_reported_from_a_code_on(
    sent: Any, code: int, min_code: int, reported: int
) -> None:
    error = Error(code, "REASON", "message")
    await called("a", server(min_code=min_code), raising(error))
    assert len(sent.events) == reported
    for event in sent.events:
        assert (event["tags"]["code"], event["tags"]["reason"]) == (str(code), "REASON")
        assert event["exception"]["values"][-1]["mechanism"]["handled"] is True


async def test_function_decides_what_is_reported(sent: Any) -> None:
    decide = server(report=lambda call, error: isinstance(error, LookupError))
    await called("a", decide, raising(LookupError("wanted")))
    await called("a", decide, raising(ValueError("not wanted")))
    assert sent.event["exception"]["values"][0]["value"] == "wanted"


async def test_error_that_is_raised_again_and_again_is_reported_each_time(sent: Any) -> None:
    away = Error(503, "AWAY", "the stock is away")
    for _ in range(3):
        await called("a", server(), raising(away))
    assert len(sent.events) == 3


async def test_service_that_fails_as_a_whole_reports_some_and_counts_the_others(sent: Any) -> None:
    clock = FakeClock()
    reporting = server(rate=2, clock=clock)
    for _ in range(7):
        await called("crash", recovery(), reporting)
    assert len(sent.events) == 2
    await clock.advance(0.5)
    await called("crash", recovery(), reporting)
    assert len(sent.events) == 3
    assert sent.events[2]["extra"]["not_reported_before"] == 5
    await clock.advance(60)
    for _ in range(7):
        await called("crash", recovery(), reporting)
    assert len(sent.events) == 5
    assert "not_reported_before" not in sent.events[3].get("extra", {})


async def test_two_of_it_in_one_chain_report_once(sent: Any) -> None:
    await called("crash", server(), server())
    assert len(sent.events) == 1


async def test_function_that_fails_spoils_no_call_and_loses_no_event(sent: Any) -> None:
    log = MemoryLogger()

    def fail(*_: Any) -> Any:
        raise LookupError("not today")

    error = await called("crash", server(report=fail, context_tags=fail, log=log))
    assert isinstance(error, Error)
    assert error.code == 500
    assert sent.event["exception"]["values"][0]["type"] == "RuntimeError"
    assert log.messages() == [
        "report of Sentry's middleware failed",
        "tags for Sentry cannot be found",
    ]


async def test_passed_deadline_is_reported_with_the_place_that_waited(sent: Any) -> None:
    service = EchoService()
    async with serving(service, middleware=[server()], timeout=0.05, client_timeout=None) as caller:
        with pytest.raises(Error, match="deadline"):
            await call_words(caller, ECHO, "hang")
    event = sent.event
    cancelled, shown = event["exception"]["values"]
    assert cancelled["stacktrace"]["frames"][-1]["function"] == "_answer"
    assert shown["type"] == "Error"
    assert event["tags"]["reason"] == "DEADLINE_EXCEEDED"
    assert event["contexts"]["kratos"]["cause"] == "deadline"


@every_arity
async def test_call_that_its_caller_left_is_not_reported(
    sent: Any, method: Method[Any, Any]
) -> None:
    service = EchoService()
    async with serving(service, middleware=[server()], timeout=None, client_timeout=None) as caller:
        calling = asyncio.create_task(call_words(caller, method, "hang"))
        await eventually(service.entered)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await eventually(service.left)
    assert sent.events == []


async def test_caller_request_and_trace_are_told(sent: Any) -> None:
    tracer = MemoryTracer()
    ada = Principal(subject="ada", scheme="jwt", issuer="https://issuer")

    async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
        with acting_as(ada):
            return await next(call, request)

    chain: list[AnyMiddleware] = [recovery(), request_id(), tracing(tracer), authenticate, server()]
    await called("crash", *chain, headers={"x-request-id": "0b7f"})
    event = sent.event
    span = tracer.spans[0].context
    assert event["user"] == {"id": "ada", "scheme": "jwt", "issuer": "https://issuer"}
    assert event["tags"]["request_id"] == "0b7f"
    assert event["tags"]["trace_id"] == span.trace_id
    assert event["contexts"]["trace"]["trace_id"] == span.trace_id
    assert event["contexts"]["trace"]["span_id"] == span.span_id


async def test_caller_and_headers_are_left_out_if_they_are_not_wanted(sent: Any) -> None:
    async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
        with acting_as(Principal(subject="ada", scheme="jwt")):
            return await next(call, request)

    chain: list[AnyMiddleware] = [authenticate, server(user=False, headers=False)]
    await called("crash", *chain, headers={"x-color": "red"})
    event = sent.event
    assert "user" not in event
    assert "Headers" not in event["contexts"]


async def test_tags_of_the_service_and_of_the_call_are_told(sent: Any) -> None:
    reporting = server(
        tags={"team": "shop", "place": "here"},
        context_tags=lambda call: {"place": call.headers.get("x-place")},
    )
    await called("crash", reporting, headers={"x-place": "there"})
    tags = sent.event["tags"]
    assert (tags["team"], tags["place"]) == ("shop", "there")


class TestScopes:
    class Tagging(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            # What another call, or the message before it on another stream, has left here.
            before: Any = getattr(sentry_sdk.get_isolation_scope(), TAGS)
            assert before.get("word") in (None, "first"), before
            sentry_sdk.set_tag("word", request.value)
            sentry_sdk.add_breadcrumb(message=f"crumb of {request.value}")
            await asyncio.sleep(0)
            return await super()._answer(request)

    @every_arity
    async def test_what_a_handler_says_stays_with_its_call(
        self, sent: Any, method: Method[Any, Any]
    ) -> None:
        async with serving(self.Tagging(), middleware=[server()]) as caller:
            await asyncio.gather(
                *(call_words(caller, method, "quiet") for _ in range(4)),
                *(call_words(caller, method, "crash") for _ in range(4)),
                return_exceptions=True,
            )
        events = sent.events
        assert [event["tags"]["word"] for event in events] == ["crash"] * 4
        for event in events:
            crumbs = [each["message"] for each in event["breadcrumbs"]["values"]]
            assert crumbs == ["crumb of crash"]
        sentry_sdk.capture_message("outside")
        assert "word" not in sent.events[-1].get("tags", {})

    async def test_stream_has_one_scope_to_its_end(self, sent: Any) -> None:
        async with (
            serving(self.Tagging(), middleware=[server()]) as caller,
            caller.bidi_stream(CHAT, None) as chat,
        ):
            await chat.send(text("first"))
            await anext(aiter(chat))
            assert await called("quiet") is None
            await chat.send(text("crash"))
            with pytest.raises(Error):
                await anext(aiter(chat))
        event = sent.event
        assert event["tags"]["word"] == "crash"
        crumbs = [each["message"] for each in event["breadcrumbs"]["values"]]
        assert crumbs == ["crumb of first", "crumb of crash"]
        assert event["contexts"]["kratos"] == {
            "arity": "bidi_stream",
            "sent": 1,
            "received": 2,
            "cause": "",
        }

    async def test_what_is_captured_in_tasks_and_threads_of_a_call_is_its_own(
        self, sent: Any
    ) -> None:
        class Capturing(EchoService):
            async def _answer(self, request: StringValue) -> StringValue:
                async def capture() -> None:
                    sentry_sdk.capture_message("task")

                await asyncio.create_task(capture())
                offload = Offload()
                await offload.run(sentry_sdk.capture_message, "thread")
                await offload.aclose()
                logging.getLogger("shop").error("library")
                return request

        await called("a", service=Capturing())
        told = {
            event.get("message") or event["logentry"]["message"]: event["transaction"]
            for event in sent.events
        }
        assert told == dict.fromkeys(("task", "thread", "library"), ECHO.operation)

    async def test_exception_that_the_handler_captured_itself_is_no_second_event(
        self, sent: Any
    ) -> None:
        class Capturing(EchoService):
            async def _answer(self, request: StringValue) -> StringValue:
                try:
                    return await super()._answer(request)
                except RuntimeError as error:
                    sentry_sdk.capture_exception(error)
                    raise

        await called("crash", service=Capturing())
        assert len(sent.events) == 1


SECRETS = ("hunter2", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "4111-4111")


class Telling(EchoService):
    """Puts secrets wherever they might get out."""

    async def _answer(self, request: StringValue) -> StringValue:
        password = "hunter2"
        card = text("4111-4111")  # a message, whose text would show its fields
        sentry_sdk.set_extra("db_password", password)
        sentry_sdk.set_context("shop", {"api_key": password, "url": f"redis://u:{password}@h/0"})
        sentry_sdk.set_tag("token", password)
        sentry_sdk.add_breadcrumb(message=f"password={password}", data={"secret": password})
        logging.getLogger("shop").warning("connecting to %s", f"redis://u:{password}@h/0")
        raise RuntimeError(f"redis://u:{password}@h/0 refused {card is request} token={password}")


@pytest.mark.parametrize("tell_addresses", [False, True])
async def test_nothing_secret_is_told(sent: Any, tell_addresses: bool) -> None:
    headers = {
        "authorization": f"Bearer {SECRETS[1]}",
        "cookie": "session=hunter2",
        "x-api-key": "hunter2",
        "x-trace": f"see {SECRETS[1]}",
        "x-color": "red",
        "x-forwarded-for": "203.0.113.7",
    }
    reporting = server(addresses=tell_addresses)
    await called("a", recovery(), reporting, service=Telling(), headers=headers)
    (told,) = sent.texts
    for secret in SECRETS:
        lines = [line for line in told.split(",") if secret in line]
        # A trace shows lines of the program, whose constants are no secrets.
        assert [line for line in lines if "_line" not in line and "RuntimeError" not in line] == []
    event = sent.event
    assert event["contexts"]["Headers"]["x-color"] == "red"
    assert ("203.0.113.7" in told) is tell_addresses
    assert all(
        not frame.get("vars")
        for value in event["exception"]["values"]
        for frame in value["stacktrace"]["frames"]
    )


async def test_local_variables_are_told_if_they_are_wanted_and_by_their_names_hidden(
    sent: Any,
) -> None:
    await called("a", server(local_variables=True), service=Telling())
    frame = sent.event["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert frame["vars"]["password"] in ("***", "[Filtered]")
    assert "4111" in frame["vars"]["card"]


async def test_request_over_http_is_told_as_one(sent: Any) -> None:
    call = Call(ECHO, side=Side.SERVER, transport="http")
    call.headers = Header.of([("host", "shop"), ("authorization", "hunter2")])
    call.endpoint, call.path, call.rule = "http://127.0.0.1:8000", b"/echo", ECHO.http[0]

    async def crash(_call: Call, _request: Any) -> Any:
        raise LookupError("no such order")

    with pytest.raises(LookupError):
        await server()(call, text("a"), crash)
    request = sent.event["request"]
    assert (request["url"], request["method"]) == ("http://127.0.0.1:8000/echo", "POST")
    assert request["headers"]["host"] == "shop"
    assert request["headers"]["authorization"] in ("***", "[Filtered]")  # also of sentry_sdk


async def test_call_over_grpc_is_told_as_in_go(sent: Any) -> None:
    call = Call(WATCH, side=Side.SERVER, transport="grpc", peer="[::1]:4711")
    call.headers = Header.of([("x-color", "red"), ("authorization", "hunter2")])
    call.endpoint = "grpc://127.0.0.1:9000"

    async def crash(_call: Call, _request: Any) -> Any:
        raise LookupError("no such order")

    with pytest.raises(LookupError):
        await server(addresses=True)(call, text("a"), crash)
    contexts = sent.event["contexts"]
    assert contexts["gRPC"] == {
        "endpoint": "grpc://127.0.0.1:9000",
        "operation": "/kratos.testing.Echo/Watch",
    }
    assert contexts["Headers"]["x-color"] == "red"
    assert "hunter2" not in str(contexts)
    assert contexts["kratos"]["peer"] == "[::1]:4711"


async def test_call_waits_for_its_event_if_it_is_told_to(sent: Any) -> None:
    await called("crash", server(wait_for_delivery=True, timeout=3))
    assert sent.flushed == [3]
    await called("a", server(wait_for_delivery=True))
    await called("crash", server())
    assert sent.flushed == [3]


async def test_calls_go_on_while_sentry_is_not_initialised() -> None:
    assert not sentry_sdk.get_client().is_active()
    error = await called("crash")
    assert isinstance(error, Error)
    assert await called("a") is None


@pytest.mark.parametrize(
    "options",
    [
        {"min_code": "500"},
        {"report": 1},
        {"context_tags": {}},
        {"timeout": 0},
        {"rate": 0},
        {"log": 7},
    ],
)
def test_wrong_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        server(**options)


async def test_stream_that_ends_well_or_is_left_is_no_failure(sent: Any) -> None:
    async with serving(EchoService(), middleware=[server()]) as caller:
        async with caller.server_stream(WATCH, text("a b c"), None) as replies:
            assert [reply.value async for reply in replies] == ["a", "b", "c"]
        async with caller.server_stream(WATCH, text("a b c"), None) as replies:
            await anext(aiter(replies))
    assert sent.events == []
