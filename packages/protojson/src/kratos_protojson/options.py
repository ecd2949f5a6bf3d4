"""Options of printing and of parsing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from google.protobuf.descriptor_pool import DescriptorPool

from kratos_protojson.descriptors import MAX_DEPTH

__all__ = ["MAX_SIZE", "Backend", "ParseOptions", "PrintOptions"]

Backend: TypeAlias = Literal["auto", "native", "python"]
"""Who does the work: the extension if it is installed, the extension or nobody, or the plans."""

MAX_SIZE = 64 * 1024 * 1024
"""Bytes of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintOptions:
    """How messages become JSON; the defaults are those of Go Kratos' protojson codec.

    Attributes:
        emit_unset: Write fields that are not set: zeros, ``[]``, ``{}``, and ``null`` for
            messages (Go: ``EmitUnpopulated``). Left out all the same are members of a oneof,
            ``optional`` fields, and a ``google.protobuf.Value``, for which ``null`` would be a
            value.
        emit_defaults: Without ``emit_unset``, write at least fields without presence: zeros,
            ``[]`` and ``{}`` (Go: ``EmitDefaultValues``; json_format:
            ``always_print_fields_with_no_presence``).
        proto_names: Use the names of the definition, not lowerCamelCase.
        enum_numbers: Write enums as numbers, not names.
        int64_numbers: Write 64-bit integers as numbers, not text. Readers that keep
            numbers as doubles, such as JavaScript, then lose digits beyond 2^53.
        plain_objects: Write a field mask that has no text form, such as one of ``a_1``, as the
            object of its fields, as the ``json`` codec of Go Kratos v3 does, rather than refuse it.
        indent: Spaces per level; ``None`` for one line without spaces.
        sort_keys: Sort the members of every object by name, not by definition.
        ensure_ascii: Escape everything beyond ASCII.
        pool: Where types inside ``Any`` and extensions are looked up; by default where the
            message's own type is from.
        backend: ``auto`` takes the extension where it is installed and does what the other
            options ask for: it writes one line, in the order of the definition, in UTF-8.
    """

    emit_unset: bool = True
    emit_defaults: bool = False
    proto_names: bool = False
    enum_numbers: bool = False
    int64_numbers: bool = False
    plain_objects: bool = False
    indent: int | None = None
    sort_keys: bool = False
    ensure_ascii: bool = False
    pool: DescriptorPool | None = None
    backend: Backend = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseOptions:
    """How strictly JSON is read; the defaults are those of Go Kratos' protojson codec.

    Attributes:
        ignore_unknown: Skip fields, and names of enum values, that the type does not have.
        plain_objects: Read well-known types also as objects of their fields, and an ``Any``
            without ``@type``, as the ``json`` codec of Go Kratos v3 writes them.
        allow_duplicates: Let the last of several members of one name win, rather than refuse
            them. Without orjson this is faster; with it there is nothing to gain.
        max_depth: Levels of messages. More than 100 is read by the Python plans only, and
            protobuf does not read such messages from the wire.
        max_size: Bytes of JSON.
        pool: Where types inside ``Any`` and extensions are looked up; by default where the
            message's own type is from.
        backend: ``auto`` takes the extension where it is installed.
    """

    ignore_unknown: bool = True
    plain_objects: bool = False
    allow_duplicates: bool = False
    max_depth: int = MAX_DEPTH
    max_size: int = MAX_SIZE
    pool: DescriptorPool | None = None
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        if self.max_depth < 1:
            raise ValueError(f"max_depth must be at least 1, got {self.max_depth}")
        if self.max_size < 0:
            raise ValueError(f"max_size must not be negative, got {self.max_size}")
