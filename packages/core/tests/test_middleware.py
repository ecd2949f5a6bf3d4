"""The ready-made middleware: recovery, logging, metadata, timeout."""

from __future__ import annotations

import asyncio
import logging as std_logging
import math
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.log import Level
from kratos.metadata import Metadata, client_context, server_metadata
from kratos.middleware import logging, metadata, outcome, recovered_after, recovery, timeout
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.transport import Call, CallOptions, Cause, Side, local


async def test_recovery_logs_the_exception_and_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Error) as failure:
        await local(EchoService(), middleware=[recovery()]).unary(ECHO, text("crash"))
    error = failure.value
    assert (error.code, error.reason, error.message) == (500, "UNKNOWN", "unknown request error")
    assert "an inner secret" in caplog.text


async def test_recovery_leaves_good_replies_and_errors_alone() -> None:
    caller = local(EchoService(), middleware=[recovery()])
    assert (await caller.unary(ECHO, text("x"))).value == "x"
    with pytest.raises(Error, match="BUSY"):
        await caller.unary(ECHO, text("fail"))


async def test_recovery_asks_the_handler_for_the_error() -> None:
    async def explain(call: Call, request: Any, error: Exception) -> Error:
        return Error(503, "BROKEN", f"{call.method.name} {request.value} {error}")

    with pytest.raises(Error) as failure:
        await local(EchoService(), middleware=[recovery(handler=explain)]).unary(
            ECHO, text("crash")
        )
    assert failure.value.message == "echo crash an inner secret"


async def test_handler_of_recovery_knows_how_long_the_call_took() -> None:
    took: list[float | None] = []

    async def explain(_call: Call, _request: Any, _error: Exception) -> Error:
        took.append(recovered_after())
        return Error(503, "BROKEN")

    caller = local(EchoService(), middleware=[recovery(handler=explain)])
    with pytest.raises(Error, match="BROKEN"):
        await caller.unary(ECHO, text("crash"))
    assert [seconds is not None and 0.0 < seconds < 60.0 for seconds in took] == [True]
    assert recovered_after() is None


async def test_recovery_writes_to_the_logger_that_it_is_given() -> None:
    logger = MemoryLogger()
    with pytest.raises(Error):
        await local(EchoService(), middleware=[recovery(logger=logger)]).unary(ECHO, text("crash"))
    ((level, message, told),) = logger.records
    assert (level, message) == (Level.ERROR, "exception recovered")
    assert told["operation"] == ECHO.operation
    assert isinstance(told["error"], Exception)


