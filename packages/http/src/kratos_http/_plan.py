"""How a client calls one method over HTTP: compiled when it is first called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding import Codec, CodecError, Codecs, content_type
from kratos.encoding.form import path_builder
from kratos.encoding.http_body import from_raw, is_http_body, raw
from kratos.errors import Error
from kratos.transport import Arity, HttpRule, Method
from kratos.transport.method import IDEMPOTENT_VERBS
from kratos.transport.rule import PathTemplate, PathValueError
from kratos_http._binding import decode_field, encode_field, field_of, frame_field
from kratos_http._details import parted
from kratos_http._events import EVENT_STREAM
from kratos_http._exchange import RawReply
from kratos_http._form_writing import (
    form_closing,
    form_opening,
    form_type,
    new_boundary,
    write_form,
)
from kratos_http._inbound import is_binary
from kratos_http._status import STATUS, from_message
from kratos_http._transfers import download_part, upload_part
from kratos_http._trouble import foreign
from kratos_http._unwrapping import unwrapping
from kratos_http.envelope import JSON_CODECS

__all__ = ["Body", "Plan", "is_repeatable"]


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body; no content type means that there is none.

    Attributes:
        content_type: Its type.
        data: All of it, or nothing yet.
        chunked: Whether the rest follows in chunks.
        accept: What is asked for instead of the plan's own; empty for that.
        closing: What ends it then.
        coding: Its content coding; empty for none.
    """

    content_type: str = ""
    data: bytes = b""
    chunked: bool = False
    accept: str = ""
    closing: bytes = b""
    coding: str = ""


_NO_BODY: Final = Body()
_Write: TypeAlias = Callable[[Message], Body]


