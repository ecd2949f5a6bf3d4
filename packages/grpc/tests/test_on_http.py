"""gRPC on the HTTP seam: heads, bodies and answers, without an engine."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error, StartupError
from kratos.middleware import Handler
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Call, Cause, Mount, server_call
from kratos.transport.http import Buffered, Memo, Reply, Streamed
from kratos_grpc import Grpc, GrpcWeb
from kratos_grpc._envelopes import envelope, whole
from kratos_grpc.connect import Connect
from kratos_grpc.testing import (
    GRPC_HEADERS,
    FakeWire,
    answer,
    call,
    end_of,
    head,
    messages_of,
    server,
    status_of,
    turns_during,
)
from kratos_http import HttpServer
from kratos_http.protocols import HttpProtocol, Protocols

UNARY = ECHO.operation


def echo_server(**options: Any) -> HttpServer:
    return server(Grpc(**options), services=[EchoService()], timeout=None)


def words_of(reply: Reply) -> list[str]:
    return [StringValue.FromString(data).value for data in messages_of(reply)]


def body_of(*words: str) -> bytes:
    return b"".join(envelope(text(word).SerializeToString()) for word in words)


@pytest.mark.parametrize("protocol", [Grpc(), GrpcWeb(), Connect()])
def test_protocol_of_two_servers_is_refused(protocol: HttpProtocol) -> None:
    # Calls to the one would pass the middleware and the limits of the other.
    server(protocol, services=[EchoService()])
    with pytest.raises(StartupError, match=rf"make a {type(protocol).__name__}\(\) for each"):
        server(protocol, services=[EchoService()])


def test_grpc_on_a_port_without_http2_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Grpc\(\) needs HTTP/2"):
        HttpServer(versions=("1.1",), protocols=[Grpc()])
    HttpServer(versions=("1.1",), protocols=[GrpcWeb(), Connect()])


async def test_unary_call_is_answered_with_message_and_status() -> None:
    reply = await call(echo_server(), UNARY, text("hello"))
    assert reply.status == 200
    assert list(reply.headers) == [(b"content-type", b"application/grpc")]
    assert words_of(reply) == ["hello"]
    assert list(reply.trailers) == [(b"grpc-status", b"0")]


@pytest.mark.parametrize(
    ("operation", "sent", "answered"),
    [
        (COLLECT.operation, ["a", "b"], ["a b"]),
        (COLLECT.operation, [], [""]),
        (WATCH.operation, ["a b c"], ["a", "b", "c"]),
        (CHAT.operation, ["a", "b"], ["a", "b"]),
    ],
)
async def test_stream_is_answered_in_its_arity(
    operation: str, sent: list[str], answered: list[str]
) -> None:
    reply = await call(echo_server(), operation, *(text(word) for word in sent))
    assert words_of(reply) == answered
    assert status_of(reply) == (0, "")


async def test_others_have_their_turn_while_requests_come_in_thousands() -> None:
    calling = call(echo_server(), COLLECT.operation, *[text("")] * 3000)
    assert await turns_during(calling) >= 40


async def test_error_of_a_unary_call_is_in_trailers_only() -> None:
    reply = await call(echo_server(), UNARY, text("fail"))
    assert (reply.status, reply.body, list(reply.trailers)) == (200, b"", [])
    assert status_of(reply) == (10, "try later")
    assert dict(reply.headers)[b"content-type"] == b"application/grpc"
    assert b"grpc-status-details-bin" in dict(reply.headers)


@pytest.mark.parametrize("operation", [COLLECT.operation, WATCH.operation, CHAT.operation])
async def test_error_of_a_stream_is_in_its_trailers(operation: str) -> None:
    reply = await call(echo_server(), operation, text("fail"))
    assert status_of(reply) == (10, "try later")
    assert b"grpc-status-details-bin" in end_of(reply)


async def test_crash_tells_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        reply = await call(echo_server(), UNARY, text("crash"))
    assert status_of(reply) == (13, "unknown request error")
    assert "an inner secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/kratos.testing.Echo/Nope", "unknown method Nope for service kratos.testing.Echo"),
        ("/nope.Nope/Nope", "unknown service nope.Nope"),
        ("/", "unknown service "),
    ],
)
async def test_unknown_operation_is_unimplemented(path: str, message: str) -> None:
    reply = await call(echo_server(), path, text("hello"))
    assert reply.status == 200
    assert status_of(reply) == (12, message)


@pytest.mark.parametrize("operation", [UNARY, WATCH.operation])
@pytest.mark.parametrize("number", [0, 2])
async def test_one_request_is_neither_none_nor_two(operation: str, number: int) -> None:
    reply = await call(echo_server(), operation, *[text("a")] * number)
    code, message = status_of(reply)
    assert code == 12
    assert f"takes one request, not {number or 'none'}" in message
    assert reply.body == b""


async def test_second_request_is_refused_before_the_body_ends() -> None:
    served = echo_server()
    asked = head(WATCH.operation)
    wire = FakeWire([body_of("a", "b"), None])
    await cast("Streamed", served.application.route(asked)).converse(asked, wire)
    assert status_of(wire.reply)[0] == 12


@pytest.mark.parametrize("operation", [UNARY, COLLECT.operation])
async def test_body_that_is_cut_off_is_malformed(operation: str) -> None:
    served = echo_server()
    asked = head(operation)
    reply = await answer(served.application.route(asked), asked, body_of("hello")[:-1])
    assert status_of(reply) == (3, "the body ends in the middle of a message")


async def test_message_that_is_none_is_malformed() -> None:
    served = echo_server()
    asked = head(UNARY)
    reply = await answer(served.application.route(asked), asked, envelope(b"\xff"))
    assert status_of(reply)[0] == 3


class TestHeads:
    async def test_other_method_than_post_is_refused(self) -> None:
        asked = head(UNARY, method="GET")
        reply = await answer(echo_server().application.route(asked), asked)
        assert reply.status == 405
        assert dict(reply.headers)[b"allow"] == b"POST"

    async def test_http_1_1_is_refused_with_what_is_needed(self) -> None:
        asked = head(UNARY, version="1.1")
        reply = await answer(echo_server().application.route(asked), asked)
        assert reply.status == 505
        assert b"needs HTTP/2" in reply.body

    async def test_other_format_is_an_unsupported_media_type(self) -> None:
        asked = head(UNARY, [(b"content-type", b"application/grpc+thrift")])
        reply = await answer(echo_server().application.route(asked), asked)
        assert reply.status == 415

    @pytest.mark.parametrize(
        "kind", [b"application/grpcs", b"application/grpc-web", b"application/json", b""]
    )
    async def test_other_content_types_are_left_to_others(self, kind: bytes) -> None:
        asked = head("/kratos.testing/nope", [(b"content-type", kind)])
        reply = await answer(echo_server().application.route(asked), asked)
        assert reply.status == 404

    @pytest.mark.parametrize(
        "kind",
        [b"application/grpc+proto", b"Application/GRPC", b"application/grpc; charset=utf-8"],
    )
    async def test_other_spellings_of_the_content_type_are_read(self, kind: bytes) -> None:
        reply = await call(echo_server(), UNARY, text("hello"), headers=[(b"content-type", kind)])
        assert words_of(reply) == ["hello"]

    async def test_json_is_answered_in_json(self) -> None:
        served = echo_server()
        asked = head(UNARY, [(b"content-type", b"application/grpc+json")])
        reply = await answer(served.application.route(asked), asked, envelope(b'"hello"'))
        assert dict(reply.headers)[b"content-type"] == b"application/grpc+json"
        assert messages_of(reply) == [b'"hello"']

    async def test_json_is_not_read_where_it_is_switched_off(self) -> None:
        asked = head(UNARY, [(b"content-type", b"application/grpc+json")])
        reply = await answer(echo_server(json=False).application.route(asked), asked)
        assert reply.status == 415

    async def test_malformed_timeout_is_refused(self) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-timeout", b"soon")]
        reply = await call(echo_server(), UNARY, text("hello"), headers=headers)
        assert status_of(reply)[0] == 3

    async def test_binary_header_that_is_no_base64_is_refused_by_name(self) -> None:
        headers = [*GRPC_HEADERS, (b"x-raw-bin", b"***")]
        reply = await call(echo_server(), UNARY, text("hello"), headers=headers)
        assert status_of(reply) == (3, "the value of header 'x-raw-bin' is no base64")


class Mirror(EchoService):
    """Answers with the headers that it got, in headers and trailers."""

    async def echo(self, request: StringValue, /) -> StringValue:
        present = server_call()
        assert present is not None
        for name, value in present.headers.items():
            present.reply_headers.add(name, value)
            present.trailers.add(name, value)
        if request.value == "fail":
            raise Error(409, "BUSY", "try later")
        return text(" ".join(sorted(set(present.headers))))

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        yield await self.echo(request)


METADATA = ((b"x-a", b"1"), (b"x-a", b"2"), (b"x-raw-bin", b"AQI="))
SENT_BACK = [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-raw-bin", b"AQI")]


@pytest.mark.parametrize("operation", [UNARY, WATCH.operation])
@pytest.mark.parametrize("word", ["fine", "fail"])
async def test_metadata_travels_both_ways_with_all_its_values(operation: str, word: str) -> None:
    served = server(Grpc(), services=[Mirror()])
    headers = [*GRPC_HEADERS, *METADATA, (b"grpc-timeout", b"5S")]
    reply = await call(served, operation, text(word), headers=headers)
    assert status_of(reply)[0] == (0 if word == "fine" else 10)
    assert [pair for pair in reply.headers if pair[0].startswith(b"x-")] == SENT_BACK
    assert [pair for pair in reply.trailers if pair[0].startswith(b"x-")] == SENT_BACK
    if word == "fine":
        assert words_of(reply) == ["x-a x-raw-bin"]


class Wrong(EchoService):
    async def echo(self, _request: StringValue, /) -> StringValue:
        present = server_call()
        assert present is not None
        present.reply_headers.set("x-color", "grün")
        return text("hello")


async def test_header_that_grpc_cannot_carry_fails_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = await call(server(Grpc(), services=[Wrong()]), UNARY, text("hello"))
    assert status_of(reply)[0] == 13
    assert "x-color" in caplog.text


class TestDeadlines:
    async def test_deadline_of_the_caller_ends_the_call(self) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-timeout", b"20m")]
        reply = await call(echo_server(), UNARY, text("hang"), headers=headers)
        assert status_of(reply)[0] == 4

    async def test_deadline_that_has_passed_ends_the_call_before_it_begins(self) -> None:
        service = EchoService()
        served = server(Grpc(), services=[service])
        headers = [*GRPC_HEADERS, (b"grpc-timeout", b"0n")]
        reply = await call(served, UNARY, text("hello"), headers=headers)
        assert status_of(reply)[0] == 4
        assert service.seen == []

    async def test_deadline_ends_the_wait_for_the_one_request_of_a_stream(self) -> None:
        asked = head(WATCH.operation, [*GRPC_HEADERS, (b"grpc-timeout", b"20m")])
        wire = FakeWire([None])
        await cast("Streamed", echo_server().application.route(asked)).converse(asked, wire)
        assert status_of(wire.reply)[0] == 4


class TestCancellation:
    @pytest.mark.parametrize("operation", [COLLECT.operation, CHAT.operation])
    async def test_peer_that_goes_cancels_the_handler_with_the_cause(self, operation: str) -> None:
        causes: list[Cause | None] = []

        async def note(call: Call, request: object, next: Handler) -> object:
            try:
                return await next(call, request)
            finally:
                causes.append(call.cause)

        service = EchoService()
        served = server(Grpc(), services=[service], middleware=[note])
        asked = head(operation)
        wire = FakeWire([body_of("hang"), None])
        endpoint = cast("Streamed", served.application.route(asked))
        conversing = asyncio.ensure_future(endpoint.converse(asked, wire))
        await service.entered.wait()
        assert asked.running is not None
        wire.gone = True
        asked.running.cancel(Cause.PEER_GONE)
        await conversing
        assert (service.interrupted, causes) == (1, [Cause.PEER_GONE])
        assert asked.running is None

    async def test_unary_call_is_cancelled_with_the_cause(self) -> None:
        service = EchoService()
        served = server(Grpc(), services=[service])
        asked = head(UNARY)
        endpoint = cast("Buffered", served.application.route(asked))
        answering = asyncio.ensure_future(endpoint.answer(asked, body_of("hang")))
        await service.entered.wait()
        assert asked.running is not None
        asked.running.cancel(Cause.PEER_GONE)
        assert status_of(await answering)[0] == 1
        assert service.interrupted == 1

    async def test_writer_waits_while_the_peer_is_slow(self) -> None:
        service = EchoService()
        asked = head(WATCH.operation)
        wire = FakeWire([body_of("a b c")])
        wire.room.clear()
        endpoint = cast("Streamed", server(Grpc(), services=[service]).application.route(asked))
        conversing = asyncio.ensure_future(endpoint.converse(asked, wire))
        await wire.writing.wait()
        assert service.seen == ["a"]
        wire.room.set()
        await conversing
        assert words_of(wire.reply) == ["a", "b", "c"]

    async def test_draining_server_refuses_calls(self) -> None:
        served = echo_server()
        served._listening.dispatcher.draining = True  # type: ignore[union-attr]
        reply = await call(served, UNARY, text("hello"))
        assert status_of(reply)[0] == 14


class TestSizes:
    @pytest.mark.parametrize("operation", [UNARY, COLLECT.operation])
    async def test_request_beyond_the_limit_is_refused_with_the_option(
        self, operation: str
    ) -> None:
        reply = await call(echo_server(max_receive=10), operation, text("x" * 20))
        code, message = status_of(reply)
        assert code == 8
        assert "exceeds 10 bytes, the most that the server takes: max_receive sets" in message

    async def test_request_beyond_the_limit_is_refused_before_it_came(self) -> None:
        asked = head(COLLECT.operation)
        wire = FakeWire([envelope(bytes(20))[:5], None])
        endpoint = cast("Streamed", echo_server(max_receive=10).application.route(asked))
        await endpoint.converse(asked, wire)
        assert status_of(wire.reply)[0] == 8

    async def test_body_may_have_the_largest_request_and_no_more(self) -> None:
        endpoint = echo_server(max_receive=10).application.route(head(UNARY))
        assert cast("Buffered", endpoint).max_body == 15

    @pytest.mark.parametrize("operation", [UNARY, COLLECT.operation, WATCH.operation])
    async def test_reply_beyond_the_limit_is_not_sent_and_logged(
        self, operation: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            reply = await call(echo_server(max_send=10), operation, text("x" * 20))
        assert status_of(reply)[0] == 8
        assert "max_send sets it there" in caplog.text
        assert reply.body == b""


class TestCompression:
    @pytest.mark.parametrize("operation", [UNARY, COLLECT.operation])
    async def test_compressed_request_is_read(self, operation: str) -> None:
        served = echo_server()
        asked = head(operation, [*GRPC_HEADERS, (b"grpc-encoding", b"gzip")])
        data = gzip.compress(text("hello").SerializeToString())
        reply = await answer(served.application.route(asked), asked, envelope(data, 1))
        assert words_of(reply) == ["hello"]

    async def test_uncompressed_request_beside_a_coding_is_read(self) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-encoding", b"gzip")]
        assert words_of(await call(echo_server(), UNARY, text("a"), headers=headers)) == ["a"]

    async def test_unknown_coding_is_unimplemented_and_known_ones_are_told(self) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-encoding", b"snappy")]
        reply = await call(echo_server(), UNARY, text("a"), headers=headers)
        assert status_of(reply)[0] == 12
        assert dict(reply.headers)[b"grpc-accept-encoding"] == b"identity,gzip,deflate"

    @pytest.mark.parametrize("flags", [1, 2, 0x80])
    @pytest.mark.parametrize("operation", [UNARY, COLLECT.operation])
    async def test_flags_that_contradict_the_headers_are_internal(
        self, flags: int, operation: str
    ) -> None:
        asked = head(operation)
        endpoint = echo_server().application.route(asked)
        assert status_of(await answer(endpoint, asked, envelope(b"", flags)))[0] == 13

    async def test_bomb_is_refused(self) -> None:
        asked = head(UNARY, [*GRPC_HEADERS, (b"grpc-encoding", b"gzip")])
        endpoint = echo_server(max_receive=1000).application.route(asked)
        reply = await answer(endpoint, asked, envelope(gzip.compress(bytes(2000)), 1))
        assert status_of(reply)[0] == 8

    @pytest.mark.parametrize("operation", [UNARY, COLLECT.operation, WATCH.operation])
    async def test_long_reply_is_compressed_where_the_client_reads_it(self, operation: str) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-accept-encoding", b"identity,gzip")]
        served = echo_server(compression="gzip")
        reply = await call(served, operation, text("x" * 2000), headers=headers)
        assert dict(reply.headers)[b"grpc-encoding"] == b"gzip"
        ((flags, data),) = whole(reply.body, 1 << 20)
        assert flags == 1
        assert StringValue.FromString(gzip.decompress(data)).value == "x" * 2000

    @pytest.mark.parametrize("accepted", [b"", b"identity", b"br"])
    async def test_reply_is_plain_for_other_clients(self, accepted: bytes) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-accept-encoding", accepted)]
        served = echo_server(compression="gzip")
        reply = await call(served, UNARY, text("x" * 2000), headers=headers)
        assert words_of(reply) == ["x" * 2000]
        assert b"grpc-encoding" not in dict(reply.headers)

    async def test_short_reply_is_plain(self) -> None:
        headers = [*GRPC_HEADERS, (b"grpc-accept-encoding", b"gzip")]
        reply = await call(echo_server(compression="gzip"), UNARY, text("x"), headers=headers)
        assert words_of(reply) == ["x"]
        assert b"grpc-encoding" not in dict(reply.headers)

    def test_unknown_coding_is_a_wrong_option(self) -> None:
        with pytest.raises(ConfigError, match="snappy"):
            Grpc(compression="snappy")


class TestMemo:
    async def test_endpoint_is_made_once_for_heads_that_are_the_same(self) -> None:
        served, memo = echo_server(), Memo()
        first = served.application.route(head(UNARY, memo=memo))
        assert served.application.route(head(UNARY, memo=memo)) is first

    async def test_request_that_a_filter_changed_is_another(self) -> None:
        served, memo = server(Grpc(), services=[Mirror()]), Memo()
        served.application.route(head(UNARY, memo=memo))
        asked = head(UNARY, [*GRPC_HEADERS, (b"x-added", b"1")], memo=memo)
        reply = await answer(served.application.route(asked), asked, body_of("hello"))
        assert words_of(reply) == ["x-added"]

    async def test_what_is_no_call_is_routed_each_time(self) -> None:
        served, memo = echo_server(), Memo()
        asked = head("/later", [(b"x-a", b"1")], method="GET", memo=memo)
        assert (await answer(served.application.route(asked), asked)).status == 404

        class Later:
            max_body = 0

            async def answer(self, _head: object, _body: bytes, /) -> Reply:
                return Reply(204)

        served.handle("GET", "/later", Later())
        assert (await answer(served.application.route(asked), asked)).status == 204

    async def test_memo_of_another_application_is_not_read(self) -> None:
        memo = Memo()
        others = Protocols([], echo_server().application)
        others.route(head(UNARY, memo=memo))
        asked = head(UNARY, memo=memo)
        reply = await answer(echo_server().application.route(asked), asked, body_of("hello"))
        assert words_of(reply) == ["hello"]


class TestVaryingFields:
    """What differs from call to call, such as a deadline, costs no reading of the rest."""

    @pytest.mark.parametrize("operation", [UNARY, WATCH.operation])
    async def test_deadline_and_identity_are_those_of_the_call(self, operation: str) -> None:
        served, base = server(Grpc(), services=[Mirror()]), Memo()
        for number in (b"1", b"2"):
            varying = ((b"grpc-timeout", b"%b0S" % number), (b"x-request-id", number))
            headers = [*GRPC_HEADERS, (b"x-a", b"0"), *varying]
            asked = head(operation, headers, memo=Memo(base, varying))
            reply = await answer(served.application.route(asked), asked, body_of("hello"))
            told = [pair for pair in reply.headers if pair[0].startswith(b"x-")]
            assert told == [(b"x-a", b"0"), (b"x-request-id", number)]
            assert status_of(reply)[0] == 0

    @pytest.mark.parametrize("operation", [UNARY, WATCH.operation])
    async def test_deadline_that_varies_ends_the_call(self, operation: str) -> None:
        served, base = echo_server(), Memo()
        for timeout, code in ((b"9S", 0), (b"0n", 4), (b"9S", 0)):
            varying = ((b"grpc-timeout", timeout),)
            asked = head(operation, [*GRPC_HEADERS, *varying], memo=Memo(base, varying))
            reply = await answer(served.application.route(asked), asked, body_of("hello"))
            assert status_of(reply)[0] == code

    @pytest.mark.parametrize(
        ("field", "code"),
        [
            ((b"grpc-timeout", b"soon"), 3),
            ((b"grpc-trace-bin", b"***"), 3),
            ((b"grpc-encoding", b"snappy"), 12),
            ((b"content-length", b"12"), 0),
        ],
    )
    async def test_fields_that_say_something_else_are_heeded(
        self, field: tuple[bytes, bytes], code: int
    ) -> None:
        served, base = echo_server(), Memo()
        asked = head(UNARY, [*GRPC_HEADERS, field], memo=Memo(base, (field,)))
        reply = await answer(served.application.route(asked), asked, body_of("hello"))
        assert status_of(reply)[0] == code

    async def test_request_that_a_filter_changed_is_read_anew(self) -> None:
        served, base = server(Grpc(), services=[Mirror()]), Memo()
        varying = ((b"grpc-timeout", b"9S"),)
        for added in (b"1", b"2"):
            headers = [(b"x-added", added), *GRPC_HEADERS, *varying]
            asked = head(UNARY, headers, memo=Memo(base, varying))
            reply = await answer(served.application.route(asked), asked, body_of("hello"))
            assert (b"x-added", added) in reply.headers

    async def test_what_is_no_call_is_routed(self) -> None:
        served, base = echo_server(), Memo()
        varying = ((b"x-request-id", b"1"),)
        asked = head("/nothing", varying, method="GET", memo=Memo(base, varying))
        assert (await answer(served.application.route(asked), asked)).status == 404


def test_class_of_a_protocol_is_none() -> None:
    with pytest.raises(ConfigError, match="Grpc"):
        HttpServer(protocols=[Grpc])  # type: ignore[list-item]


async def test_chains_are_shared_with_routes() -> None:
    seen: list[str] = []

    async def note(call: Call, request: object, next: Handler) -> object:
        seen.append(call.transport)
        return await next(call, request)

    served = HttpServer(protocols=[Grpc()], middleware=[note])
    served.mount(Mount(services=[EchoService()]))
    await call(served, UNARY, text("hello"))
    asked = head("/kratos.testing/echo", [(b"content-type", b"application/json")])
    reply = await answer(served.application.route(asked), asked, b'"hello"')
    assert (reply.body, seen) == (b'"hello"', ["grpc", "http"])
