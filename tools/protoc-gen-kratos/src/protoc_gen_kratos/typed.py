"""Writes ``x_kratos.py``: service classes, client classes and error helpers of one definition."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent
from typing import Final

from kratos.transport import Arity, HttpRule
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.error_enums import ErrorModel
from protoc_gen_kratos.modules import Modules
from protoc_gen_kratos.services import Rpc, ServiceModel
from protoc_gen_kratos.source import Source, literal
from protoc_gen_kratos.typed_names import TypedNames
from protoc_gen_kratos.typed_options import write_options

__all__ = ["write_typed"]

_CALLER_METHODS: Final = {
    Arity.UNARY: "unary",
    Arity.CLIENT_STREAM: "client_stream",
    Arity.SERVER_STREAM: "server_stream",
    Arity.BIDI_STREAM: "bidi_stream",
}


def write_typed(
    file: SourceFile,
    services: Sequence[ServiceModel],
    errors: Sequence[ErrorModel],
    modules: Modules,
) -> str:
    """Return the module of a definition with services, error enums, or both."""
    exported = _exported(services, errors)
    inside = {rpc.name for service in services for rpc in service.methods}
    own = {*exported, *inside, "METHODS"}
    names = TypedNames(own, modules.of(file.name).package, modules)
    if services:  # the descriptors of services are there, whosever messages they use
        names.load(file.name)
    body = Source()
    for service in services:
        for rpc in service.methods:
            _write_constant(body, rpc, names)
        _write_service(body, service, names)
        _write_client(body, service, names)
    for error in errors:
        _write_error(body, error, names)
    head = Source()
    head.generated(file.name)
    if names.uses_private:
        head.line("# pyright: reportPrivateUsage=false")
    head.docstring(f"{_content(services, errors)} of {file.name}.")
    head.gap()
    names.write_imports(head)
    head.gap()
    head.wrapped("__all__ = [", [literal(name) for name in sorted(exported)], "]")
    text = body.text()
    first = text.lstrip("\n")
    gap = "\n" if first == text else "\n\n"  # before a constant, or a class or a function
    return f"{head.text()}{gap}{first}"


def _exported(services: Sequence[ServiceModel], errors: Sequence[ErrorModel]) -> list[str]:
    names: list[str] = []
    for service in services:
        names += [rpc.constant for rpc in service.methods]
        names += [service.name, service.client]
    for error in errors:
        names += [f"error_{error.name}", f"is_{error.name}"]
    return names


def _content(services: Sequence[ServiceModel], errors: Sequence[ErrorModel]) -> str:
    if services and errors:
        return "Services, clients and errors"
    return "Services and clients" if services else "Errors"


def _write_constant(source: Source, rpc: Rpc, names: TypedNames) -> None:
    source.line(f"{rpc.constant}: {names.known('Final')} = {names.known('Method')}(")
    with source.indented():
        source.line(f"operation={literal(rpc.operation)},")
        source.line(f"name={literal(rpc.name)},")
        source.line(f"arity={names.known('Arity')}.{rpc.arity.name},")
        source.line(f"request={names.message(rpc.request)},")
        source.line(f"reply={names.message(rpc.reply)},")
        if rpc.idempotent:
            source.line("idempotent=True,")
        if rpc.rules:
            _write_rules(source, rpc.rules, names)
        if rpc.http_options is not None:
            write_options(source, rpc.http_options, names)
        if rpc.element.raw.options.deprecated:
            source.line("deprecated=True,")
    source.line(")")


def _write_rules(source: Source, rules: Sequence[HttpRule], names: TypedNames) -> None:
    shown = [_rule(rule, names) for rule in rules]
    if len(shown) == 1:
        source.wrapped("http=(", shown, "),", is_tuple=True)
        return
    source.line("http=(")
    with source.indented():
        for text in shown:
            source.line(f"{text},")
    source.line("),")


def _rule(rule: HttpRule, names: TypedNames) -> str:
    parts = [f"verb={literal(rule.verb)}", f"path={literal(rule.path)}"]
    if rule.body:
        parts.append(f"body={literal(rule.body)}")
    if rule.response_body:
        parts.append(f"response_body={literal(rule.response_body)}")
    return f"{names.known('HttpRule')}({', '.join(parts)})"


def _write_service(source: Source, service: ServiceModel, names: TypedNames) -> None:
    source.gap(2)
    source.line(f"class {service.name}({names.known('Service')}):")
    with source.indented():
        source.docstring(_about(service))
        source.gap()
        method, any_ = names.known("Method"), names.known("Any")
        records = [rpc.constant for rpc in service.methods]
        kind = f"{names.known('ClassVar')}[tuple[{method}[{any_}, {any_}], ...]]"
        source.wrapped(f"METHODS: {kind} = (", records, ")", is_tuple=True)
        for rpc in service.methods:
            source.gap()
            _write_abstract(source, rpc, names)


def _write_abstract(source: Source, rpc: Rpc, names: TypedNames) -> None:
    reply = names.message(rpc.reply)
    request = names.message(rpc.request)
    iterator = names.known("AsyncIterator") if rpc.arity is not Arity.UNARY else ""
    given = (
        f"requests: {iterator}[{request}]" if rpc.arity.client_streams else f"request: {request}"
    )
    source.line(f"@{names.known('abstractmethod')}")
    if rpc.arity.server_streams:
        head, reply = f"def {rpc.name}(", f"{iterator}[{reply}]"
    else:
        head = f"async def {rpc.name}("
    source.wrapped(head, ["self", given, "/"], f") -> {reply}:")
    text = rpc.element.comment or f"Serve ``{rpc.operation}``."
    if rpc.arity.server_streams:
        text = f"{text.rstrip()}\n\nImplement with ``async def`` and ``yield``."
    with source.indented():
        source.docstring(text)


def _write_client(source: Source, service: ServiceModel, names: TypedNames) -> None:
    source.gap(2)
    source.line(f"class {service.client}:")
    with source.indented():
        source.docstring(_about(service))
        source.gap()
        source.line('__slots__ = ("_caller",)')
        source.gap()
        source.line(f"def __init__(self, caller: {names.known('Caller')}, /) -> None:")
        with source.indented():
            source.line("self._caller = caller")
        for rpc in service.methods:
            source.gap()
            _write_call(source, rpc, names)
    source.gap(2)


def _write_call(source: Source, rpc: Rpc, names: TypedNames) -> None:
    request, reply = names.message(rpc.request), names.message(rpc.reply)
    call = f"self._caller.{_CALLER_METHODS[rpc.arity]}({rpc.constant}, "
    parts = ["self", "*", f"options: {names.known('CallOptions')} | None = None"]
    match rpc.arity:
        case Arity.UNARY:
            head, call = "async def", f"await {call}request, options)"
            parts[1:1] = [f"request: {request}", "/"]
        case Arity.CLIENT_STREAM:
            head, call = "async def", f"await {call}requests, options)"
            parts[1:1] = [f"requests: {names.known('Messages')}[{request}]", "/"]
        case Arity.SERVER_STREAM:
            head, call = "def", f"{call}request, options)"
            parts[1:1] = [f"request: {request}", "/"]
            reply = f"{names.known('Opening')}[{names.known('Incoming')}[{reply}]]"
        case _:
            head, call = "def", f"{call}options)"
            duplexed = f"{names.known('Duplexed')}[{request}, {reply}]"
            reply = f"{names.known('Opening')}[{duplexed}]"
    source.wrapped(f"{head} {rpc.name}(", parts, f") -> {reply}:")
    with source.indented():
        source.docstring(rpc.element.comment or f"Call ``{rpc.operation}``.")
        source.line(f"return {call}")


def _about(service: ServiceModel) -> str:
    element = service.element
    return element.comment or f"Service ``{element.descriptor.full_name}``."


def _write_error(source: Source, error: ErrorModel, names: TypedNames) -> None:
    comment = dedent(error.element.comment).strip()
    note = f"\n\n{comment}" if comment else ""
    kind, reason = names.known("Error"), literal(error.reason)
    source.gap(2)
    source.line(f"def is_{error.name}(error: BaseException | None) -> bool:")
    with source.indented():
        source.docstring(
            f"Tell whether ``error`` is, or was raised from, {error.code} {error.reason}.{note}"
        )
        source.line(f"found = {names.known('from_error')}(error)")
        source.line(
            f"return found is not None and found.code == {error.code} and found.reason == {reason}"
        )
    source.gap(2)
    source.wrapped(
        f"def error_{error.name}(",
        ["message: str", "*", f"metadata: {names.known('Mapping')}[str, str] | None = None"],
        f") -> {kind}:",
    )
    with source.indented():
        source.docstring(f"Return the error {error.code} {error.reason}.{note}")
        source.line(f"return {kind}({error.code}, {reason}, message, metadata)")
