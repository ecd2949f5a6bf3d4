"""Errors that enums declare by the options of errors/errors.proto.

Go: cmd/protoc-gen-go-errors/errors.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from protoc_gen_kratos.elements import (
    EnumElement,
    EnumValueElement,
    Path,
    SourceFile,
    enum_values,
    top_enums,
)
from protoc_gen_kratos.naming import error_name
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["ErrorModel", "read_errors"]

_DEFAULT_CODE: Final = "errors.default_code"
_DEFAULT_CODE_NUMBER: Final = 1108
_CODE: Final = "errors.code"
_CODE_NUMBER: Final = 1109
_ENUM_OPTIONS: Final = 3  # fields of EnumDescriptorProto and EnumValueDescriptorProto
_VALUE_OPTIONS: Final = 3
_HIGHEST_CODE: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """One error.

    Attributes:
        element: The enum value that declares it.
        name: Stem of its helpers, in snake case.
        reason: Reason that it has on every wire: the name of the value.
        code: HTTP-style code.
    """

    element: EnumValueElement
    name: str
    reason: str
    code: int


def read_errors(file: SourceFile, schema: Schema, problems: Problems) -> tuple[ErrorModel, ...]:
    """Return the errors of ``file``: values of enums at the top level that end with a code."""
    reader = _Reader(file, schema, problems)
    found = [error for enum in top_enums(file) for error in reader.read(enum)]
    _refuse_equal_names(file, found, problems)
    return tuple(found)


class _Reader:
    def __init__(self, file: SourceFile, schema: Schema, problems: Problems) -> None:
        self._file = file
        self._schema = schema
        self._problems = problems

    def read(self, enum: EnumElement) -> list[ErrorModel]:
        where = (*enum.path, _ENUM_OPTIONS, _DEFAULT_CODE_NUMBER)
        default = self._code(enum.raw.options, _DEFAULT_CODE, where)
        found: list[ErrorModel] = []
        for value in enum_values(enum):
            where = (*value.path, _VALUE_OPTIONS, _CODE_NUMBER)
            code = self._code(value.raw.options, _CODE, where) or default
            if code:
                reason = value.raw.name
                name = error_name(reason)
                found.append(ErrorModel(element=value, name=name, reason=reason, code=code))
        return found

    def _code(self, options: Message, extension: str, where: Path) -> int:
        code: int = self._schema.option(options, extension) or 0
        if 0 <= code <= _HIGHEST_CODE:
            return code
        self._problems.error(
            self._file.name,
            self._file.line(where),
            f"{extension} is {code}; a code is 1 to {_HIGHEST_CODE}, and 0 means no error",
        )
        return 0


def _refuse_equal_names(file: SourceFile, found: Sequence[ErrorModel], problems: Problems) -> None:
    first: dict[str, ErrorModel] = {}
    for error in found:
        other = first.setdefault(error.name, error)
        if other is not error:
            problems.error(
                file.name,
                error.element.line,
                f"{error.reason} and {other.reason} (line {other.element.line}) would both be "
                f"'error_{error.name}' in Python; rename one",
            )
