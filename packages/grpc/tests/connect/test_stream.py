"""Calls that stream over Connect, as envelopes on the wire."""

from __future__ import annotations

import asyncio
import gc
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from struct import pack
from typing import Any, ClassVar, cast

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from packages.grpc.tests.connect.conftest import Speak

from kratos.errors import Error
from kratos.testing import echo
from kratos.testing.echo import EchoService
from kratos.transport import Arity, Call, Cause, Handler, Method, Service, Side, server_call
from kratos.transport.http import Head, WireHeaders
from kratos.transport.operation import Dispatcher
from kratos_grpc._asked import Asked as OfGrpc
from kratos_grpc._codings import CODINGS
from kratos_grpc._formats import JSON as GRPC_JSON
from kratos_grpc._framing import GRPC
from kratos_grpc._inward import StreamedRequests
from kratos_grpc.connect._asked import STREAM, Asked
from kratos_grpc.connect._client import _collect  # pyright: ignore[reportPrivateUsage]
from kratos_grpc.connect._formats import JSON as JSON_FORMAT
from kratos_grpc.connect._formats import client_format, formats_of
from kratos_grpc.connect._stream import StreamEndpoint, _Requests  # pyright: ignore[reportPrivateUsage]
from kratos_grpc.connect._terms import Terms
from kratos_grpc.connect._wire_stream import ConnectStream
from kratos_grpc.testing import turns_during
from kratos_http.carrier import Transmission
from kratos_http.testing import Answer, SocketPeer

JSON = ("Content-Type", "application/connect+json")
PROTO = ("Content-Type", "application/connect+proto")
GZIP = ("Connect-Content-Encoding", "gzip")
WATCH, COLLECT, CHAT = (f"/kratos.testing.Echo/{name}" for name in ("Watch", "Collect", "Chat"))
END = 2


def enveloped(data: bytes, flags: int = 0) -> bytes:
    return pack(">BI", flags, len(data)) + data


def words(*texts: str) -> bytes:
    return b"".join(enveloped(json.dumps(text).encode()) for text in texts)


