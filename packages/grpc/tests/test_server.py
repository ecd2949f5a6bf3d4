"""The server as foreign clients see it: plain grpc.aio, without a line of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from kratos.errors import ConfigError, Error
from kratos.testing.echo import (
    CHAT,
    COLLECT,
    ECHO,
    NEVER,
    SHORT,
    WATCH,
    EchoService,
    text,
)
from kratos.transport import Arity, Call, Cause, Handler, Method, Service, server_call
from kratos_grpc import GrpcServer, ServerLimits
from kratos_grpc.status import DETAILS_KEY, WireStatus, from_status

SEND = Method(
    operation="/test.Blobs/Send",
    name="send",
    arity=Arity.SERVER_STREAM,
    request=StringValue,
    reply=BytesValue,
)


class Blobs(Service):
    """Sends messages that are larger than what a peer takes unread."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (SEND,)

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def send(self, request: StringValue, /) -> AsyncIterator[BytesValue]:
        self.entered.set()
        for _ in range(int(request.value)):
            yield BytesValue(value=bytes(2_000_000))


class Listener(EchoService):
    """Reads all that comes, and notes how that ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()
        self.end: BaseException | str = ""

    async def _listen(self, requests: AsyncIterator[StringValue]) -> None:
        try:
            async for request in requests:
                self.seen.append(request.value)
                self.entered.set()
            self.end = "a clean end"
        except BaseException as error:
            self.end = error
            raise
        finally:
            self.ended.set()

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        await self._listen(requests)
        return text("heard")

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        await self._listen(requests)
        yield text("heard")


class Ends:
    """Notes the cause that each call ended with."""

    def __init__(self) -> None:
        self.causes: list[Cause | None] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            self.causes.append(call.cause)


def wire(value: str) -> bytes:
    return text(value).SerializeToString()


def error_of(failure: grpc.aio.AioRpcError) -> Error:
    details = failure.trailing_metadata().get(DETAILS_KEY, b"")
    assert isinstance(details, bytes)
    code: int = failure.code().value[0]
    return from_status(WireStatus(code=code, message=failure.details() or "", details=details))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/kratos.testing.Echo/Nothing", "unknown method Nothing for service kratos.testing.Echo"),
        ("/no.such.Service/Echo", "unknown service no.such.Service"),
        ("/", "unknown service "),
    ],
)
async def test_unknown_operation_is_unimplemented_and_says_what_is_unknown(
    serve: Any, path: str, message: str
) -> None:
    async with serve(EchoService()) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await peer.unary_unary(path)(b"")
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert failure.value.details() == message


def channel(served: Any, *options: tuple[str, int]) -> Any:
    """Open a channel; its methods without serialisers have no types that checkers could use."""
    every = [("grpc.enable_http_proxy", 0), *options]
    return grpc.aio.insecure_channel(served.address, options=every)


# A window that does not grow.
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0))


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "server_stream"])
async def test_malformed_request_is_refused_before_the_chain(
    serve: Any, method: Method[Any, Any]
) -> None:
    ends = Ends()
    async with serve(EchoService(), middleware=[ends]) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, b"\xff\xff")
    error = error_of(failure.value)
    assert (error.code, error.reason) == (400, "CODEC")
    assert "google.protobuf.StringValue" in error.message
    assert ends.causes == []


@pytest.mark.parametrize("method", [COLLECT, CHAT], ids=["client_stream", "bidi_stream"])
async def test_malformed_message_of_a_stream_ends_the_call(
    serve: Any, method: Method[Any, Any]
) -> None:
    service = EchoService()
    async with serve(service) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, wire("one"), b"\xff\xff")
    assert (error_of(failure.value).code, error_of(failure.value).reason) == (400, "CODEC")
    assert service.seen == ["one"]


async def start(peer: Any, method: Method[Any, Any], *requests: bytes) -> Any:
    """Make a call that sends all requests, and return its reply or its replies."""
    path = method.operation
    if method.arity is Arity.UNARY:
        return await peer.unary_unary(path)(requests[0])
    if method.arity is Arity.CLIENT_STREAM:
        return await peer.stream_unary(path)(iter(requests))
    if method.arity is Arity.SERVER_STREAM:
        return [reply async for reply in peer.unary_stream(path)(requests[0])]
    return [reply async for reply in peer.stream_stream(path)(iter(requests))]


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "server_stream"])
async def test_call_that_ends_without_its_request_is_answered(
    serve: Any, method: Method[Any, Any]
) -> None:
    async with serve(EchoService()) as served, channel(served) as peer:
        call = peer.stream_unary(method.operation)()
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
    error = error_of(failure.value)
    assert (error.code, error.reason) == (501, "UNIMPLEMENTED")
    assert "takes one request, not none" in error.message


@pytest.mark.parametrize("method", [ECHO, COLLECT], ids=["unary", "client_stream"])
async def test_request_beyond_the_limit_is_refused(serve: Any, method: Method[Any, Any]) -> None:
    service = EchoService()
    limits = ServerLimits(max_receive=100)
    async with serve(service, limits=limits) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, wire("x" * 200))
        assert await start(peer, method, wire("x" * 50)) == wire("x" * 50)
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert service.seen == ["x" * 50]


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "server_stream"])
async def test_reply_beyond_the_limit_is_refused_and_logged(
    serve: Any, method: Method[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    limits = ServerLimits(max_send=100)
    async with serve(EchoService(), limits=limits) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, wire("x" * 200))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_of(failure.value).reason == "MESSAGE_TOO_LARGE"
    assert f"{method.operation}: the reply of 203 bytes exceeds 100" in caplog.text


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "server_stream"])
async def test_reply_of_a_wrong_type_is_a_failure_that_names_the_method(
    serve: Any, method: Method[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(EchoService):
        async def _answer(self, request: StringValue) -> Any:
            return BytesValue(value=b"wrong")

    async with serve(Wrong()) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, wire("one"))
    assert (error_of(failure.value).code, error_of(failure.value).reason) == (500, "UNKNOWN")
    assert f"{method.operation}: a StringValue is due" in caplog.text


@pytest.mark.parametrize("method", [COLLECT, CHAT], ids=["client_stream", "bidi_stream"])
async def test_peer_that_leaves_while_it_is_listened_to_is_no_end_of_its_requests(
    serve: Any, method: Method[Any, Any]
) -> None:
    service, ends = Listener(), Ends()
    async with serve(service, middleware=[ends]) as served, channel(served) as peer:
        call = peer.stream_stream(method.operation)()
        await call.write(wire("one"))
        await service.entered.wait()
        call.cancel()
        await service.ended.wait()
    assert isinstance(service.end, asyncio.CancelledError)
    assert ends.causes == [Cause.PEER_GONE]


@pytest.mark.parametrize("method", [COLLECT, CHAT], ids=["client_stream", "bidi_stream"])
async def test_draining_while_requests_are_awaited_is_no_end_of_them(
    serve: Any, method: Method[Any, Any]
) -> None:
    service, ends = Listener(), Ends()
    async with serve(service, middleware=[ends]) as served, channel(served) as peer:
        call = peer.stream_stream(method.operation)()
        await call.write(wire("one"))
        await service.entered.wait()
        await served.drain(0.0)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
    assert isinstance(service.end, asyncio.CancelledError)
    assert ends.causes == [Cause.DRAINING]
    assert (error_of(failure.value).code, error_of(failure.value).reason) == (503, "DRAINING")


@pytest.mark.parametrize("method", [COLLECT, CHAT], ids=["client_stream", "bidi_stream"])
async def test_half_close_is_the_end_of_the_requests(serve: Any, method: Method[Any, Any]) -> None:
    service = Listener()
    async with serve(service) as served, channel(served) as peer:
        call = peer.stream_stream(method.operation)()
        await call.write(wire("one"))
        await call.done_writing()
        assert await call.read() == wire("heard")
    assert service.end == "a clean end"


async def test_deadline_of_the_peer_is_the_cause_of_the_end(serve: Any) -> None:
    for short in SHORT:
        service, ends = EchoService(), Ends()
        async with serve(service, middleware=[ends]) as served, channel(served) as peer:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await peer.unary_unary(ECHO.operation)(wire("hang"), timeout=short)
            assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if service.entered.is_set():
                await service.left.wait()
                assert ends.causes == [Cause.DEADLINE]
                return
    pytest.fail(NEVER)


@pytest.mark.parametrize("timeout", [None, 400 * 86400.0])
async def test_deadline_that_is_years_away_is_none(serve: Any, timeout: float | None) -> None:
    seen: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.deadline)
        return await next(call, request)

    async with serve(EchoService(), middleware=[note]) as served, channel(served) as peer:
        await peer.unary_unary(ECHO.operation)(wire("ok"), timeout=timeout)
    assert seen == [None]


async def test_call_cut_off_at_its_first_message_still_gets_its_error(serve: Any) -> None:
    # The message waits for the peer's window when the server gives up on the call.
    given_up = asyncio.Event()

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            given_up.set()

    limits = {SEND.operation: 0.1}
    async with (
        serve(Blobs(), middleware=[note], timeouts=limits) as served,
        channel(served, *SMALL_WINDOW) as peer,
    ):
        call = peer.unary_stream(SEND.operation)(wire("3"))
        await given_up.wait()
        assert len(await call.read()) > 2_000_000
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
    assert (error_of(failure.value).code, error_of(failure.value).reason) == (
        504,
        "DEADLINE_EXCEEDED",
    )


async def test_slow_reader_holds_the_handler_back(serve: Any) -> None:
    sent: list[int] = []

    class Counting(Blobs):
        async def send(self, request: StringValue, /) -> AsyncIterator[BytesValue]:
            for number in range(20):
                sent.append(number)
                self.entered.set()
                yield BytesValue(value=bytes(2_000_000))

    service = Counting()
    async with serve(service) as served, channel(served, *SMALL_WINDOW) as peer:
        call = peer.unary_stream(SEND.operation)(wire("20"))
        await service.entered.wait()
        for _ in range(200):
            await asyncio.sleep(0)
        held = len(sent)
        replies = [reply async for reply in call]
    assert held < 20
    assert len(replies) == 20


@pytest.mark.parametrize("method", [ECHO, WATCH, CHAT], ids=lambda each: each.arity.value)
async def test_headers_and_trailers_go_with_an_error_too(
    serve: Any, method: Method[Any, Any]
) -> None:
    async def refuse(call: Call, request: Any, _next: Handler, /) -> Any:
        call.reply_headers.add("x-a", "1")
        call.reply_headers.add("x-a", "2")
        call.trailers.add_bytes("x-raw-bin", b"\x00\xff")
        if method.arity.client_streams:
            async for _ in request:  # grpc.aio takes a call for broken that ends while it sends
                pass
        raise Error(429, "RATELIMIT")

    async with serve(EchoService(), middleware=[refuse]) as served, channel(served) as peer:
        call = peer.stream_stream(method.operation)(iter([wire("one")]))
        headers = await call.initial_metadata()
        trailers = await call.trailing_metadata()
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert headers.get_all("x-a") == ["1", "2"]
    assert trailers["x-raw-bin"] == b"\x00\xff"
    assert DETAILS_KEY in trailers


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "server_stream"])
async def test_header_that_grpc_cannot_carry_fails_the_call_and_not_the_error(
    serve: Any, method: Method[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def paint(call: Call, request: Any, next: Handler, /) -> Any:
        call.reply_headers.add("x-color", "grün")
        return await next(call, request)

    async with serve(EchoService(), middleware=[paint]) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as success:
            await start(peer, method, wire("ok"))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, method, wire("fail"))
    assert (error_of(success.value).code, error_of(success.value).reason) == (500, "UNKNOWN")
    assert (error_of(failure.value).code, error_of(failure.value).reason) == (409, "BUSY")
    assert "x-color" in caplog.text


async def test_trailers_of_a_success_arrive(serve: Any) -> None:
    async def count(call: Call, request: Any, next: Handler, /) -> Any:
        reply = await next(call, request)
        call.trailers.add("x-sent", str(call.sent))
        return reply

    async with serve(EchoService(), middleware=[count]) as served, channel(served) as peer:
        call = peer.unary_stream(WATCH.operation)(wire("one two"))
        assert len([reply async for reply in call]) == 2
        assert (await call.trailing_metadata())["x-sent"] == "2"


async def test_request_metadata_is_read_with_all_values_and_bytes(serve: Any) -> None:
    seen: list[Call] = []

    class Noting(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            call = server_call()
            assert call is not None
            seen.append(call)
            return request

    metadata = (("x-a", "1"), ("x-a", "2"), ("x-raw-bin", b"\x00\xff"))
    async with serve(Noting()) as served, channel(served) as peer:
        await peer.unary_unary(ECHO.operation)(wire("ok"), metadata=metadata)
        address = served.address
    call = seen[0]
    assert call.headers.values("x-a") == ["1", "2"]
    assert call.headers.get_bytes("x-raw-bin") == b"\x00\xff"
    assert call.peer.startswith("127.0.0.1:")
    assert call.endpoint == f"grpc://{address}"


async def test_handler_that_awaits_something_cancelled_still_answers(serve: Any) -> None:
    class Broken(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
            return request

    async with serve(Broken()) as served, channel(served) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await start(peer, ECHO, wire("one"))
    assert failure.value.code() is grpc.StatusCode.CANCELLED


class Impatient(EchoService):
    """Gives up what it waits for, by itself, and answers."""

    async def _nothing(self) -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "without it"
        return "with it"

    async def echo(self, request: StringValue, /) -> StringValue:
        return text(await self._nothing())

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        return text(await self._nothing())

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        answer = await self._nothing()
        yield text(answer)


@pytest.mark.parametrize("method", [ECHO, COLLECT, WATCH], ids=lambda method: method.name)
async def test_time_limit_of_a_handler_is_none_of_its_peer(
    serve: Any, method: Method[Any, Any]
) -> None:
    ends = Ends()
    async with serve(Impatient(), middleware=[ends]) as served, channel(served) as peer:
        call = peer.stream_stream(method.operation)(iter([wire("x")]))
        assert [StringValue.FromString(reply).value async for reply in call] == ["without it"]
    assert ends.causes == [None]


async def test_replies_sent_from_several_tasks_arrive_whole(serve: Any) -> None:
    async def both(call: Call, _request: Any, _next: Handler, /) -> Any:
        async with asyncio.TaskGroup() as tasks:
            for word in ("one", "two", "three"):
                tasks.create_task(call.send(text(word)))

    async with serve(EchoService(), middleware=[both]) as served, channel(served) as peer:
        replies = await start(peer, WATCH, wire("ignored"))
    assert sorted(replies) == sorted([wire("one"), wire("two"), wire("three")])


async def test_cancelled_streams_leave_no_tasks(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served, channel(served) as peer:
        await start(peer, ECHO, wire("ok"))
        before = len(asyncio.all_tasks())
        for _ in range(20):
            calls = [peer.unary_stream(WATCH.operation)(wire("one hang")) for _ in range(10)]
            for call in calls:
                await call.read()
            for call in calls:
                call.cancel()
        while service.interrupted < 200:  # noqa: ASYNC110  the peer's tasks set no event here
            await asyncio.sleep(0)
        await settled(before)


async def settled(most: int) -> None:
    """Return when no more than so many tasks are left; the test's time limit bounds it."""
    while len(asyncio.all_tasks()) > most:  # noqa: ASYNC110  tasks of grpc.aio set no event
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tls": ("tls.crt", "tls.key")}, r"tls is ServerTls\(\.\.\.\) or None, not \('tls\.crt'"),
        ({"limits": {"max_send": 1}}, r"limits is ServerLimits\(\.\.\.\) or None, not {'max_send"),
    ],
)
def test_option_of_another_kind_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        GrpcServer(**options)
