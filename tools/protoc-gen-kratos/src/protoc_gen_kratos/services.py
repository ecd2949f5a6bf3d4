"""Services of a definition, read and checked: names, arities, HTTP rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from kratos.transport import Arity, HttpOptions, HttpRule
from protoc_gen_kratos.elements import MethodElement, ServiceElement, SourceFile, methods, services
from protoc_gen_kratos.http_options import OptionReader
from protoc_gen_kratos.http_rules import RuleReader
from protoc_gen_kratos.naming import class_name, constant_name, method_name
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["Rpc", "ServiceModel", "read_services"]

_SAFE_VERBS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One method.

    Attributes:
        element: Where it is defined.
        name: Name of the Python method.
        constant: Name of its ``Method`` record.
        operation: ``/package.Service/Method``.
        arity: How many messages flow each way.
        request: Type of a request.
        reply: Type of a reply.
        idempotent: Whether trying again is harmless, by option or by verb.
        rules: HTTP bindings, the main one first.
        http_options: What else is said about HTTP.
    """

    element: MethodElement
    name: str
    constant: str
    operation: str
    arity: Arity
    request: Descriptor
    reply: Descriptor
    idempotent: bool
    rules: tuple[HttpRule, ...]
    http_options: HttpOptions | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """One service.

    Attributes:
        element: Where it is defined.
        name: Name of the abstract class.
        client: Name of the client class.
        methods: In order of definition.
    """

    element: ServiceElement
    name: str
    client: str
    methods: tuple[Rpc, ...]


def read_services(
    file: SourceFile, schema: Schema, options: Options, problems: Problems
) -> tuple[ServiceModel, ...]:
    """Return the services of ``file``; what is wrong with them goes to ``problems``."""
    rules = RuleReader(file, schema, options, problems)
    http_options = OptionReader(file, schema, problems)
    found = tuple(_read(service, rules, http_options) for service in services(file))
    _refuse_equal_names(file, found, problems)
    return found


def _read(service: ServiceElement, rules: RuleReader, http_options: OptionReader) -> ServiceModel:
    defaults = http_options.defaults(service)
    return ServiceModel(
        element=service,
        name=class_name(service.raw.name),
        client=f"{service.raw.name}Client",
        methods=tuple(
            _rpc(service, method, rules, http_options, defaults) for method in methods(service)
        ),
    )


def _rpc(
    service: ServiceElement,
    method: MethodElement,
    reader: RuleReader,
    http_options: OptionReader,
    defaults: HttpOptions,
) -> Rpc:
    operation = f"/{service.descriptor.full_name}/{method.raw.name}"
    rules = reader.read(method, operation)
    level = method.raw.options.idempotency_level
    return Rpc(
        element=method,
        name=method_name(method.raw.name),
        constant=constant_name(service.raw.name, method.raw.name),
        operation=operation,
        arity=_arity(method),
        request=method.descriptor.input_type,
        reply=method.descriptor.output_type,
        idempotent=level != MethodOptions.IDEMPOTENCY_UNKNOWN
        or (bool(rules) and rules[0].verb in _SAFE_VERBS),
        rules=rules,
        http_options=http_options.read(method, rules, defaults),
    )


def _arity(method: MethodElement) -> Arity:
    match method.raw.client_streaming, method.raw.server_streaming:
        case True, True:
            return Arity.BIDI_STREAM
        case True, False:
            return Arity.CLIENT_STREAM
        case False, True:
            return Arity.SERVER_STREAM
        case _:
            return Arity.UNARY


def _refuse_equal_names(
    file: SourceFile, found: Sequence[ServiceModel], problems: Problems
) -> None:
    """Refuse what protobuf keeps apart by case or underscore alone, and Python would not."""
    top_level: dict[str, tuple[str, int]] = {}
    for service in found:
        inside: dict[str, tuple[str, int]] = {}
        own = service.element.raw.name
        top = [(service.name, own, service.element.line)]
        top.append((service.client, f"the client of {own}", service.element.line))
        for rpc in service.methods:
            full = f"{own}.{rpc.element.raw.name}"
            if _claim(rpc.name, full, rpc.element.line, inside, file, problems):
                top.append((rpc.constant, f"the constant of {full}", rpc.element.line))
        for name, what, line in top:
            _claim(name, what, line, top_level, file, problems)


def _claim(
    name: str,
    what: str,
    line: int,
    claimed: dict[str, tuple[str, int]],
    file: SourceFile,
    problems: Problems,
) -> bool:
    other, where = claimed.setdefault(name, (what, line))
    if other != what:
        problems.error(
            file.name,
            line,
            f"{what} and {other} (line {where}) would both be {name!r} in Python; rename one",
        )
    return other == what