class Plan:
    """One method over HTTP.

    Args:
        method: What is called.
        codec: For bodies, and what replies are asked for in.
        codecs: For whatever replies come in.
        rule: Which of its rules is used.
        sockets: Whether uploads are WebSockets too, as for Go Kratos.

    Attributes:
        verb: HTTP method.
        repeatable: Whether sending a request twice is harmless.
        accept: The ``Accept`` header.
        kind: Content type of its codec.
        event_kind: That of what events hold; lines of text cannot carry what a binary codec makes.
        lazy: Whether a WebSocket can be opened only when the first request is known.
        upload: Where requests hold the pieces of a body; ``None`` if they are no pieces of one.
        download: Where replies do.

    Raises:
        ConfigError: The rule names a field that its message has not.
        Error: 501: the method has no rule.
    """

    __slots__ = (
        "_as_is", "_codec", "_codecs", "_envelope", "_field", "_form", "_frame_field", "_method",
        "_others", "_path", "_raw_frames", "_raw_messages", "_reply", "_request", "_sockets",
        "_write", "accept", "download", "event_kind", "kind", "lazy", "repeatable", "upload",
        "verb",
    )  # fmt: skip

    def __init__(
        self,
        method: Method[Any, Any],
        codec: Codec,
        codecs: Codecs,
        *,
        rule: int = 0,
        sockets: bool = False,
    ) -> None:
        if not method.http:
            raise Error(501, "UNIMPLEMENTED", f"{method.operation} has no HTTP rule")
        self._method = method
        self._sockets = sockets
        self._others: list[Plan] | None = None if rule == 0 and len(method.http) > 1 else []
        self._compile(method, method.http[rule], codec, codecs)

    def _compile(
        self, method: Method[Any, Any], rule: HttpRule, codec: Codec, codecs: Codecs
    ) -> None:
        self.verb = "POST" if rule.verb == "*" else rule.verb
        self.repeatable = is_repeatable(method, self.verb)
        self.accept = self.kind = self.event_kind = content_type(codec.name)
        if is_binary(codec):
            self.event_kind = content_type("protojson")
        if method.arity is Arity.SERVER_STREAM:
            self.accept = f"text/event-stream, {self.event_kind}"
        self._codec = codec
        self._codecs = codecs
        self._envelope = unwrapping(method)
        self._form = method.http_options.multipart if method.http_options is not None else None
        descriptor = cast("Descriptor", method.request.DESCRIPTOR)
        template = PathTemplate.parse(rule.path)
        self._path = path_builder(template, descriptor, body=rule.body)
        self.upload = self.download = None
        if method.arity is Arity.SERVER_STREAM:
            self.download = download_part(method, rule)
        elif method.arity is Arity.CLIENT_STREAM and not self._sockets:
            self.upload = upload_part(method, rule)
        self._write = self._writer(descriptor, rule.body)
        self._request: type[Message] = method.request
        self._frame_field = ""
        if self.download is not None:
            self.accept = "*/*"  # what Go's server sends as events comes as events
        if method.arity.client_streams and self.upload is None:
            self.verb = "GET"
            self._frame_field = frame_field(method, rule)
            body = self._frame_field or "*"
            self._path = path_builder(template, descriptor, body=body)
        self.lazy = bool(template.variables or self._frame_field)
        in_field = self._frame_field and field_of(descriptor, self._frame_field).message_type
        self._raw_frames = is_http_body(in_field or descriptor)
        self._reply: type[Message] = method.reply
        self._raw_messages = is_http_body(cast("Descriptor", method.reply.DESCRIPTOR))
        reply = cast("Descriptor", method.reply.DESCRIPTOR)
        self._field: FieldDescriptor | None = None
        if rule.response_body not in ("", "*"):
            self._field = field_of(reply, rule.response_body)
            self._as_is = _holds_http_body(self._field)
        else:
            self._as_is = is_http_body(reply)

    def write(self, request: Message) -> tuple[Plan, str, Body]:
        """Return the target and the body of a request, and the plan that reads its reply.

        That is this one, unless its path cannot carry the message and that of another rule can.

        Raises:
            Error: 400 CODEC: the message has no such form.
        """
        try:
            return self, self._path(request), self._write(request)
        except PathValueError as error:
            for other in self._alternatives():
                if other.fits(request):
                    return other.write(request)
            raise Error(400, "CODEC", str(error)) from error
        except ValueError as error:  # of a codec
            raise Error(400, "CODEC", str(error)) from error

    def fits(self, request: Message) -> bool:
        """Tell whether the path can carry a request."""
        try:
            self._path(request)
        except ValueError:
            return False
        return True

    def _alternatives(self) -> Sequence[Plan]:
        """Return the plans of the other rules, which few methods have and few calls need."""
        if self._others is None:
            count = len(self._method.http)
            codec, codecs = self._codec, self._codecs
            self._others = [
                Plan(self._method, codec, codecs, rule=number, sockets=self._sockets)
                for number in range(1, count)
            ]
        return self._others

    def downloads(self, kind: bytes) -> bool:
        """Tell whether an answer of this content type is read piece by piece, as it is."""
        return self.download is not None and not kind.lower().startswith(EVENT_STREAM)

    def read(self, reply: RawReply) -> Message:
        """Return the reply message.

        Raises:
            Error: What the service answered; 500 CODEC when it is not what was promised.
        """
        if not 200 <= reply.status < 300:
            raise self.error(reply)
        kind = reply.header(b"content-type").decode("latin-1")
        if self._envelope is not None and self._codec_of(kind).name in JSON_CODECS:
            return self._envelope.read(reply.body, lambda data: self._checked(kind, data))
        return self._checked(kind, reply.body)

    def message(self, kind: str, data: bytes) -> Message:
        """Return one message of a stream, which is the whole reply type, as in Go.

        Raises:
            Error: 500 CODEC: it is not what was promised.
        """
        try:
            if self._raw_messages:
                return from_raw(self._reply, "", data)
            return self._codec_of(kind).decode(data, self._reply)
        except CodecError as error:
            raise Error(500, "CODEC", f"a reply cannot be read as {kind}: {error}") from error

    def piece(self, kind: str, data: bytes) -> Any:
        """Return one message of a download."""
        assert self.download is not None, "asked for downloads alone"
        message = self._reply()
        self.download.put(message, kind, data)
        return message

    def upload_head(self, request: Message | None) -> tuple[str, Body]:
        """Return target and kind of an upload, whose pieces follow.

        Args:
            request: The first piece; ``None`` for an upload without any.

        Raises:
            Error: 400 CODEC: the URL cannot express its fields.
        """
        assert self.upload is not None, "asked for uploads alone"
        first = self._request() if request is None else request
        try:
            target = self._path(first)
        except ValueError as error:
            raise Error(400, "CODEC", str(error)) from error
        kind = self.upload.get(first)[0]
        form = self._form
        if form is None or self.upload.name == "*":
            return target, Body(kind, chunked=True)
        boundary = new_boundary()
        named = getattr(first, form.filename) if form.filename else ""
        opening = form_opening(boundary, self.upload.name, named or self.upload.name, kind)
        closing = form_closing(boundary)
        return target, Body(form_type(boundary), opening, chunked=True, closing=closing)

    def socket_target(self, request: Message | None) -> str:
        """Return the target of a WebSocket's handshake.

        Args:
            request: The first request; ``None`` for one that is empty.

        Raises:
            Error: 400 CODEC: the message has no such form.
        """
        first = self._request() if request is None else request
        try:
            target = self._path(first)
        except ValueError as error:
            raise Error(400, "CODEC", str(error)) from error
        return target if self._frame_field else target.partition("?")[0]

    def frame(self, request: Message) -> str | bytes:
        """Return one request of a stream.

        Raises:
            Error: 400 CODEC: the codec cannot express it.
        """
        part: Any = getattr(request, self._frame_field) if self._frame_field else request
        if self._raw_frames:
            return raw(part)[1]
        try:
            data = self._codec.encode(part)
        except CodecError as error:
            raise Error(400, "CODEC", str(error)) from error
        return data if is_binary(self._codec) else data.decode()

    def streamed_error(self, kind: str, data: bytes) -> Error:
        """Return the error that ended a stream, under its own code."""
        codec = self._codec_of(kind)
        body, details = parted(codec, data)
        try:
            status = codec.decode(body, STATUS)
        except CodecError:
            return Error(500, "UNKNOWN", data.decode("utf-8", "replace"))
        return from_message(status, code=cast("Any", status).code or 500, details=details)

    def _checked(self, kind: str, body: bytes) -> Message:
        try:
            return self._message(kind, body)
        except CodecError as error:
            message = f"the reply cannot be read as {kind or 'json'}: {error}"
            raise Error(500, "CODEC", message) from error

    def _message(self, kind: str, body: bytes) -> Message:
        field = self._field
        if field is None:
            if self._as_is:
                return from_raw(self._reply, kind, body)
            return self._codec_of(kind).decode(body, self._reply)
        message = self._reply()
        if self._as_is:
            part: Any = getattr(message, field.name)
            part.content_type, part.data = kind, body
        elif body:
            decode_field(self._codec_of(kind), body, message, field)
        return message

    def error(self, reply: RawReply) -> Error:
        """Return the error in a reply, under the reply's status as in Go."""
        if not reply.body:
            return foreign(reply)
        codec = self._codec_of(reply.header(b"content-type").decode("latin-1"))
        if self._envelope is not None and codec.name in JSON_CODECS:
            found = self._envelope.error(reply.body, code=reply.status)
            if found is not None:
                return found
        body, details = parted(codec, reply.body)
        try:
            status: Any = codec.decode(body, STATUS)
        except CodecError:
            return foreign(reply)
        if not (status.code or status.reason or status.message):
            return foreign(reply)
        return from_message(status, code=reply.status, details=details)

    def _codec_of(self, kind: str) -> Codec:
        return self._codecs.find(kind) or self._codecs.select("").codec

    def _writer(self, descriptor: Descriptor, body: str) -> _Write:
        codec = self._codec
        kind = content_type(codec.name)
        if not body:
            return lambda _request: _NO_BODY
        if self._form is not None and not self.upload:
            return _form_writer(body, codec, self._form.filename)
        if body == "*":
            if is_http_body(descriptor):
                return lambda request: Body(*raw(request))
            return lambda request: Body(kind, codec.encode(request))
        field = field_of(descriptor, body)
        if _holds_http_body(field):
            return lambda request: Body(*raw(getattr(request, field.name)))
        return lambda request: Body(kind, encode_field(codec, request, field))


def is_repeatable(method: Method[Any, Any], verb: str) -> bool:
    """Tell whether sending a request twice is harmless."""
    return method.idempotent or verb in IDEMPOTENT_VERBS


def _form_writer(body: str, codec: Codec, filename: str) -> _Write:
    def write(request: Message) -> Body:
        message = request if body == "*" else getattr(request, body)
        boundary = new_boundary()
        return Body(form_type(boundary), write_form(message, codec, boundary, filename=filename))

    return write


def _holds_http_body(field: FieldDescriptor) -> bool:
    return is_http_body(field.message_type) and not field.is_repeated
