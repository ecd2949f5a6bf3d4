"""Rules of paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from kratos.transport.rule import PathTemplate, TemplateError
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.findings import Finding, found_at, spanned
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.problems import DefinitionError, Problems
from protoc_gen_kratos.schema import Schema
from protoc_gen_kratos.services import Rpc, read_services

__all__ = ["check_http"]

_OPTIONS: Final = 4  # field of MethodDescriptorProto
_EXTENSION_NUMBER: Final = 72295728


def check_http(files: Collection[SourceFile], schema: Schema) -> Iterator[Finding]:
    """Yield what is wrong with paths, within a definition and between them."""
    routes: dict[tuple[str, str], Rpc] = {}
    for file in files:
        problems = Problems()
        services = read_services(file, schema, Options(), problems)
        yield from _told(file, problems)
        for rpc in chain.from_iterable(service.methods for service in services):
            yield from _clashes(rpc, routes)


def _told(file: SourceFile, problems: Problems) -> Iterator[Finding]:
    """Yield what the generator itself refuses or warns of."""
    for warning in problems.warnings:
        yield spanned(file, file.span_at(warning.line), "HTTP_STYLE", warning.message)
    try:
        problems.raise_errors()
    except DefinitionError as refused:
        for problem in refused.problems:
            yield spanned(file, file.span_at(problem.line), "HTTP_RULE", problem.message)


def _clashes(rpc: Rpc, routes: dict[tuple[str, str], Rpc]) -> Iterator[Finding]:
    for rule in rpc.rules:
        try:
            route = PathTemplate.parse(rule.path).normalised
        except TemplateError:
            continue  # told already
        other = routes.setdefault((rule.verb, route), rpc)
        file, where = rpc.element.file, other.element.file
        if file is not where:
            message = (
                f"{rule.verb} {rule.path} is already the route of {other.operation[1:]} "
                f"({where.name}:{other.element.line}); change one of them"
            )
            path = (*rpc.element.path, _OPTIONS, _EXTENSION_NUMBER)
            yield found_at(file, path, "HTTP_ROUTE_CLASH", message)
