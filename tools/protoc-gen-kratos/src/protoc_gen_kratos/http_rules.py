"""Reads and checks the HTTP rules of methods (Go: cmd/protoc-gen-go-http/http.go)."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.transport import HttpRule
from kratos.transport.rule import PathTemplate, TemplateError
from protoc_gen_kratos.elements import MethodElement, SourceFile
from protoc_gen_kratos.naming import snake
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["RuleReader"]

_EXTENSION: Final = "google.api.http"
_EXTENSION_NUMBER: Final = 72295728
_OPTIONS: Final = 4  # field of MethodDescriptorProto
_WITHOUT_BODY: Final = ("GET", "DELETE")
# Messages that stand for one scalar, which text can carry.
_SCALAR_MESSAGES: Final = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "BoolValue",
        "BytesValue",
        "DoubleValue",
        "Duration",
        "FieldMask",
        "FloatValue",
        "Int32Value",
        "Int64Value",
        "StringValue",
        "Timestamp",
        "UInt32Value",
        "UInt64Value",
    )
)


class RuleReader:
    """Reads the rules of one file, and remembers its routes.

    Args:
        file: The definition.
        schema: Reads the option.
        options: Says what methods without a rule get.
        problems: Takes errors and warnings.
    """

    def __init__(
        self, file: SourceFile, schema: Schema, options: Options, problems: Problems
    ) -> None:
        self._file = file
        self._schema = schema
        self._options = options
        self._problems = problems
        self._routes: dict[tuple[str, str], tuple[str, int]] = {}

    def read(self, method: MethodElement, operation: str) -> tuple[HttpRule, ...]:
        """Return the rules of a method, the main one first."""
        default_path = f"{self._options.omit_empty_prefix}{operation}"
        option = self._schema.option(method.raw.options, _EXTENSION)
        if option is None:
            streams = method.raw.client_streaming or method.raw.server_streaming
            if self._options.omit_empty or streams:
                return ()
            return self._checked(method, [HttpRule(verb="POST", path=default_path)])
        if any(rule.additional_bindings for rule in option.additional_bindings):
            self._error(method, "additional_bindings cannot nest; list them in the main rule")
        rules = [_rule(rule, default_path) for rule in (option, *option.additional_bindings)]
        for rule in rules:
            self._warn(method, rule)
        return self._checked(method, rules)

    def _checked(self, method: MethodElement, rules: list[HttpRule]) -> tuple[HttpRule, ...]:
        for rule in rules:
            self._check_verb(method, rule)
            self._check_path(method, rule)
            if rule.body not in ("", "*"):
                self._check_field(method, "body", rule.body, method.descriptor.input_type)
            if rule.response_body:
                reply = method.descriptor.output_type
                self._check_field(method, "response_body", rule.response_body, reply)
        return tuple(rules)

    def _check_verb(self, method: MethodElement, rule: HttpRule) -> None:
        if not rule.verb:
            self._error(method, 'custom has no kind; write kind: "HEAD", or "*" for any verb')
        elif rule.verb != "*" and not rule.verb.isalpha():
            self._error(method, f"{rule.verb!r} is no HTTP method; write letters, or '*' for any")

    def _check_path(self, method: MethodElement, rule: HttpRule) -> None:
        try:
            template = PathTemplate.parse(rule.path)
        except TemplateError as error:
            self._error(method, str(error))
            return
        for variable in template.variables:
            self._check_variable(method, rule, variable)
        self._claim_route(method, rule, template.normalised)

    def _check_variable(self, method: MethodElement, rule: HttpRule, variable: str) -> None:
        message: Descriptor | None = method.descriptor.input_type
        field: FieldDescriptor | None = None
        for name in variable.split("."):
            if message is None or (field is not None and field.is_repeated):
                self._error(
                    method,
                    f"path variable {variable!r} looks for {name!r} inside a field that is no "
                    "message; end it one name earlier",
                )
                return
            field = message.fields_by_name.get(name)
            if field is None:
                what = f"path variable {variable!r}"
                self._missing_field(method, what, name, message)
                return
            message = field.message_type
        assert field is not None, "a variable has a name"
        if field.is_repeated:
            kind = "map" if message is not None and _is_map_entry(message) else "list"
            self._warning(method, f"path variable {variable!r} of {rule.path} is a {kind}")
        elif message is not None and message.full_name not in _SCALAR_MESSAGES:
            self._error(
                method,
                f"path variable {variable!r} is a {message.full_name}, which no path can carry; "
                "name one of its fields",
            )

    def _claim_route(self, method: MethodElement, rule: HttpRule, route: str) -> None:
        own, line = _own(method), self._line(method)
        key = (rule.verb, route)
        if key not in self._routes:
            self._routes[key] = (own, line)
            return
        other, where = self._routes[key]
        whose = "another rule of the method" if other == own else f"{other} (line {where})"
        self._error(
            method, f"{rule.verb} {rule.path} is already the route of {whose}; change one of them"
        )

    def _check_field(self, method: MethodElement, what: str, name: str, of: Descriptor) -> None:
        if name not in of.fields_by_name:
            self._missing_field(method, what, name, of)

    def _missing_field(
        self, method: MethodElement, what: str, name: str, message: Descriptor
    ) -> None:
        known = list(message.fields_by_name)
        near = get_close_matches(snake(name), known, n=1, cutoff=0.6)
        if near:
            mend = f"did you mean {near[0]!r}?"
        elif known:
            mend = f"it has {', '.join(known)}"
        else:
            mend = "it has none"
        self._error(method, f"{what}: {message.full_name} has no field {name!r}; {mend}")

    def _warn(self, method: MethodElement, rule: HttpRule) -> None:
        if not method.raw.client_streaming:
            if rule.verb in _WITHOUT_BODY and rule.body:
                self._warning(method, f"{rule.verb} {rule.path} should not declare a body")
            elif rule.verb not in _WITHOUT_BODY and not rule.body:
                self._warning(method, f"{rule.verb} {rule.path} does not declare a body")
        if rule.path.endswith("/") and rule.path != "/":
            self._warning(method, f"{rule.path} should not end with '/'")

    def _error(self, method: MethodElement, message: str) -> None:
        self._problems.error(self._file.name, self._line(method), f"{_own(method)}: {message}")

    def _warning(self, method: MethodElement, message: str) -> None:
        self._problems.warning(self._file.name, self._line(method), f"{_own(method)}: {message}")

    def _line(self, method: MethodElement) -> int:
        return self._file.line((*method.path, _OPTIONS, _EXTENSION_NUMBER))


def _own(method: MethodElement) -> str:
    return f"{method.descriptor.containing_service.name}.{method.raw.name}"


def _rule(option: Any, default_path: str) -> HttpRule:
    """Return one binding; a rule without a pattern is a POST of its own."""
    pattern: str | None = option.WhichOneof("pattern")
    if pattern is None:
        verb, path = "POST", default_path
    elif pattern == "custom":
        verb, path = option.custom.kind, option.custom.path or default_path
    else:
        verb, path = pattern.upper(), getattr(option, pattern) or default_path
    whole = option.response_body == "*"
    response_body = "" if whole else option.response_body
    return HttpRule(verb=verb, path=path, body=option.body, response_body=response_body)


def _is_map_entry(message: Descriptor) -> bool:
    return message.GetOptions().map_entry
