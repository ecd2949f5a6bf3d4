"""Regular expressions of Go's kind (RE2), matched by the engine of protovalidate.

Python's own module takes other ones, and time that grows without bounds for some of them: a
caller who knows the pattern could choose a text that stops the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FieldOptions, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from kratos_validate._options import modern_pattern

__all__ = ["matcher"]

_PACKAGE: Final = "kratos.validate.pattern"


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a pattern is found in a text.

    Raises:
        ValueError: The pattern is none.
    """
    from protovalidate import CompilationError, Validator

    file = FileDescriptorProto(name="kratos/validate/pattern.proto", package=_PACKAGE)
    message = file.message_type.add(name="Value")
    message.field.add(
        name="value",
        number=1,
        label=FieldDescriptorProto.LABEL_REQUIRED,
        type=FieldDescriptorProto.TYPE_STRING,
        options=FieldOptions.FromString(modern_pattern(pattern)),
    )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    kind: Any = GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Value"))
    collect = Validator().collect_violations
    try:
        collect(kind(value=""))
    except CompilationError as error:
        raise ValueError(f"pattern {pattern!r}: {error}") from error

    def found(value: str) -> bool:
        return not collect(kind(value=value), fail_fast=True)

    return found
