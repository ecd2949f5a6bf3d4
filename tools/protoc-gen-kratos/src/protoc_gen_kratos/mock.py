"""Writes ``x_kratos_mock.py``: services that answer what a test tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kratos.transport import Arity
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.modules import Modules, module_parts
from protoc_gen_kratos.naming import unused
from protoc_gen_kratos.services import Rpc, ServiceModel
from protoc_gen_kratos.source import Source, literal
from protoc_gen_kratos.typed_names import TypedNames

__all__ = ["write_mock"]

_SCRIPT_METHODS: Final = {
    Arity.UNARY: "unary",
    Arity.CLIENT_STREAM: "client_stream",
    Arity.SERVER_STREAM: "server_stream",
    Arity.BIDI_STREAM: "bidi_stream",
}


def write_mock(file: SourceFile, services: Sequence[ServiceModel], modules: Modules) -> str:
    """Return the module with the mocks of a definition that has services."""
    package, typed = module_parts(file.name, "_kratos")
    bases = {service.name for service in services}
    mocks = {service.name: unused(f"{service.name}Mock", bases) for service in services}
    inside = {rpc.name for service in services for rpc in service.methods}
    constants = {rpc.constant for service in services for rpc in service.methods}
    names = TypedNames({*bases, *mocks.values(), *inside, *constants}, package, modules)
    body = Source()
    for service in services:
        _write_class(body, service, mocks[service.name], typed, names)
    head = Source()
    head.generated(file.name)
    if names.uses_private:
        head.line("# pyright: reportPrivateUsage=false")
    head.docstring(f"Mocks of the services of {file.name}.")
    head.gap()
    names.write_imports(head)
    head.gap()
    exported = [literal(name) for name in sorted(mocks.values())]
    head.wrapped("__all__ = [", exported, "]")
    return f"{head.text()}\n\n{body.text().lstrip()}"


def _write_class(
    source: Source, service: ServiceModel, mock: str, typed: str, names: TypedNames
) -> None:
    taken = {rpc.name for rpc in service.methods}
    scripts: dict[str, str] = {}
    for rpc in service.methods:
        scripts[rpc.name] = unused(f"on_{rpc.name.rstrip('_')}", taken)
        taken.add(scripts[rpc.name])
    source.gap(2)
    source.line(f"class {mock}({names.typed(typed, service.name)}):")
    with source.indented():
        source.docstring(
            f"Answers for ``{service.element.descriptor.full_name}`` what its scripts say, "
            "one for each method."
        )
        if scripts:
            source.gap()
            source.line("def __init__(self) -> None:")
            with source.indented():
                for rpc in service.methods:
                    constant = names.typed(typed, rpc.constant)
                    source.line(f"self.{scripts[rpc.name]} = {names.known('Script')}({constant})")
        for rpc in service.methods:
            source.gap()
            _write_method(source, rpc, scripts[rpc.name], names)


def _write_method(source: Source, rpc: Rpc, script: str, names: TypedNames) -> None:
    request, reply = names.message(rpc.request), names.message(rpc.reply)
    iterator = names.known("AsyncIterator") if rpc.arity is not Arity.UNARY else ""
    given, kind = "request", request
    if rpc.arity.client_streams:
        given, kind = "requests", f"{iterator}[{request}]"
    call = f"self.{script}.{_SCRIPT_METHODS[rpc.arity]}({given})"
    head = f"async def {rpc.name}("
    if rpc.arity.server_streams:
        head, reply = f"def {rpc.name}(", f"{iterator}[{reply}]"
    else:
        call = f"await {call}"
    source.wrapped(head, ["self", f"{given}: {kind}", "/"], f") -> {reply}:")
    with source.indented():
        source.docstring(f"Answer as ``{script}`` says.")
        source.line(f"return {call}")
