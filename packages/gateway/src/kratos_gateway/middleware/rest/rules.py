"""HTTP rules of services, read from their definitions (``google.api.http``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kratos.encoding.form import bind, parse_query, setter
from kratos.encoding.http_body import from_raw, is_http_body, raw
from kratos.encoding.json import JsonCodec
from kratos.errors import ConfigError
from kratos.transport.rule import PathTemplate, TemplateError

__all__ = ["Rule", "rules_of"]

_EXTENSION: Final[Any] = annotations_pb2.http
_JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to call a method.

    Attributes:
        operation: ``/package.Service/Method``.
        verb: HTTP method; ``*`` for all.
        path: Template.
        asks_stream: Whether it takes a stream.
        streamed: Whether it answers a stream.
        request: Type of its request.
        reply: Type of its answer.
        body: Field of the request that the body is; ``*`` for the whole, empty for none.
        response_body: Field of the answer that is sent; empty for the whole.
        setters: Put the variables of the path into a request, in their order.
    """

    operation: str
    verb: str
    path: str
    asks_stream: bool
    streamed: bool
    request: type[Message]
    reply: type[Message]
    body: str
    response_body: str
    setters: Sequence[Callable[[Message, str], None]] = field(default=(), repr=False)

    def checked(self) -> Rule:
        """Return it ready for use.

        Raises:
            ConfigError: It is no template, or names a field that there is not.
        """
        try:
            template = PathTemplate.parse(self.path)
        except TemplateError as error:
            raise ConfigError(f"{self.operation}: {error}") from error
        for where, name, kind in (
            ("body", self.body, self.request.DESCRIPTOR),
            ("response_body", self.response_body, self.reply.DESCRIPTOR),
        ):
            if name not in ("", "*") and name not in kind.fields_by_name:
                raise ConfigError(f"{self.operation}: {where}: {kind.full_name} has no {name!r}")
        names = [capture.variable for capture in template.captures]
        return replace(self, setters=[setter(self.request.DESCRIPTOR, name) for name in names])

    def read(
        self, codec: JsonCodec, *, query: str, params: Sequence[str], kind: str, body: bytes
    ) -> bytes:
        """Return the message of a request: its body, then its query, then its path.

        Args:
            codec: Reads JSON.
            query: Of the request.
            params: Values of the variables of the path.
            kind: Content type.
            body: Of the request.

        Raises:
            CodecError: Something does not parse.
        """
        message: Message
        if self.body == "*" and is_http_body(self.request.DESCRIPTOR):
            message = from_raw(self.request, kind or _JSON_TYPE, body)
        elif self.body == "*":
            message = codec.decode(body, self.request)
        else:
            message = self.request()
            if self.body:
                self._read_field(message, codec, kind, body)
        if query and self.body != "*":
            bind(message, parse_query(query))
        for put, value in zip(self.setters, params, strict=True):
            put(message, value)
        return message.SerializeToString()

    def _read_field(self, message: Message, codec: JsonCodec, kind: str, body: bytes) -> None:
        if is_http_body(message.DESCRIPTOR.fields_by_name[self.body].message_type):
            target: Any = getattr(message, self.body)
            target.content_type, target.data = kind, body
            return
        codec.decode_field(body, message, self.body)

    def write(self, codec: JsonCodec, data: bytes) -> tuple[str, bytes]:
        """Return content type and body of an answer.

        Raises:
            CodecError: JSON has no form for it.
            DecodeError: It is no message of its type.
        """
        message = self.reply()
        message.ParseFromString(data)
        if is_http_body(message.DESCRIPTOR):
            return raw(message)
        if not self.response_body:
            return _JSON_TYPE, codec.encode(message)
        if is_http_body(message.DESCRIPTOR.fields_by_name[self.response_body].message_type):
            return raw(getattr(message, self.response_body))
        return _JSON_TYPE, codec.encode_field(message, self.response_body)


def rules_of(services: Iterable[ServiceDescriptor], /) -> list[Rule]:
    """Return the rules of services.

    Raises:
        ConfigError: A rule does not fit.
    """
    return [
        rule.checked()
        for service in services
        for method in service.methods
        for rule in _rules(method)
    ]


def _rules(method: MethodDescriptor) -> Iterator[Rule]:
    given = _options(method)
    for each in (given, *given.additional_bindings):
        kind = each.WhichOneof("pattern")
        if kind is None:
            continue
        custom = kind == "custom"
        yield Rule(
            operation=f"/{method.containing_service.full_name}/{method.name}",
            verb=each.custom.kind if custom else kind.upper(),
            path=each.custom.path if custom else getattr(each, kind),
            asks_stream=method.client_streaming,
            streamed=method.server_streaming,
            request=_type(method.input_type),
            reply=_type(method.output_type),
            body=each.body,
            response_body=each.response_body,
        )


def _options(method: MethodDescriptor) -> Any:
    """Return the rule that a method has; its own pool may not know what rules are."""
    known: Any = MethodOptions.FromString(method.GetOptions().SerializeToString())
    return known.Extensions[_EXTENSION]


def _type(descriptor: Descriptor) -> type[Message]:
    return GetMessageClass(descriptor)
