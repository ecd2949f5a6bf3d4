"""Errors that a service's definitions announce: values of enums with a code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import EnumOptions, EnumValueOptions

from kratos.errors import errors_pb2
from kratos.transport import Method

__all__ = ["Failure", "failures_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One error.

    Attributes:
        code: HTTP-style status code.
        reason: Its name.
        comment: What the definition says about it, if that is known.
    """

    code: int
    reason: str
    comment: str


def failures_of(method: Method[Any, Any], comments: Mapping[str, str]) -> list[Failure]:
    """Return the errors in the file that defines a method's service, and in what it imports.

    Args:
        method: A method; of a service that is in no registered file, nothing is known.
        comments: Texts by full name.
    """
    pool: Any = method.request.DESCRIPTOR.file.pool
    try:
        file: FileDescriptor = pool.FindServiceByName(method.service).file
    except KeyError:
        return []
    found = [
        failure
        for source in (file, *file.dependencies)
        for enum in source.enum_types_by_name.values()
        for failure in _of_enum(enum, comments)
    ]
    return sorted(found, key=lambda failure: (failure.code, failure.reason))


def _of_enum(enum: EnumDescriptor, comments: Mapping[str, str]) -> Iterator[Failure]:
    # Read anew: in a pool of its own a definition does not know Kratos' options.
    options = EnumOptions.FromString(enum.GetOptions().SerializeToString())
    default: int = options.Extensions[errors_pb2.default_code]
    for value in enum.values:
        own = EnumValueOptions.FromString(value.GetOptions().SerializeToString())
        code: int = own.Extensions[errors_pb2.code] or default
        if code:
            comment = comments.get(f"{enum.full_name}.{value.name}", "")
            yield Failure(code=code, reason=value.name, comment=comment)