def fields(record: std_logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = record.__dict__["kratos"]
    return found


async def test_log_tells_kind_component_operation_args_code_reason_latency(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")
    caller = local(EchoService(), middleware=[logging()], client_middleware=[logging()])
    await caller.unary(ECHO, text("x"))
    served, called = caplog.records
    assert list(fields(served)) == [
        "kind",
        "component",
        "operation",
        "args",
        "code",
        "reason",
        "latency",
        "budget",
        "budget_left",
    ]
    assert fields(served)["kind"] == "server"
    assert fields(called)["kind"] == "client"
    assert fields(served)["operation"] == ECHO.operation
    assert fields(served)["args"] == 'value: "x"'
    assert fields(served)["latency"] >= 0
    assert served.levelname == "INFO"
    assert served.getMessage().startswith("server request kind=server component=local")


async def test_log_of_a_failure_has_level_error_and_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")
    with pytest.raises(Error):
        await local(EchoService(), middleware=[logging()]).unary(ECHO, text("fail"))
    record = caplog.records[0]
    assert record.levelname == "ERROR"
    assert (fields(record)["code"], fields(record)["reason"]) == (409, "BUSY")
    assert "try later" in fields(record)["error"]


async def test_nothing_that_a_caller_sends_can_forge_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def core(call: Call, request: Any) -> Any:
        raise Error(404, "NONE", f"no user {request}")

    caplog.set_level(std_logging.INFO, "kratos.calls")
    call = Call(ECHO, side=Side.SERVER, transport="t")
    with pytest.raises(Error):
        await logging()(call, "x\nserver request kind=server code=200", core)
    told = caplog.records[0].getMessage()
    assert "\n" not in told
    assert 'args="x server request kind=server code=200" code=404' in told


async def test_log_asks_a_request_what_may_be_shown(caplog: pytest.LogCaptureFixture) -> None:

    class Secret:
        def redact(self) -> str:
            return "***"

    async def core(call: Call, request: Any) -> Any:
        return request

    caplog.set_level(std_logging.INFO, "kratos.calls")
    await logging()(Call(ECHO, side=Side.SERVER, transport="t"), Secret(), core)
    assert fields(caplog.records[0])["args"] == "***"


class Order:
    """A request with two texts."""

    def redact(self) -> str:
        return "order of somebody"

    def __str__(self) -> str:
        return "order of Ann"


async def logged(
    request: Any, error: BaseException | None = None, *, side: Side = Side.SERVER
) -> tuple[Level, str, dict[str, object]]:
    """Pass a request through the middleware and return the record of a logger of Kratos."""

    async def core(call: Call, request: Any) -> Any:
        if error is not None:
            raise error
        return "reply"

    logger = MemoryLogger()
    passed = logging(logger)(Call(ECHO, side=side, transport="http"), request, core)
    if error is None:
        assert await passed == "reply"
    else:
        with pytest.raises(type(error)) as raised:
            await passed
        assert raised.value is error
    (record,) = logger.records
    return record


@pytest.mark.parametrize("side", Side)
async def test_loggers_of_kratos_get_the_keys_of_go_in_their_order(side: Side) -> None:
    level, message, fields = await logged(text("x"), side=side)
    assert (level, message) == (Level.INFO, f"{side.value} request")
    latency = fields.pop("latency")
    assert isinstance(latency, float)
    assert latency >= 0
    assert list(fields.items()) == [
        ("kind", side.value),
        ("component", "http"),
        ("operation", ECHO.operation),
        ("args", 'value: "x"'),
        ("code", 200),
        ("reason", ""),
    ]


async def test_loggers_of_kratos_get_errors_with_their_text() -> None:
    level, message, fields = await logged(text("x"), Error(404, "NONE", "no such thing"))
    assert (level, message) == (Level.ERROR, "server request")
    assert list(fields)[4:] == ["code", "reason", "latency", "error"]
    assert (fields["code"], fields["reason"]) == (404, "NONE")
    assert "no such thing" in str(fields["error"])
    assert isinstance(fields["error"], str)


async def test_exception_that_nobody_expected_is_logged_with_its_trace() -> None:
    error = KeyError("no such key")
    level, _, fields = await logged(text("x"), error)
    assert level is Level.ERROR
    assert (fields["code"], fields["reason"]) == (500, "UNKNOWN")
    assert fields["error"] is error


async def test_exception_of_a_huge_text_is_cut_like_any_other() -> None:
    _, _, fields = await logged(text("x"), ValueError("x" * 100_000))
    assert isinstance(fields["error"], str)
    assert len(fields["error"]) < 17_000


async def test_redact_of_a_request_beats_its_text() -> None:
    assert (await logged(Order()))[2]["args"] == "order of somebody"


async def test_text_of_a_request_is_told_if_it_has_no_other_way() -> None:
    class Plain:
        def __str__(self) -> str:
            return "plain\ntext"

    assert (await logged(Plain()))[2]["args"] == "plain text"


async def test_request_that_cannot_be_described_fails_no_call() -> None:
    class Broken:
        def redact(self) -> str:
            raise ValueError("no")

    assert (await logged(Broken()))[2]["args"] == "<Broken, whose text fails: ValueError>"


async def test_redacted_text_is_cut_too() -> None:
    class Long:
        def redact(self) -> str:
            return "x" * 100_000

    assert len(str((await logged(Long()))[2]["args"])) < 17_000


async def test_no_args_are_made_for_a_record_that_nobody_wants() -> None:
    class Quiet(MemoryLogger):
        def enabled(self, level: Level, /) -> bool:
            return level >= Level.ERROR

    class Unasked:
        def redact(self) -> str:
            raise AssertionError("asked")

    async def core(call: Call, request: Any) -> Any:
        return request

    logger = Quiet()
    await logging(logger)(Call(ECHO, side=Side.SERVER, transport="t"), Unasked(), core)
    assert logger.records == []


async def test_log_shows_of_a_huge_request_how_huge_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")
    await local(EchoService(), middleware=[logging()]).unary(ECHO, text("x" * 100_000))
    assert fields(caplog.records[0])["args"] == "StringValue of 100004 bytes"


async def test_log_cuts_the_text_of_an_error_that_a_caller_may_have_chosen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def core(call: Call, request: Any) -> Any:
        raise Error(404, "N" * 100_000, "x" * 100_000)

    caplog.set_level(std_logging.INFO, "kratos.calls")
    with pytest.raises(Error):
        await logging()(Call(ECHO, side=Side.SERVER, transport="t"), text(""), core)
    for name in ("error", "reason"):
        told = fields(caplog.records[0])[name]
        assert len(told) < 17_000
        assert "characters)" in told


async def test_log_is_written_when_a_stream_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")
    async with local(EchoService(), middleware=[logging()]).server_stream(
        WATCH, text("a b")
    ) as replies:
        await anext(aiter(replies))
        assert caplog.records == []
        assert [reply.value async for reply in replies] == ["b"]
    assert len(caplog.records) == 1


class Tells(EchoService):
    """Answers with the metadata that its call brought."""

    async def echo(self, request: StringValue, /) -> StringValue:
        found = server_metadata()
        assert found is not None
        return text(";".join(f"{k}={','.join(v)}" for k, v in sorted(found.items())))


async def test_server_reads_headers_with_a_prefix_and_constants() -> None:
    caller = local(Tells(), middleware=[metadata(constants=Metadata({"const": ["1"]}))])
    options = CallOptions(
        headers={"X-Md-Global-A": ["1", "2"], "x-md-local-b": "3", "authorization": "no"}
    )
    reply = await caller.unary(ECHO, text(""), options)
    assert reply.value == "const=1;x-md-global-a=1,2;x-md-local-b=3"


async def test_client_sends_constants_its_own_metadata_and_what_is_global() -> None:
    inner = local(
        Tells(),
        middleware=[metadata(prefixes=["x-md-", "const", "custom"])],
        client_middleware=[metadata(constants=Metadata({"const": ["1"]}))],
    )

    class Relay(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            with client_context(Metadata({"custom": ["own"]})):
                return await inner.unary(ECHO, request)

    outer = local(Relay(), middleware=[metadata()])
    options = CallOptions(headers={"x-md-global-a": "1", "x-md-local-b": "2"})
    reply = await outer.unary(ECHO, text(""), options)
    assert reply.value == "const=1;custom=own;x-md-global-a=1"


async def test_metadata_of_a_call_is_gone_when_it_has_ended() -> None:
    caller = local(Tells(), middleware=[metadata()])
    await caller.unary(ECHO, text(""))
    assert server_metadata() is None


async def test_timeout_brings_the_deadline_forward_and_never_back() -> None:
    left: dict[str, float | None] = {}

    async def core(call: Call, request: Any) -> Any:
        left[request] = call.remaining()

    limited = timeout(10.0, operations={WATCH.operation: 3.0})
    for method in (ECHO, WATCH):
        bound = limited.bind(method)
        assert bound is not None
        await bound(Call(method, side=Side.SERVER, transport="t"), method.name, core)
    near = Call(
        ECHO,
        side=Side.SERVER,
        transport="t",
        deadline=asyncio.get_running_loop().time() + 1,
    )
    bound = limited.bind(ECHO)
    assert bound is not None
    await bound(near, "near", core)
    assert left["echo"] is not None
    assert 9 < left["echo"] <= 10
    assert left["watch"] is not None
    assert left["watch"] <= 3
    assert left["near"] is not None
    assert left["near"] <= 1


async def test_timeout_of_a_middleware_cancels_the_handler() -> None:
    service = EchoService()
    caller = local(service, middleware=[timeout(0.02)], timeout=None)
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await caller.unary(ECHO, text("hang"))
    assert service.interrupted == 1


async def test_timeout_on_the_client_side_ends_the_call() -> None:
    service = EchoService()
    caller = local(service, client_middleware=[timeout(0.02)], timeout=None)
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await caller.unary(ECHO, text("hang"))


def test_streams_are_limited_only_by_name() -> None:
    assert timeout(1.0).bind(WATCH) is None


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, math.inf])
def test_timeout_that_limits_nothing_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="seconds of timeout is a number above 0 and finite"):
        timeout(seconds)
    with pytest.raises(ConfigError, match="/a/b"):
        timeout(operations={"/a/b": seconds})


