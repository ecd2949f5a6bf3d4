"""Rules of enums that declare errors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.error_enums import ErrorModel, read_errors
from protoc_gen_kratos.findings import Finding, found_at, spanned
from protoc_gen_kratos.lint.enums import all_enums, is_error_enum
from protoc_gen_kratos.problems import DefinitionError, Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["check_errors"]

_FAILURES: Final = range(400, 600)
_TOP: Final = 2  # length of the path of an enum outside of messages


def check_errors(files: Collection[SourceFile], schema: Schema) -> Iterator[Finding]:
    """Yield what error enums do against rules."""
    first: dict[str, ErrorModel] = {}
    for file in files:
        yield from _nested(file, schema)
        problems = Problems()
        errors = read_errors(file, schema, problems)
        try:
            problems.raise_errors()
        except DefinitionError as refused:
            for problem in refused.problems:
                span = file.span_at(problem.line)
                yield spanned(file, span, "ERROR_CODE_RANGE", problem.message)
        for error in errors:
            yield from _code(error)
            other = first.setdefault(error.reason, error)
            if other.code != error.code:
                where = f"{other.element.file.name}:{other.element.line}"
                message = (
                    f"{error.reason} has code {error.code}, and {other.code} in {where}; callers "
                    "know errors by their reasons: rename one"
                )
                yield found_at(file, error.element.path, "ERROR_REASON_CLASH", message)


def _nested(file: SourceFile, schema: Schema) -> Iterator[Finding]:
    for enum, path in all_enums(file.raw):
        if len(path) > _TOP and is_error_enum(enum, schema):
            message = f"{enum.name} lies in a message, where it declares no errors; move it out"
            yield found_at(file, path, "ERROR_ENUM_TOP_LEVEL", message)


def _code(error: ErrorModel) -> Iterator[Finding]:
    if error.code not in _FAILURES:
        element = error.element
        message = f"{error.reason} has code {error.code}, which tells no failure; use 400 to 599"
        yield found_at(element.file, element.path, "ERROR_CODE_IS_FAILURE", message)
