"""REST: unary methods behind the rules of ``google.api.http``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import CodecError, Codecs
from kratos.encoding.http_body import is_http_body, raw
from kratos.errors import Error
from kratos.transport import Arity, Call, Header, HttpRule, Method, Operation, Side
from kratos.transport.http import Head, Reply
from kratos_http._binding import encode_field, field_of
from kratos_http._decoding import binding_of
from kratos_http._inbound import TRANSPORT, add_headers, deadline_after, read
from kratos_http._multipart import FormLimits
from kratos_http.decoders import Decoders
from kratos_http.encoders import (
    Encoders,
    ErrorEncoder,
    ReplyEncoder,
    content_type_header,
    encode_error,
)
from kratos_http.envelope import Envelope

__all__ = ["Place", "RestEndpoint", "RestOptions", "accepted", "bad_request", "encoder"]

_log = logging.getLogger("kratos.http")

_SERVER: Final = Side.SERVER  # members of enumerations are slow to look up

_Encode = Callable[[Call, Message, str], Reply]


@dataclass(slots=True)
class Place:
    """Where a server is, known when it is bound.

    Attributes:
        endpoint: Its URL or address.
    """

    endpoint: str = ""


@dataclass(slots=True, kw_only=True)
class RestOptions:
    """What all endpoints of a server share.

    Attributes:
        codecs: For bodies and replies.
        max_body: Bytes of the largest request body.
        forms: What forms with files may hold.
        reply_encoder: In place of codecs and rules; ``None`` for these.
        error_encoder: In place of codecs; ``None`` for these.
        decoders: In place of codecs and forms; ``None`` for these.
        envelope: Around what codecs and rules make of replies; ``None`` for none.
        place: Where it is served.
    """

    codecs: Codecs = encoding.DEFAULT
    max_body: int
    forms: FormLimits = field(default_factory=FormLimits)
    reply_encoder: ReplyEncoder | None = None
    error_encoder: ErrorEncoder | None = None
    decoders: Decoders | None = None
    envelope: Envelope | None = None
    place: Place = field(default_factory=Place)

    def for_method(self, method: Method[Any, Any], encoders: Encoders | None) -> RestOptions:
        """Return the same as a method's definition would have it.

        Args:
            method: The method.
            encoders: Of its answers, over what the definition says; ``None`` for none.

        Raises:
            ConfigError: The definition asks for an impossible envelope.
        """
        options = self if encoders is None else self.with_encoders(encoders)
        asked = method.http_options
        if asked is None:
            return options
        if asked.max_body:
            options = replace(options, max_body=asked.max_body)
        if asked.multipart is not None and asked.multipart.max_parts:
            forms = replace(self.forms, max_parts=asked.multipart.max_parts)
            options = replace(options, forms=forms)
        if asked.envelope is not None and encoders is None and method.arity is Arity.UNARY:
            envelope = Envelope.of(asked.envelope, codecs=self.codecs)
            options = replace(
                options, envelope=envelope, reply_encoder=None, error_encoder=envelope.encode_error
            )
        return options

    @property
    def endpoint(self) -> str:
        """For ``Call.endpoint``."""
        return self.place.endpoint

    def with_encoders(self, encoders: Encoders) -> RestOptions:
        """Return the same with other encoders."""
        return replace(self, reply_encoder=encoders.reply, error_encoder=encoders.error)

    def error_reply(self, error: Error, accept: str) -> Reply:
        """Return the answer for an error."""
        if self.error_encoder is None:
            return encode_error(error, accept, codecs=self.codecs)
        return self.error_encoder(error, accept)

    def refusal(self, head: Head, error: Error) -> Reply:
        """Return the answer for a request that led to no call."""
        return self.error_reply(error, accepted(head))


class RestEndpoint:
    """A ``Buffered`` endpoint: one rule of one unary method.

    Args:
        operation: What is called.
        rule: How it is reached.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: Shared by the server's endpoints.

    Attributes:
        max_body: Bytes of the largest request body.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """

    __slots__ = (
        "_encode",
        "_method",
        "_options",
        "_place",
        "_request",
        "_rule",
        "_run",
        "max_body",
    )

    def __init__(
        self,
        operation: Operation,
        rule: HttpRule,
        variables: tuple[str, ...],
        options: RestOptions,
    ) -> None:
        self._method = operation.method
        self._rule = rule
        self._options = options
        self.max_body = options.max_body
        self._place = options.place
        self._run = operation.run
        self._request = binding_of(operation.method, rule, variables, options).request
        self._encode = options.reply_encoder or encoder(operation, rule, options)

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Bind, call, encode."""
        wanted, content_type, timeout = read(head)
        place = self._place
        call = Call(
            self._method, _SERVER, TRANSPORT, Header(head.headers), head.peer, place.endpoint
        )
        call.certificate = head.certificate
        call.path = head.path
        call.rule = self._rule
        try:
            if timeout:
                call.deadline = deadline_after(timeout)
            request = self._request(head, content_type, body)
            head.running = call
            message = await self._run(call, request)
            head.running = None
            reply = self._encode(call, message, wanted)
        except Error as error:
            reply = self._options.error_reply(error, wanted)
        except CodecError as error:
            reply = self._options.error_reply(bad_request(error), wanted)
        if not call.is_bare:
            add_headers(reply, call)
        return reply


def accepted(head: Head) -> str:
    """Return the ``Accept`` header of a request, all values of it."""
    return ",".join(value.decode("latin-1") for name, value in head.headers if name == b"accept")


def encoder(operation: Operation, rule: HttpRule, options: RestOptions) -> _Encode:
    """Compile how the replies of a rule are written, where no ``reply_encoder`` does it.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """
    method, codecs, envelope = operation.method, options.codecs, options.envelope
    expected: type[Message] = method.reply
    descriptor = cast("Descriptor", expected.DESCRIPTOR)
    field = None
    if rule.response_body not in ("", "*"):
        field = field_of(descriptor, rule.response_body)
    part = field.message_type if field is not None else descriptor
    as_is = is_http_body(part) and (field is None or not field.is_repeated)

    def encode(_call: Call, message: Message, accept: str) -> Reply:
        if not isinstance(message, expected):
            wrong = type(message).__name__
            raise _broken(method.operation, f"returned {wrong}, where {expected.__name__} is due")
        if as_is:
            content_type, body = raw(getattr(message, field.name) if field else message)
            return Reply(200, ((b"content-type", content_type.encode()),), body)
        chosen = codecs.select(accept)
        try:
            if field is None:
                body = chosen.codec.encode(message)
            else:
                body = encode_field(chosen.codec, message, field)
        except CodecError as error:
            raise _broken(method.operation, f"returned what cannot be sent: {error}") from error
        return Reply(200, content_type_header(chosen.content_type), body)

    if envelope is None or as_is:
        return encode

    def enveloped(call: Call, message: Message, accept: str) -> Reply:
        return envelope.around(encode(call, message, accept), accept)

    return enveloped


def _broken(operation: str, problem: str) -> Error:
    _log.error("%s %s", operation, problem)
    return Error(500, "UNKNOWN", "unknown request error")


def bad_request(error: CodecError) -> Error:
    """Return what a peer is told of a request that does not parse."""
    metadata = {"field": error.field} if error.field else None
    return Error(400, "CODEC", error.message, metadata)