def test_outcome_tells_success_error_exception_and_cancellation_apart() -> None:
    call = Call(ECHO, side=Side.SERVER, transport="t")
    assert outcome(call, None).ok
    assert outcome(call, Error(404, "GONE")).reason == "GONE"
    assert (outcome(call, ValueError()).code, outcome(call, ValueError()).reason) == (
        500,
        "UNKNOWN",
    )
    assert outcome(call, asyncio.CancelledError()).cancelled
    call.cause = Cause.DEADLINE
    late = outcome(call, asyncio.CancelledError())
    assert (late.code, late.cancelled) == (504, False)
    call.cause = Cause.PEER_GONE
    gone = outcome(call, asyncio.CancelledError())
    assert (gone.code, gone.cancelled) == (499, True)


def test_outcome_of_a_call_that_was_cut_off_is_what_its_caller_gets() -> None:
    call = Call(ECHO, side=Side.SERVER, transport="t")
    call.cause = Cause.DEADLINE
    turned = Error(409, "HALF_DONE")
    end = outcome(call, turned)
    assert (end.code, end.reason) == (504, "DEADLINE_EXCEEDED")
    assert end.error is not None
    assert end.error.cause is turned


async def test_outcome_of_a_cancelled_attempt_tells_a_passed_deadline_from_a_caller() -> None:
    now = asyncio.get_running_loop().time()
    for deadline, code in ((now - 1, 504), (now + 60, 499), (None, 499)):
        call = Call(ECHO, side=Side.CLIENT, transport="t", deadline=deadline)
        assert outcome(call, asyncio.CancelledError()).code == code
