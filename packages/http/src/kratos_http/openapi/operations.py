"""What a document says about one rule of one method."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.encoding.http_body import is_http_body
from kratos.transport import Arity, HttpRule, Method, Service
from kratos_http._binding import field_of
from kratos_http._transfers import download_part, upload_part
from kratos_http.openapi._fields import Schema
from kratos_http.openapi.bodies import (
    RAW,
    EncodersOf,
    enveloped,
    extensions,
    form,
    nobody,
    options_of,
)
from kratos_http.openapi.options import OpenApi
from kratos_http.openapi.parameters import path_parameter, query_parameters
from kratos_http.openapi.paths import DocumentPath
from kratos_http.openapi.schema import Schemas, with_null

__all__ = ["Operations", "doc_of", "home_of"]

_JSON: Final = "application/json"
_FOR_US: Final = "Implement with ``"  # what the generator tells whoever writes the service
_EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Makes the operations of one document.

    Attributes:
        schemas: Makes schemas.
        options: What the application says.
        envelope: Whether the server has a ``reply_encoder`` of its own.
        encoders_of: Tells the encoders that were given for a method by name.
    """

    schemas: Schemas
    options: OpenApi
    envelope: bool
    encoders_of: EncodersOf = nobody

    def operation(
        self,
        method: Method[Any, Any],
        rule: HttpRule,
        path: DocumentPath,
        *,
        names: list[str],
        home: type[Service],
    ) -> dict[str, Any]:
        """Return the operation without its id, tag and errors.

        Args:
            method: The method.
            rule: One of its rules.
            path: The rule's path.
            names: Names of the path's variables.
            home: Class with the method's documentation.

        Raises:
            ConfigError: The rule names a field that the message has not.
        """
        request = cast("Descriptor", method.request.DESCRIPTOR)
        operation: dict[str, Any] = {}
        summary, _, rest = doc_of(getattr(home, method.name, None)).partition("\n")
        if summary:
            operation["summary"] = summary
        rest = "\n\n".join(one for one in rest.strip().split("\n\n") if not one.startswith(_FOR_US))
        if rest:
            operation["description"] = rest
        if method.deprecated:
            operation["deprecated"] = True
        parameters = [
            path_parameter(variable, request, name=name, schemas=self.schemas)
            for variable, name in zip(path.variables, names, strict=True)
        ]
        if rule.body != "*":
            omit = {variable.field for variable in path.variables} | {rule.body}
            parameters += query_parameters(request, omit=omit, schemas=self.schemas)
        if parameters:
            operation["parameters"] = parameters
        if rule.body:
            operation["requestBody"] = {"required": True, "content": self._body(method, rule)}
        operation["responses"] = {"200": self._reply(method, rule)}
        return {**operation, **extensions(options_of(method))}

    def _body(self, method: Method[Any, Any], rule: HttpRule) -> dict[str, Any]:
        request = cast("Descriptor", method.request.DESCRIPTOR)
        field = None if rule.body == "*" else field_of(request, rule.body)
        asked = options_of(method).multipart
        if upload_part(method, rule) is not None:
            if asked is None or field is None:
                return RAW
            return form(request, self.schemas, filename=asked.filename)
        if _as_is(request, field):
            return RAW
        content = {_JSON: {"schema": self._schema(request, field)}}
        held = request if field is None else field.message_type
        if asked is None or held is None or (field is not None and field.is_repeated):
            return content
        return {**form(held, self.schemas, filename=asked.filename), **content}

    def _reply(self, method: Method[Any, Any], rule: HttpRule) -> dict[str, Any]:
        reply = cast("Descriptor", method.reply.DESCRIPTOR)
        whole = rule.response_body in ("", "*")
        field = None if whole else field_of(reply, rule.response_body)
        if download_part(method, rule) is not None:
            return {"description": "All messages, one after the other.", "content": RAW}
        if method.arity is Arity.SERVER_STREAM:
            return {
                "description": "An event for each message; its data is of this form.",
                "content": {_EVENTS: {"schema": self._event(reply)}},
            }
        if method.arity is Arity.UNARY:
            content = self._encoded(method, reply, field)
            if content is not None:
                return {"description": "Success.", "content": {_JSON: content}}
        if _as_is(reply, field):
            return {"description": "Success, in a form of its own.", "content": RAW}
        schema = self._nullable(reply, field)
        return {"description": "Success.", "content": {_JSON: {"schema": schema}}}

    def _encoded(
        self, method: Method[Any, Any], reply: Descriptor, field: FieldDescriptor | None
    ) -> dict[str, Any] | None:
        """Return what an encoder or an envelope makes of a reply; ``None`` if there is neither."""
        given = self.encoders_of(method)
        envelope = options_of(method).envelope
        raw = _as_is(reply, field)
        if given is not None:
            if given.reply is None or raw:
                return None
            if given.reply_schema is None:
                return {}
            return {"schema": given.reply_schema(self._nullable(reply, field))}
        if envelope is not None:
            return None if raw else {"schema": enveloped(self._nullable(reply, field), envelope)}
        return self._wrapped(reply, field) if self.envelope else None

    def _nullable(self, reply: Descriptor, field: FieldDescriptor | None) -> Schema:
        schema = self._schema(reply, field)
        if field is not None and field.message_type is not None and not field.is_repeated:
            return with_null(schema)
        return schema

    def _event(self, reply: Descriptor) -> Schema:
        return {"type": "string"} if is_http_body(reply) else self.schemas.message(reply)

    def _wrapped(self, reply: Descriptor, field: FieldDescriptor | None) -> dict[str, Any]:
        if self.options.reply_schema is None:
            return {}
        return {"schema": self.options.reply_schema(self._schema(reply, field))}

    def _schema(self, message: Descriptor, field: FieldDescriptor | None) -> Schema:
        return self.schemas.message(message) if field is None else self.schemas.field(field)


def home_of(service: Service | type[Service]) -> type[Service]:
    """Return the class that the definition became: a user's own comments are for colleagues."""
    kind = service if isinstance(service, type) else type(service)
    return next(one for one in kind.__mro__ if "METHODS" in vars(one))


def doc_of(documented: object) -> str:
    """Return a docstring without its indentation, empty if there is none."""
    return inspect.cleandoc(getattr(documented, "__doc__", None) or "")


def _as_is(message: Descriptor, field: FieldDescriptor | None) -> bool:
    """Tell whether a body is the bytes of an ``HttpBody``."""
    if field is None:
        return is_http_body(message)
    return is_http_body(field.message_type) and not field.is_repeated
