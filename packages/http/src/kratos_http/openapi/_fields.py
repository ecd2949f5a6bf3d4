"""What a description asks about descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos_protojson.descriptors import is_map, map_fields

__all__ = [
    "ANY",
    "LIST_VALUE",
    "NULL_VALUE",
    "STRUCT",
    "VALUE",
    "WRAPPERS",
    "Schema",
    "is_map",
    "map_fields",
    "oneofs",
]

Schema: TypeAlias = dict[str, Any]

_PACKAGE: Final = "google.protobuf."
ANY: Final = f"{_PACKAGE}Any"
STRUCT: Final = f"{_PACKAGE}Struct"
VALUE: Final = f"{_PACKAGE}Value"
LIST_VALUE: Final = f"{_PACKAGE}ListValue"
NULL_VALUE: Final = f"{_PACKAGE}NullValue"
WRAPPERS: Final = frozenset(
    f"{_PACKAGE}{kind}Value"
    for kind in (
        "Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes",
    )
)  # fmt: skip


def oneofs(descriptor: Descriptor) -> Iterator[list[FieldDescriptor]]:
    """Yield the members of each oneof that has several: what ``optional`` makes has one."""
    for oneof in descriptor.oneofs:
        if len(oneof.fields) > 1:
            yield list(oneof.fields)