def opened(body: bytes) -> list[tuple[int, bytes]]:
    """Return flags and bytes of all envelopes."""
    found: list[tuple[int, bytes]] = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        assert len(body) >= 5 + size
        found.append((body[0], body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def told(answer: Answer) -> tuple[list[Any], dict[str, Any]]:
    """Return the messages of an answer and its end."""
    assert answer.status == 200
    *messages, (flags, end) = opened(answer.body)
    assert flags == END
    assert all(flags == 0 for flags, _ in messages)
    return [json.loads(data) for _, data in messages], json.loads(end)


async def ask(
    peer: SocketPeer, path: str, body: bytes, headers: Sequence[tuple[str, str]] = ()
) -> Answer:
    return await peer.request("POST", path, headers=[JSON, *headers], body=body)


async def test_replies_come_one_by_one_and_then_the_end(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await ask(peer, WATCH, words("one two three"))
        assert told(answer) == (["one", "two", "three"], {})
        assert answer.values("content-type") == ["application/connect+json"]
        assert answer.trailers == []


async def test_protobuf_is_spoken_too(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        body = enveloped(StringValue(value="one two").SerializeToString())
        answer = await peer.request("POST", WATCH, headers=[PROTO], body=body)
        one, two, end = opened(answer.body)
        assert [StringValue.FromString(each[1]).value for each in (one, two)] == ["one", "two"]
        assert end == (END, b"{}")
        assert answer.header("content-type") == "application/connect+proto"


async def test_many_requests_have_one_reply(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        assert told(await ask(peer, COLLECT, words("a", "b", "c"))) == (["a b c"], {})
        assert told(await ask(peer, COLLECT, b"")) == ([""], {})


async def test_both_directions_stream_in_turn_over_http_1(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        assert told(await ask(peer, CHAT, words("a", "b"))) == (["a", "b"], {})


async def test_an_error_is_the_end_with_status_200(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        messages, end = told(await ask(peer, WATCH, words("one fail two")))
        assert messages == ["one"]
        assert (end["error"]["code"], end["error"]["message"]) == ("aborted", "try later")
        assert end["error"]["details"][0]["debug"]["reason"] == "BUSY"
        messages, end = told(await ask(peer, COLLECT, words("crash")))
        assert (messages, end["error"]["code"]) == ([], "internal")


async def test_a_method_with_one_request_takes_neither_none_nor_two(speak: Speak) -> None:
    service = EchoService()
    async with speak(service) as peer:
        for body in (b"", words("a", "b")):
            messages, end = told(await ask(peer, WATCH, body))
            assert (messages, end["error"]["code"]) == ([], "unimplemented")
    assert service.seen == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (enveloped(b'"a"')[:-1], "invalid_argument"),
        (b"\0\0", "invalid_argument"),
        (enveloped(b"{"), "invalid_argument"),
        (enveloped(b""), "invalid_argument"),
        (enveloped(b'"a"', END), "invalid_argument"),
        (enveloped(b'"a"', 0x80), "invalid_argument"),
        (enveloped(b'"a"', 1), "internal"),
        (enveloped(b"x" * 101), "resource_exhausted"),
        (b"\0\xff\xff\xff\xff", "resource_exhausted"),
    ],
)
async def test_malformed_envelopes_are_refused(speak: Speak, body: bytes, code: str) -> None:
    async with speak(EchoService(), max_receive=100) as peer:
        for path in (WATCH, COLLECT):
            messages, end = told(await ask(peer, path, body))
            assert (messages, end["error"]["code"]) == ([], code)


async def test_messages_are_compressed_one_by_one(speak: Speak) -> None:
    async with speak(EchoService(), max_receive=5000) as peer:
        packed = zlib.compress(b'"a"', wbits=31)
        body = enveloped(packed, 1) + words("b")
        assert told(await ask(peer, COLLECT, body, [GZIP])) == (["a b"], {})
        bomb = enveloped(zlib.compress(b" " * 5001, wbits=31), 1)
        _, end = told(await ask(peer, COLLECT, bomb, [GZIP]))
        assert end["error"]["code"] == "resource_exhausted"
        _, end = told(await ask(peer, COLLECT, body, [("Connect-Content-Encoding", "lzw")]))
        assert end["error"]["code"] == "unimplemented"


async def test_long_replies_are_compressed_where_both_want_it(speak: Speak) -> None:
    long = "x" * 2000
    accepts = ("Connect-Accept-Encoding", "br, gzip")
    async with speak(EchoService(), compression=["gzip"]) as peer:
        answer = await ask(peer, WATCH, words(f"short {long}"), [accepts])
        short, packed, end = opened(answer.body)
        assert answer.header("connect-content-encoding") == "gzip"
        assert (short, end) == ((0, b'"short"'), (END, b"{}"))
        assert packed[0] == 1
        assert json.loads(zlib.decompress(packed[1], wbits=31)) == long
        assert told(await ask(peer, WATCH, words(long)))[0] == [long]


async def test_a_reply_beyond_the_limit_ends_the_call(
    speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    async with speak(EchoService(), max_send=10) as peer:
        messages, end = told(await ask(peer, WATCH, words("short far-too-long")))
        assert (messages, end["error"]["code"]) == (["short"], "resource_exhausted")
    assert "exceeds 10" in caplog.text


async def test_a_deadline_ends_a_stream(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        limit = ("Connect-Timeout-Ms", "50")
        messages, end = told(await ask(peer, WATCH, words("one hang"), [limit]))
        assert (messages, end["error"]["code"]) == (["one"], "deadline_exceeded")
        _, end = told(await ask(peer, WATCH, words("one"), [("Connect-Timeout-Ms", "soon")]))
        assert end["error"]["code"] == "invalid_argument"


class Lab(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        Method(
            operation="/lab.Lab/Tell",
            name="tell",
            arity=Arity.SERVER_STREAM,
            request=StringValue,
            reply=StringValue,
        ),
    )

    async def tell(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        call = server_call()
        assert call is not None
        call.reply_headers.add("x-one", "1")
        call.trailers.add("x-cost", "7")
        call.trailers.add("x-cost", "8")
        if "header" in request.value:
            call.reply_headers.add("x-two", "zwei\x7f")
        if "message" in request.value:
            yield request
        if "trailer" in request.value:
            call.trailers.add("x-cost", "zwölf")
        if "fail" in request.value:
            raise Error(403, "NO", "no")


@pytest.mark.parametrize("what", ["message", "nothing", "fail", "message fail"])
async def test_trailers_are_in_the_end(speak: Speak, what: str) -> None:
    async with speak(Lab()) as peer:
        answer = await ask(peer, "/lab.Lab/Tell", words(what))
        messages, end = told(answer)
        assert len(messages) == ("message" in what)
        assert answer.values("x-one") == ["1"]
        assert end["metadata"] == {"x-cost": ["7", "8"]}
        assert ("error" in end) == ("fail" in what)


@pytest.mark.parametrize("what", ["header message", "header nothing", "header fail"])
async def test_headers_that_cannot_be_sent_are_an_error_of_ours(
    speak: Speak, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async with speak(Lab()) as peer:
        answer = await ask(peer, "/lab.Lab/Tell", words(what))
        messages, end = told(answer)
        assert messages == []
        assert end["error"]["code"] == "internal"
        assert answer.values("x-one") == []
    assert "x-two" in caplog.text


async def test_trailers_that_cannot_be_sent_are_an_error_of_ours(
    speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    async with speak(Lab()) as peer:
        messages, end = told(await ask(peer, "/lab.Lab/Tell", words("message trailer")))
        assert len(messages) == 1
        assert end["error"]["code"] == "internal"
        assert "metadata" not in end
    assert "x-cost" in caplog.text


async def test_a_middleware_refuses_before_the_handler_runs(speak: Speak) -> None:
    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        raise Error(401, "WHO", "who are you?")

    service = EchoService()
    async with speak(service, middleware=[refuse]) as peer:
        for path in (WATCH, COLLECT, CHAT):
            messages, end = told(await ask(peer, path, words("a")))
            assert (messages, end["error"]["code"]) == ([], "unauthenticated")
    assert service.seen == []


async def test_a_client_that_goes_away_ends_its_stream(speak: Speak) -> None:
    service = EchoService()
    async with speak(service) as peer:
        asking = asyncio.ensure_future(ask(peer, WATCH, words("hang")))
        await service.entered.wait()
        asking.cancel()
        peer.reset()
        await service.left.wait()
    assert service.interrupted == 1


class Line:
    """A ``Wire`` whose peer sends what the test says."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[bytes] = asyncio.Queue()
        self.headers: list[tuple[bytes, bytes]] = []
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.finished = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    async def read(self) -> bytes:
        return await self.coming.get()

    def start(self, status: int, headers: WireHeaders, /) -> None:
        assert status == 200
        self.headers = list(headers)

    async def write(self, data: bytes, /) -> None:
        self.sent.put_nowait(data)
        await self.room.wait()

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        assert not trailers
        self.finished.set()

    def reset(self, cause: Cause, /) -> None:
        raise AssertionError("no stream is broken off here")


def conversation(
    service: Service, operation: str, line: Line, *headers: tuple[bytes, bytes], **terms: Any
) -> asyncio.Task[None]:
    """Begin a call in JSON."""
    dispatcher = Dispatcher(transport="http")
    dispatcher.add(service)
    served = dispatcher.operations[operation]
    form = formats_of(served.method)[JSON_FORMAT]
    asked = Asked(headers, STREAM)
    endpoint = StreamEndpoint(served, form, asked, Terms(max_receive=1000, **terms))
    head = Head("POST", operation.encode(), b"", [], version="2")
    return asyncio.create_task(endpoint.converse(head, line))


async def test_both_directions_stream_at_once_over_http_2() -> None:
    line = Line()
    task = conversation(EchoService(), CHAT, line)
    for word in ("one", "two"):
        line.coming.put_nowait(words(word))
        assert opened(await line.sent.get()) == [(0, f'"{word}"'.encode())]
    line.coming.put_nowait(b"")
    assert opened(await line.sent.get()) == [(END, b"{}")]
    await task
    assert line.finished.is_set()


async def test_others_have_their_turn_while_requests_come_in_thousands() -> None:
    line = Line()
    line.coming.put_nowait(words(*[""] * 3000))
    line.coming.put_nowait(b"")
    assert await turns_during(conversation(EchoService(), COLLECT, line)) >= 40


async def test_a_slow_reader_holds_the_handler() -> None:
    line, service = Line(), EchoService()
    line.room.clear()
    task = conversation(service, CHAT, line)
    line.coming.put_nowait(words("one", "two", "three"))
    await line.sent.get()
    assert service.seen == ["one"]  # the next one is not even read
    line.room.set()
    line.coming.put_nowait(b"")
    await task
    assert service.seen == ["one", "two", "three"]


async def test_a_handler_with_many_replies_lets_others_have_their_turn() -> None:
    line = Line()
    task = conversation(EchoService(), WATCH, line)
    line.coming.put_nowait(words("x " * 400))
    line.coming.put_nowait(b"")
    await line.sent.get()
    assert line.sent.qsize() < 100
    await task
    assert line.sent.qsize() == 400  # of which one is the end


async def test_a_caller_with_many_requests_lets_others_have_their_turn() -> None:
    class Taking:
        """What takes all that is sent."""

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} is not asked for here")

        async def send(self, _data: bytes, /) -> bool:
            return True

    other = asyncio.create_task(asyncio.sleep(0))
    call = Call(echo.COLLECT, Side.CLIENT, "connect")
    form = client_format(echo.COLLECT, JSON_FORMAT)
    stream = ConnectStream(call, form, cast("Transmission", Taking()), None, 1000)
    for _ in range(200):
        assert await stream.offer(StringValue(value="x"))
    assert other.done()


def long_and_compressed() -> tuple[str, bytes]:
    """Return a text, and it as a message that is so long that it is inflated in a thread."""
    text = "".join(map(str, range(20_000)))
    return text, zlib.compress(json.dumps(text).encode(), wbits=16 + zlib.MAX_WBITS)


async def test_a_reader_who_leaves_as_a_long_reply_is_inflated_loses_nothing() -> None:
    class Answering:
        """What answers with one message."""

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} is not asked for here")

        async def answer(self) -> tuple[int, WireHeaders]:
            kind = (b"content-type", b"application/connect+json")
            return 200, [kind, (b"connect-content-encoding", b"gzip")]

        async def read(self) -> bytes:
            return pieces.pop(0)

    text, data = long_and_compressed()
    pieces = [enveloped(data, 1), enveloped(b"{}", END)]
    call = Call(echo.COLLECT, Side.CLIENT, "connect")
    form = client_format(echo.COLLECT, JSON_FORMAT)
    stream = ConnectStream(call, form, cast("Transmission", Answering()), None, 1_000_000)
    async with asyncio.timeout(5):
        reading = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait((reading,))
        assert reading.cancelled()
        assert (await stream.receive()).value == text
        with pytest.raises(StopAsyncIteration):
            await stream.receive()


async def test_what_a_callers_iterator_raises_after_the_answer_is_of_no_matter() -> None:
    class Answering:
        """What answers without a reply, when a request has come."""

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} is not asked for here")

        async def answer(self) -> tuple[int, WireHeaders]:
            await asked.wait()
            return 200, [(b"content-type", b"application/connect+json")]

        async def read(self) -> bytes:
            return enveloped(b"{}", END)

        async def send(self, _data: bytes, /) -> bool:
            asked.set()
            return True

    async def requests() -> AsyncGenerator[StringValue]:
        try:
            yield StringValue(value="one")
            await asyncio.get_running_loop().create_future()
        finally:
            raise KeyError("mine")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    asked = asyncio.Event()
    call = Call(echo.COLLECT, Side.CLIENT, "connect")
    form = client_format(echo.COLLECT, JSON_FORMAT)
    stream = ConnectStream(call, form, cast("Transmission", Answering()), None, 1000)
    with pytest.raises(Error, match="without a reply"):
        async with asyncio.timeout(5):
            await _collect(call, stream, requests())
    gc.collect()
    assert told == []


@pytest.mark.parametrize("over", ["connect", "grpc"])
async def test_a_handler_who_waits_no_more_as_a_long_request_is_inflated_loses_nothing(
    over: str,
) -> None:
    class Body(Line):
        async def read(self) -> bytes:
            return pieces.pop(0)

    text, data = long_and_compressed()
    requests: AsyncIterator[Any]
    if over == "connect":
        form = formats_of(echo.COLLECT)[JSON_FORMAT]
        requests = _Requests(Body(), form, CODINGS[b"gzip"], 1_000_000)
    else:
        head = [(b"grpc-encoding", b"gzip")]
        grpc = OfGrpc(GRPC, GRPC_JSON, b"application/grpc+json", head, None)
        requests = StreamedRequests(echo.COLLECT, grpc, Body(), 1_000_000)
    pieces = [enveloped(data, 1), b""]
    async with asyncio.timeout(5):
        reading = asyncio.ensure_future(anext(requests))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait((reading,))
        assert reading.cancelled()
        assert await anext(requests) == StringValue(value=text)
        with pytest.raises(StopAsyncIteration):
            await anext(requests)


async def test_a_request_that_does_not_come_is_not_waited_for() -> None:
    line = Line()
    await conversation(EchoService(), WATCH, line, request_timeout=0.01)
    ((flags, end),) = opened(line.sent.get_nowait())
    assert flags == END
    assert json.loads(end)["error"]["message"] == "the request came too slowly"


async def test_a_request_is_waited_for_no_longer_than_its_caller_waits() -> None:
    line = Line()
    await conversation(EchoService(), WATCH, line, (b"connect-timeout-ms", b"10"))
    ((flags, end),) = opened(line.sent.get_nowait())
    assert flags == END
    assert json.loads(end)["error"]["code"] == "deadline_exceeded"


async def test_a_stop_ends_streams_with_an_error_of_its_own() -> None:
    line, service = Line(), EchoService()
    dispatcher = Dispatcher(transport="http")
    dispatcher.add(service)
    served = dispatcher.operations[CHAT]
    form = formats_of(served.method)[JSON_FORMAT]
    endpoint = StreamEndpoint(served, form, Asked([], STREAM), Terms(max_receive=1000))
    task = asyncio.create_task(endpoint.converse(Head("POST", CHAT.encode(), b"", []), line))
    line.coming.put_nowait(words("one"))
    await line.sent.get()
    dispatcher.cancel(Cause.DRAINING)
    await task
    ((flags, end),) = opened(line.sent.get_nowait())
    error = json.loads(end)["error"]
    assert (flags, error["code"]) == (END, "unavailable")
    assert error["details"][0]["debug"]["reason"] == "DRAINING"
