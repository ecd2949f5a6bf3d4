"""Reads and checks the options of kratos/http.proto."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.transport import HttpEnvelope, HttpMultipart, HttpOptions, HttpRule
from protoc_gen_kratos.elements import MethodElement, Path, ServiceElement, SourceFile
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["OptionReader"]

_METHOD: Final = "kratos.http"
_SERVICE: Final = "kratos.http_defaults"
_NUMBER: Final = 61108
_METHOD_OPTIONS: Final = 4  # field of MethodDescriptorProto
_SERVICE_OPTIONS: Final = 3  # field of ServiceDescriptorProto
_HTTP_BODY: Final = "google.api.HttpBody"
_WHOLE: Final = "*"
_NO_BODY: Final = ("GET", "DELETE", "HEAD")
_KEYS: Final = ("message", "code_key", "reason_key", "message_key", "data_key")


class OptionReader:
    """Reads the options of one file.

    Args:
        file: The definition.
        schema: Reads options.
        problems: Takes errors.
    """

    def __init__(self, file: SourceFile, schema: Schema, problems: Problems) -> None:
        self._file = file
        self._schema = schema
        self._problems = problems

    def defaults(self, service: ServiceElement) -> HttpOptions:
        """Return what a service says about all of its methods."""
        option = self._schema.option(service.raw.options, _SERVICE)
        if option is None:
            return HttpOptions()
        where = _Where(self._file, self._problems, service.raw.name, service.path, _SERVICE_OPTIONS)
        envelope = None
        if option.HasField("envelope") and not option.envelope.none:
            envelope = _envelope(option.envelope, where)
        return HttpOptions(timeout=_timeout(option, where), envelope=envelope)

    def read(
        self, method: MethodElement, rules: Sequence[HttpRule], defaults: HttpOptions
    ) -> HttpOptions | None:
        """Return the options of a method, ``None`` if there are none for it.

        Args:
            method: The method.
            rules: Its HTTP rules; without any it is not served, and has no options.
            defaults: Of its service.
        """
        option = self._schema.option(method.raw.options, _METHOD)
        options = _inherited(method, rules, defaults)
        if option is not None:
            options = self._own(option, method, rules, options)
        return None if not rules or options == HttpOptions() else options

    def _own(
        self, option: Any, method: MethodElement, rules: Sequence[HttpRule], options: HttpOptions
    ) -> HttpOptions:
        name = f"{method.descriptor.containing_service.name}.{method.raw.name}"
        where = _Where(self._file, self._problems, name, method.path, _METHOD_OPTIONS)
        if not rules:
            where.error(f"{_METHOD} says how HTTP serves it, but it has no google.api.http rule")
            return options
        timeout = _timeout(option, where)
        if timeout is not None:
            options = replace(options, timeout=timeout)
        if option.max_body:
            _check_max_body(option.max_body, rules, where)
            options = replace(options, max_body=option.max_body)
        if option.HasField("envelope"):
            envelope = None
            if not option.envelope.none:
                _check_enveloped(method, rules, where)
                envelope = _envelope(option.envelope, where)
            options = replace(options, envelope=envelope)
        if option.HasField("multipart"):
            _check_multipart(option.multipart, method, rules, where)
            multipart = HttpMultipart(
                max_parts=option.multipart.max_parts, filename=option.multipart.filename
            )
            options = replace(options, multipart=multipart)
        return options


class _Where:
    """What problems are about, and where it is written."""

    def __init__(
        self, file: SourceFile, problems: Problems, name: str, path: Path, options: int
    ) -> None:
        self._file = file
        self._problems = problems
        self._name = name
        self._path = (*path, options, _NUMBER)

    def error(self, message: str) -> None:
        """Note what is wrong."""
        line = self._file.line(self._path)
        self._problems.error(self._file.name, line, f"{self._name}: {message}")


def _inherited(
    method: MethodElement, rules: Sequence[HttpRule], defaults: HttpOptions
) -> HttpOptions:
    if method.raw.client_streaming or method.raw.server_streaming:
        return HttpOptions()
    if any(_is_raw(method.descriptor.output_type, rule.response_body) for rule in rules):
        return replace(defaults, envelope=None)
    return defaults


def _timeout(option: Any, where: _Where) -> float | None:
    if not option.HasField("timeout"):
        return None
    seconds: float = option.timeout
    if not 0 <= seconds < math.inf:
        where.error(f"timeout is {seconds}; write seconds, or 0 for no limit")
    return seconds


def _check_max_body(size: int, rules: Sequence[HttpRule], where: _Where) -> None:
    if size < 0:
        where.error(f"max_body is {size}; write bytes, or 0 for the server's limit")
    if not any(rule.body for rule in rules):
        where.error("max_body limits the body, but none of its rules has one")


def _check_enveloped(method: MethodElement, rules: Sequence[HttpRule], where: _Where) -> None:
    if method.raw.client_streaming or method.raw.server_streaming:
        where.error("envelope: streams have none; leave it out")
    elif any(_is_raw(method.descriptor.output_type, rule.response_body) for rule in rules):
        where.error(f"envelope: a {_HTTP_BODY} is sent as it is; leave the envelope out")


def _envelope(option: Any, where: _Where) -> HttpEnvelope:
    given = {key: getattr(option, key) for key in _KEYS if option.HasField(key)}
    envelope = HttpEnvelope(success=option.success, status_ok=option.status_ok, **given)
    needed = (envelope.code_key, envelope.message_key, envelope.data_key)
    keys = [*needed, *filter(None, (envelope.reason_key,)), "metadata"]
    if not all(needed):
        where.error("envelope: only reason_key may be empty; give code, message and data names")
    elif len(set(keys)) < len(keys):
        where.error("envelope: two of its names are equal, or one is 'metadata'; change one")
    return envelope


def _check_multipart(
    option: Any, method: MethodElement, rules: Sequence[HttpRule], where: _Where
) -> None:
    if option.max_parts < 0:
        where.error(f"multipart: max_parts is {option.max_parts}; write a number, or 0")
    request = method.descriptor.input_type
    forms = [
        form
        for rule in rules
        if rule.body and rule.verb not in _NO_BODY
        for form in (_form(request, rule.body, streamed=method.raw.client_streaming),)
        if form is not None
    ]
    if not forms:
        where.error(
            "multipart: none of its rules has a body for it: a message"
            if not method.raw.client_streaming
            else f"multipart: none of its rules names a field of bytes or {_HTTP_BODY} as body"
        )
    if option.filename and not all(_is_text(form, option.filename) for form in forms):
        where.error(f"multipart: filename {option.filename!r} names no string field")


def _form(request: Descriptor, body: str, *, streamed: bool) -> Descriptor | None:
    """Return the message whose fields are the parts of a form; ``None`` if a body is no form."""
    field = request.fields_by_name.get(body)
    if streamed:
        if field is None or field.is_repeated:
            return None
        held = field.type == FieldDescriptor.TYPE_BYTES or _is_http_body(field.message_type)
        return request if held else None
    message: Descriptor | None = request
    if body != _WHOLE:
        message = None if field is None or field.is_repeated else field.message_type
    return None if _is_http_body(message) else message


def _is_raw(message: Descriptor, field: str) -> bool:
    """Tell whether a body, of a message or of its field, is sent as it is."""
    if field in ("", _WHOLE):
        return _is_http_body(message)
    found = message.fields_by_name.get(field)
    return found is not None and _is_http_body(found.message_type) and not found.is_repeated


def _is_http_body(message: Descriptor | None) -> bool:
    return message is not None and message.full_name == _HTTP_BODY


def _is_text(message: Descriptor, name: str) -> bool:
    field = message.fields_by_name.get(name)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
