"""Streams of raw bytes over plain HTTP, on both engines and at the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, ClassVar, cast

import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from kratos.client import Client
from kratos.errors import Error
from kratos.testing.echo import text
from kratos.transport import (
    Arity,
    Call,
    CallOptions,
    Handler,
    HttpRule,
    Method,
    Mount,
    Service,
    Side,
    server_call,
)
from kratos_http import HttpConnector, HttpServer, Limits, StreamOptions
from kratos_http._plan import Body, Plan
from kratos_http._selection import unsatisfied
from kratos_http._streaming import StreamConnection
from kratos_http._transfer_client import Transfer, UploadStream
from kratos_http.asgi import Asgi
from kratos_http.testing import (
    AsgiPeer,
    OpenPeer,
    client_of,
    eventually,
    socket_peer,
)

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody

PNG = [("Content-Type", "image/png")]
RANGED = "/files/8%20tag=x%20abc%20de%20fgh"
EVENTS = [("Accept", "text/event-stream")]


def method(
    name: str, arity: Arity, request: type[Message], reply: type[Message], rule: HttpRule
) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Files/{name}",
        name=name.lower(),
        arity=arity,
        request=request,
        reply=reply,
        http=(rule,),
    )


READ = method(
    "Read",
    Arity.SERVER_STREAM,
    StringValue,
    HttpBody,
    HttpRule(verb="GET", path="/files/{value}"),
)
WRITE = method(
    "Write",
    Arity.CLIENT_STREAM,
    HttpBody,
    StringValue,
    HttpRule(verb="POST", path="/files", body="*"),
)
PUT = method(
    "Put",
    Arity.CLIENT_STREAM,
    BytesValue,
    StringValue,
    HttpRule(verb="PUT", path="/bytes", body="value"),
)
TURN = method(
    "Turn",
    Arity.BIDI_STREAM,
    HttpBody,
    HttpBody,
    HttpRule(verb="POST", path="/turn", body="*"),
)
GET_TOO = method(
    "Listing", Arity.UNARY, StringValue, StringValue, HttpRule(verb="GET", path="/files")
)


class Files(Service):
    """Reads what it is told to, and tells what was written."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (WRITE, READ, PUT, TURN, GET_TOO)

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.left = asyncio.Event()
        self.sizes: list[int] = []
        self.sent = 0

    async def read(self, request: StringValue, /) -> AsyncIterator[Any]:
        """Send the words of the request; some of them are told to do something else."""
        call = server_call()
        assert call is not None
        self.calls.append(call)
        try:
            for word in request.value.split():
                if word == "fail":
                    raise Error(404, "NO_FILE", "there is none")
                if word.startswith("tag="):
                    call.reply_headers.set("etag", f'"{word[4:]}"')
                    call.reply_headers.set("accept-ranges", "bytes")
                    continue
                if word.isdigit():
                    call.reply_headers.set("content-length", word)
                    continue
                while word == "flood":
                    yield HttpBody(data=bytes(64 * 1024))
                    self.sent += 1
                yield HttpBody(content_type="text/plain", data=word.encode())
        finally:
            self.left.set()

    async def write(self, requests: AsyncIterator[Any], /) -> StringValue:
        """Count what comes."""
        kinds: list[str] = []
        try:
            async for request in requests:
                kinds.append(request.content_type)
                self.sizes.append(len(request.data))
                if request.data.startswith(b"fail"):
                    raise Error(409, "FULL", "there is no room")
        finally:
            self.left.set()
        return text(f"{sum(self.sizes)} of {', '.join(dict.fromkeys(kinds))}")

    async def put(self, requests: AsyncIterator[Any], /) -> StringValue:
        data = b"".join([request.value async for request in requests])
        return text(data.decode())

    async def turn(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        async for request in requests:
            yield HttpBody(content_type=request.content_type, data=request.data[::-1])

    async def listing(self, _request: StringValue, /) -> StringValue:
        return text("all files")


def files(**options: Any) -> tuple[HttpServer, Files]:
    server = HttpServer("127.0.0.1:0", **options)
    service = Files()
    server.mount(Mount(services=[service]))
    return server, service


class TestDownload:
    async def test_replies_are_one_body_of_the_first_ones_type(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/one%20two")
        assert (answer.status, answer.body) == (200, b"onetwo")
        assert answer.header("content-type") == "text/plain"

    async def test_error_before_the_first_reply_is_an_ordinary_answer(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/fail")
        assert (answer.status, answer.json()["reason"]) == (404, "NO_FILE")

    async def test_error_after_the_first_reply_breaks_the_answer_off(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            with pytest.raises(ConnectionError):
                await peer.request("GET", "/files/one%20fail")

    async def test_stream_without_replies_is_an_empty_body(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/%20")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("content-type") == "application/octet-stream"

    async def test_length_that_the_handler_knows_is_sent(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/3%20abc")
        assert (answer.header("content-length"), answer.body) == ("3", b"abc")

    @pytest.mark.parametrize("length", [2, 4])
    async def test_body_of_another_length_than_it_announced_is_broken_off(
        self, length: int
    ) -> None:
        server, _ = files()
        async with socket_peer(server) as peer:
            with pytest.raises(ConnectionError):
                await peer.request("GET", f"/files/{length}%20abc")

    async def test_length_of_a_body_is_not_that_of_its_error(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/3%20fail")
        assert answer.json()["reason"] == "NO_FILE"

    async def test_peer_that_accepts_events_gets_events(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/one", headers=EVENTS)
        assert answer.body == b"event: message\ndata: one\n\n"

    async def test_head_has_the_headers_of_the_download(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("HEAD", "/files/6%20abc%20def")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("content-length") == "6"
        assert answer.header("content-type") == "text/plain"

    async def test_handler_ends_where_head_has_what_it_asked_for(self, open_peer: OpenPeer) -> None:
        seen: list[BaseException | None] = []

        async def watch(call: Call, request: Any, next: Handler, /) -> Any:
            try:
                await next(call, request)
            except BaseException as error:
                seen.append(error)
                raise
            seen.append(None)

        server, service = files(middleware=[watch])
        async with open_peer(server) as peer:
            assert (await peer.request("HEAD", "/files/flood")).status == 200
        assert service.left.is_set()
        assert (service.sent, seen) == (0, [None])

    async def test_head_of_what_is_not_there_has_its_status(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("HEAD", "/files/fail")
        assert (answer.status, answer.body) == (404, b"")

    async def test_head_of_a_download_without_replies_is_that_of_an_empty_body(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("HEAD", "/files/%20")
        assert (answer.status, answer.header("content-type")) == (200, "application/octet-stream")

    @pytest.mark.parametrize(
        ("wanted", "body"),
        [
            ("bytes=1-1", b"b"),
            ("bytes=1-4", b"bcde"),
            ("bytes=4-", b"efgh"),
            ("bytes=-2", b"gh"),
            ("bytes=0-99", b"abcdefgh"),
        ],
    )
    async def test_part_is_sent_of_a_download_that_has_parts(
        self, wanted: str, body: bytes, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", RANGED, headers=[("Range", wanted)])
        first = b"abcdefgh".index(body)
        assert (answer.status, answer.body) == (206, body)
        assert answer.header("content-range") == f"bytes {first}-{first + len(body) - 1}/8"
        assert answer.header("content-length") == str(len(body))

    @pytest.mark.parametrize(
        "headers",
        [
            [("Range", "bytes=0-0,2-2")],
            [("Range", "lines=0-0")],
            [("Range", "bytes=0-0"), ("If-Range", '"old"')],
            [("Range", "bytes=0-0"), ("If-Range", "never")],
        ],
    )
    async def test_whole_is_sent_where_no_part_of_it_can_be(
        self, headers: list[tuple[str, str]], open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", RANGED, headers=headers)
        assert (answer.status, answer.body) == (200, b"abcdefgh")

    async def test_part_is_sent_of_what_the_peer_has_a_part_of(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        headers = [("Range", "bytes=0-0"), ("If-Range", '"x"')]
        async with open_peer(server) as peer:
            answer = await peer.request("GET", RANGED, headers=headers)
        assert (answer.status, answer.body) == (206, b"a")

    async def test_part_behind_the_end_does_not_exist(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", RANGED, headers=[("Range", "bytes=8-")])
        assert (answer.status, answer.json()["reason"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert answer.header("content-range") == "bytes */8"

    async def test_download_whose_handler_tells_of_no_parts_is_sent_whole(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/files/3%20abc", headers=[("Range", "bytes=0-0")])
        assert (answer.status, answer.body) == (200, b"abc")

    @pytest.mark.parametrize("verb", ["GET", "HEAD"])
    async def test_known_download_is_not_sent_again(self, verb: str, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request(verb, RANGED, headers=[("If-None-Match", '"x"')])
            assert (answer.status, answer.body, answer.header("etag")) == (304, b"", '"x"')
            assert (await peer.request("GET", "/files/one")).body == b"one"

    async def test_download_that_does_not_fit_the_conditions_is_refused(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", RANGED, headers=[("If-Match", '"old"')])
        assert (answer.status, answer.json()["reason"]) == (412, "PRECONDITION_FAILED")

    async def test_handler_waits_for_a_slow_peer(self) -> None:
        server, service = files()
        async with socket_peer(server) as peer:
            await peer.send(b"GET /files/flood HTTP/1.1\r\nHost: test\r\n\r\n")
            await peer.until(b"\r\n\r\n")
            seen = -1
            while service.sent != seen:  # until what lies between is full
                seen = service.sent
                for _ in range(1000):
                    await asyncio.sleep(0)
            assert service.sent * 64 * 1024 < 32 * 1024 * 1024
            peer.reset()
            await service.left.wait()


class TestUpload:
    async def test_body_comes_in_pieces_of_its_type(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/files", headers=PNG, body=bytes(300_000))
        assert answer.json() == "300000 of image/png"

    async def test_pieces_come_before_the_body_has_ended(self) -> None:
        server, service = files()
        async with socket_peer(server) as peer:
            await peer.send(
                b"POST /files HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n"
            )
            await eventually(lambda: service.sizes == [3])
            await peer.send(b"2\r\nde\r\n0\r\n\r\n")
            assert (await peer.answer()).json() == "5 of "

    async def test_bytes_that_come_one_by_one_are_no_request_each(self) -> None:
        server, service = files()
        async with socket_peer(server) as peer:
            head = b"POST /files HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            await peer.send(head + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n")
            assert (await peer.answer()).json() == "1000 of "
        assert len(service.sizes) < 100

    async def test_empty_body_is_one_request(self, open_peer: OpenPeer) -> None:
        server, service = files()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/files", headers=PNG)
        assert service.sizes == [0]
        assert answer.json() == "0 of image/png"

    async def test_body_may_be_a_field_of_bytes(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            assert (await peer.request("PUT", "/bytes", body=b"abc")).json() == "abc"

    async def test_handler_may_refuse_what_has_not_come_yet(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/files", body=b"fail")
        assert (answer.status, answer.json()["reason"]) == (409, "FULL")

    async def test_body_beyond_the_limit_is_refused(self, open_peer: OpenPeer) -> None:
        server, service = files(limits=Limits(max_upload=1000))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/files", body=bytes(1001))
        assert (answer.status, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")
        assert not service.sizes

    async def test_upload_may_exceed_what_is_read_whole(self, open_peer: OpenPeer) -> None:
        server, _ = files(limits=Limits(max_body=1000))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/files", body=bytes(1001))
        assert answer.json() == "1001 of "

    async def test_lost_peer_cancels_the_handler(self) -> None:
        server, service = files()
        async with socket_peer(server) as peer:
            await peer.send(b"POST /files HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc")
            await eventually(lambda: service.sizes)
            peer.reset()
            await service.left.wait()

    async def test_body_that_does_not_go_on_is_refused(self) -> None:
        server, _ = files(limits=Limits(body_grace=0.05))
        async with socket_peer(server) as peer:
            await peer.send(b"POST /files HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc")
            assert (await peer.answer()).status == 408

    async def test_idle_upload_ends(self) -> None:
        server, _ = files(streams=StreamOptions(idle_timeout=0.05))
        async with socket_peer(server) as peer:
            await peer.send(b"POST /files HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc")
            answer = await peer.answer()
        assert (answer.status, answer.json()["reason"]) == (504, "STREAM_IDLE")

    async def test_another_method_at_the_path_keeps_its_verb(self, open_peer: OpenPeer) -> None:
        server, _ = files()
        async with open_peer(server) as peer:
            assert (await peer.request("GET", "/files")).json() == "all files"

    async def test_pieces_pass_the_hooks_of_the_chain(self, open_peer: OpenPeer) -> None:
        async def measure(call: Call, request: Any, next: Handler, /) -> Any:
            async def shorten(message: Any) -> Any:
                return HttpBody(data=message.data[:2])

            call.on_receive(shorten)
            return await next(call, request)

        server, service = files(middleware=[measure])
        async with open_peer(server) as peer:
            await peer.request("POST", "/files", body=b"abc")
        assert service.sizes == [2]

    async def test_asgi_server_is_asked_for_no_more_than_is_wanted(self) -> None:
        held = asyncio.Event()
        asked = 0

        async def hold(call: Call, request: Any, next: Handler, /) -> Any:
            await held.wait()
            return await next(call, request)

        async def receive() -> Any:
            nonlocal asked
            asked += 1
            if asked > 20:
                await asyncio.get_running_loop().create_future()
            return {"type": "http.request", "body": bytes(64 * 1024), "more_body": asked < 20}

        async def send(_event: Any) -> None:
            pass

        server, service = files(middleware=[hold])
        application = Asgi(server.application)
        scope = AsgiPeer(application).scope("POST", "/files")
        answering = asyncio.ensure_future(application(scope, receive, send))
        for _ in range(100):
            await asyncio.sleep(0)
        assert asked < 5
        held.set()
        await eventually(lambda: sum(service.sizes) == 20 * 64 * 1024)
        answering.cancel()
        await asyncio.wait((answering,))


class TestBothWays:
    async def test_upload_and_download_flow_together(self) -> None:
        server, _ = files()
        async with socket_peer(server) as peer:
            await peer.send(
                b"POST /turn HTTP/1.1\r\nHost: test\r\nContent-Type: a/b\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
            )
            head = await peer.until(b"cba\r\n")
            assert b"content-type: a/b\r\n" in head
            await peer.send(b"2\r\nde\r\n0\r\n\r\n")
            assert await peer.until(b"0\r\n\r\n") == b"2\r\ned\r\n0\r\n\r\n"


class TestClient:
    async def test_download_arrives_in_pieces_of_its_type(self) -> None:
        server, _ = files()
        async with (
            client_of(server) as client,
            client.server_stream(READ, text("one two"), None) as replies,
        ):
            got = [reply async for reply in replies]
        assert b"".join(reply.data for reply in got) == b"onetwo"
        assert {reply.content_type for reply in got} == {"text/plain"}

    async def test_empty_download_is_one_reply(self) -> None:
        server, _ = files()
        async with (
            client_of(server) as client,
            client.server_stream(READ, text(" "), None) as replies,
        ):
            got = [reply async for reply in replies]
        assert got == [HttpBody(content_type="application/octet-stream")]

    async def test_events_are_replies_too_as_go_sends_them(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            body = b"event: message\ndata: one\ndata: two\n\nevent: message\ndata: three\n\n"
            writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            async with (
                Client(url) as client,
                client.server_stream(READ, text("x"), None) as replies,
            ):
                assert [reply.data async for reply in replies] == [b"one\ntwo", b"three"]

    async def test_download_that_breaks_off_is_no_end(self) -> None:
        server, _ = files()
        async with (
            client_of(server) as client,
            client.server_stream(READ, text("one fail"), None) as replies,
        ):
            with pytest.raises(Error) as failure:
                [reply async for reply in replies]
        assert failure.value.reason == "UNAVAILABLE"

    async def test_error_instead_of_a_download_arrives_whole(self) -> None:
        server, _ = files()
        async with client_of(server) as client:
            with pytest.raises(Error) as failure:
                async with client.server_stream(READ, text("fail"), None):
                    pass
        assert (failure.value.code, failure.value.reason) == (404, "NO_FILE")

    async def test_upload_is_one_request_of_the_first_ones_type(self) -> None:
        server, _ = files()
        pieces = [HttpBody(content_type="image/png", data=bytes(70_000)) for _ in range(5)]
        async with client_of(server) as client:
            reply = await client.client_stream(WRITE, pieces, None)
        assert reply.value == "350000 of image/png"

    async def test_upload_of_nothing_is_an_empty_body(self) -> None:
        server, service = files()
        async with client_of(server) as client:
            await client.client_stream(WRITE, [], None)
        assert service.sizes == [0]

    async def test_upload_of_bytes_is_raw(self) -> None:
        server, _ = files()
        async with client_of(server) as client:
            pieces = [BytesValue(value=b"a"), BytesValue(value=b"b")]
            reply = await client.client_stream(PUT, pieces, None)
        assert reply.value == "ab"

    async def test_refusal_stops_an_upload_without_an_end(self) -> None:
        server, _ = files()

        async def endless() -> AsyncIterator[Any]:
            while True:
                yield HttpBody(data=b"fail")

        async with client_of(server) as client:
            with pytest.raises(Error) as failure:
                await client.client_stream(WRITE, endless(), None)
        assert (failure.value.code, failure.value.reason) == (409, "FULL")

    async def test_refusal_stops_an_upload_that_waits_for_its_caller(self) -> None:
        server, _ = files()

        async def stuck() -> AsyncIterator[Any]:
            yield HttpBody(data=b"fail")
            await asyncio.get_running_loop().create_future()

        async with client_of(server) as client:
            with pytest.raises(Error) as failure:
                await client.client_stream(WRITE, stuck(), None)
        assert failure.value.reason == "FULL"

    async def test_failure_of_the_caller_is_raised_and_cuts_the_upload_off(self) -> None:
        server, service = files()

        async def broken() -> AsyncIterator[Any]:
            yield HttpBody(data=b"x")
            await eventually(lambda: service.sizes)
            raise KeyError("mine")

        async with client_of(server) as client:
            with pytest.raises(KeyError):
                await client.client_stream(WRITE, broken(), None)
            await service.left.wait()

    async def test_time_limit_ends_an_upload(self) -> None:
        server, service = files()

        async def stuck() -> AsyncIterator[Any]:
            yield HttpBody(data=b"x")
            await asyncio.get_running_loop().create_future()

        async with client_of(server) as client:
            with pytest.raises(Error) as failure:
                await client.client_stream(WRITE, stuck(), CallOptions(timeout=0.5))
            await service.left.wait()
        assert failure.value.code == 504

    async def test_unreachable_server_is_unavailable(self) -> None:
        async with Client("http://127.0.0.1:1") as client:
            with pytest.raises(Error) as failure:
                await client.client_stream(WRITE, [HttpBody(data=b"x")], None)
        assert failure.value.reason == "UNAVAILABLE"

    async def test_uploads_go_through_websockets_to_servers_of_go(self) -> None:
        plan = HttpConnector(socket_uploads=True).plan(WRITE)
        assert (plan.verb, plan.upload) == ("GET", None)


@pytest.mark.parametrize("size", ["", "-1", "\u00b2", "9" * 5000])
def test_size_that_another_service_made_up_is_not_told(size: str) -> None:
    assert unsatisfied(Error(416, "RANGE_NOT_SATISFIABLE", "", {"size": size})) == ()


class Line(asyncio.Transport):
    """Takes everything, and notes whether it was cut off."""

    cut = False

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        self.cut = True


async def test_caller_who_leaves_as_an_upload_has_ended_gives_its_connection_back() -> None:
    line = Line()

    async def opened(_first: Any) -> Transfer:
        connection = StreamConnection(max_head=1024)
        connection.connection_made(line)
        return Transfer(connection, b"", Body(), release=connection.close)

    upload = UploadStream(Call(WRITE, Side.CLIENT, "http"), cast("Plan", None), opened, max_reply=1)
    await upload.end()
    closing = asyncio.create_task(upload.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert line.cut
