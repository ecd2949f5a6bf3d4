"""Serve REST where back ends serve gRPC, by the HTTP rules of their definitions.

As grpc-gateway and Envoy's transcoder do, but with Kratos' JSON and Kratos' errors, so that a
client sees the same as if a server of Kratos had answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.errors import ConfigError, Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Streamed, WireHeaders
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import made_of, read_whole
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.definitions import Defined, Source
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import is_grpc
from kratos_gateway.middleware.rest.lines import Lines
from kratos_gateway.middleware.rest.rules import Rule, rules_of
from kratos_gateway.middleware.rest.uploads import Uploads
from kratos_gateway.middleware.statuses import (
    UNIMPLEMENTED,
    Status,
    error_of,
    json_error,
    status_of,
)
from kratos_http.router import Router

__all__ = ["build"]

_MAX_BYTES: Final = 4 * 1024 * 1024
_NOT_SENT: Final = frozenset(
    (
        *(b"content-length", b"content-type", b"content-encoding", b"accept", b"te"),
        *(b"accept-encoding", b"grpc-encoding", b"grpc-accept-encoding"),
    )
)


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what calls methods of gRPC by requests that their HTTP rules describe.

    For endpoints of protocol GRPC; calls of gRPC pass as they are. A stream of requests comes as
    lines of JSON; one of answers goes as such, or as events to a client that accepts
    ``text/event-stream``. Requests are answered 503 as long as no back end has told definitions
    that it is asked for.

    Raises:
        ConfigError: The definitions cannot be read, or have no rules.
    """
    told = options_of(options, Rest)
    services = list(told.services)
    json = JsonCodec(
        options=JsonOptions(emit_unset=not told.omit_unset, proto_names=told.proto_names)
    )
    source = Source(told, services, lambda linked: _router(rules_of(linked)), context)
    most = told.max_bytes or _MAX_BYTES

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        if endpoint.protocol != GRPC:
            return handler
        return _Served(handler, source.of(endpoint), json, most).handle

    return Plain(wrap, close=source.aclose)


def _router(rules: Sequence[Rule]) -> Router:
    if not rules:
        raise ConfigError("no method of these services has a google.api.http rule")
    router = Router(error_reply=_error_reply)
    for rule in rules:
        router.add(rule.verb, rule.path, cast("Any", rule))  # handed back as it is
    return router


class _Served:
    """A handler of gRPC that is asked by REST."""

    def __init__(
        self, handler: Handler, defined: Defined[Router], json: JsonCodec, most: int
    ) -> None:
        self._handler: Final = handler
        self._defined: Final = defined
        self._json: Final = json
        self._most: Final = most

    async def handle(self, request: Request, /) -> Answer:
        if is_grpc(request):
            return await self._handler(request)
        request.options.on_error = _without_answer
        try:
            router = self._defined.current or await self._defined.first()
        except Error as error:
            return json_error(error)
        head = Head(request.method, request.path.encode(), request.query.encode(), request.headers)
        found: object = router.route(head)
        if not isinstance(found, Rule):
            return await _caught(head, cast("Streamed", found))
        try:
            return await self._call(request, found, head)
        except CodecError as error:
            return json_error(Error(400, "CODEC", error.message))

    async def _call(self, request: Request, rule: Rule, head: Head) -> Answer:
        sent = await self._sent(request, rule, head)
        try:
            answer = await self._handler(_asked(request, rule, sent))
        except Error as error:
            if isinstance(sent, Uploads) and sent.failure is error:
                return json_error(error)
            raise
        if answer.status != 200 or answer.header(b"grpc-status"):
            return self._failed(answer)
        if rule.streamed and (answer.body or not status_of(answer).code):
            return self._stream(request, rule, answer)
        return await self._whole(rule, answer)

    def _stream(self, request: Request, rule: Rule, answer: Answer) -> Answer:
        events = b"text/event-stream" in request.header(b"accept")
        kind = b"text/event-stream" if events else b"application/x-ndjson"
        lines = Lines(
            answer, rule, self._json, self._most, events=events, unknown=self._defined.doubt
        )
        headers = [(b"content-type", kind), (b"vary", b"Accept"), *_passed_on(answer)]
        return Answer(200, headers, lines)

    async def _sent(self, request: Request, rule: Rule, head: Head) -> bytes | Body:
        """Return the body of the call."""
        query, params = request.query, head.params
        kind = request.header(b"content-type").decode("latin-1")

        def read(body: bytes) -> bytes:
            return rule.read(self._json, query=query, params=params, kind=kind, body=body)

        if rule.asks_stream:
            return Uploads(request.body, read, self._most)
        return framed(await made_of(await read_whole(request.body, self._most), read))

    async def _whole(self, rule: Rule, answer: Answer) -> Answer:
        frames = Frames(answer.body, self._most)
        try:
            first = await frames.next()
            second = None if first is None else await frames.next()
        except Error as error:
            return json_error(error)
        finally:
            if not isinstance(answer.body, bytes):
                answer.trailers = answer.body.trailers
                answer.body.close()
        if status_of(answer).code:
            return self._failed(answer)
        if first is None or second is not None:
            count = "no message" if first is None else "more than one message"
            return json_error(Error(502, "BAD_GATEWAY", f"the back end answered {count}"))
        try:
            kind, body = await made_of(first, partial(rule.write, self._json))
        except DecodeError:
            told = f"the back end answered no {rule.reply.DESCRIPTOR.full_name}"
            return json_error(Error(502, "BAD_GATEWAY", told))
        return Answer(200, [(b"content-type", kind.encode()), *_passed_on(answer)], body)

    def _failed(self, answer: Answer) -> Answer:
        if not isinstance(answer.body, bytes):
            answer.body.close()
        status = status_of(answer)
        if not status.code:
            status = Status(2, "the back end answered neither a message nor an error")
        elif status.code == UNIMPLEMENTED:
            self._defined.doubt()
        return json_error(error_of(status), _passed_on(answer))


def _asked(request: Request, rule: Rule, body: bytes | Body) -> Request:
    headers = [pair for pair in request.headers if pair[0] not in _NOT_SENT]
    headers += [(b"content-type", b"application/grpc+proto"), (b"te", b"trailers")]
    return replace(
        request,
        method="POST",
        path=rule.operation,
        query="",
        headers=headers,
        body=body,
    )


def _passed_on(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return what of an answer's headers and trailers is not of gRPC."""
    return [
        pair
        for pair in (*answer.headers, *answer.trailers)
        if not pair[0].startswith(b"grpc-")
        and pair[0] not in (b"content-type", b"content-length", b"trailer")
    ]


def _without_answer(status: int, message: str) -> Answer:
    return json_error(Error(status, "", message))


class _Caught:
    """A wire that keeps the answer of what the router has for requests that lead nowhere."""

    def __init__(self) -> None:
        self.answer = Answer(500)

    async def read(self) -> bytes:
        return b""

    def start(self, status: int, headers: WireHeaders, /) -> None:
        self.answer = Answer(status, list(headers))

    async def write(self, data: bytes, /) -> None:
        assert isinstance(self.answer.body, bytes)
        self.answer.body += data

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        self.answer.trailers = trailers

    def reset(self, _cause: Cause, /) -> None:
        self.answer = Answer(502)


async def _caught(head: Head, endpoint: Streamed) -> Answer:
    wire = _Caught()
    await endpoint.converse(head, wire)
    return wire.answer


def _error_reply(_head: Head, error: Error) -> Reply:
    answer = json_error(error)
    assert isinstance(answer.body, bytes)
    return Reply(answer.status, answer.headers, answer.body)
